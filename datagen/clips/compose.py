"""A person and a scene become a labelled clip: the procedure of the paper's Figure 2.

camera offset → superpixel cut → composite → crop; flow is estimated on the crops later, and total
occlusion is only flagged here, because the features, not the pixels, are set to zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from datagen.bodies.render.camera import View, project
from datagen.clips import crop, occluder
from datagen.clips.camera_offset import inside, place
from datagen.clips.compositing import Layers, composite
from datagen.clips.options import ClipsConfig
from datagen.common.errors import BadInput
from datagen.common.record import BEHIND, CLEAR, EVAL_JOINTS, KEYPOINTS, OFF_FRAME, SMPL_JOINTS

if TYPE_CHECKING:
    from datagen.backgrounds.library import Background
    from datagen.bodies.storage import Person

_EVAL = slice(len(SMPL_JOINTS), len(SMPL_JOINTS) + len(EVAL_JOINTS))
_LIMBS = slice(len(SMPL_JOINTS), len(SMPL_JOINTS) + len(KEYPOINTS))


@dataclass(frozen=True)
class Clip:
    """A labelled clip: T+1 frames, so that each of the T labelled ones has its flow to the next."""

    frames: np.ndarray
    """uint8 [T+1,S,S,3] RGB."""
    joints2d: np.ndarray
    """float32 [T,J,3]: x, y in crop pixels; 1 if seen, 0 if not."""
    visibility: np.ndarray
    """uint8 [T,J]: 0 outside the frame or the crop, 1 behind the occluder, 2 clear."""
    joints3d: np.ndarray
    """float32 [T,J,3] metres, camera frame, as rendered: the camera offset is no 3D motion."""
    pose: np.ndarray
    """float32 [T,72] axis-angle."""
    betas: np.ndarray
    """float32 [10]."""
    trans: np.ndarray
    """float32 [T,3] metres."""
    gravity: np.ndarray
    """float32 [3], the direction in which things fall, in the axes of the person's camera."""
    camera: np.ndarray
    """float32 [3,3] K of the person's frame, before offset and crop."""
    offsets: np.ndarray
    """float32 [T,2] pixels of the frame by which the person is moved."""
    crop: np.ndarray
    """float32 [T,2,3] affine maps, pixels of the frame → pixels of the crop."""
    occluded: np.ndarray
    """uint8 [T], 1 where the person is totally occluded, or (`flag_absent`) shows no limb."""
    occluder: np.ndarray
    """uint8 [T+1,S,S]: how much of each pixel the superpixel covers; for pictures and tests."""
    meta: dict[str, Any]
    """What was drawn, fit for JSON."""


def compose(
    person: Person, background: Background, cfg: ClipsConfig, rng: np.random.Generator
) -> Clip:
    """Compose the clip of a person and a scene, both of T+1 frames of the same size.

    Joints have x, y even where they are unseen. A joint is seen if it lies within the person's own
    frame, the scene's and the crop; one behind the occluder (its pixel is the occluder's and the
    person's) is unseen with probability `drop_occluded_keypoints`, drawn once per joint and clip,
    because a detector that misses a hidden knee misses it while it is hidden. The crop is put
    around the seen evaluation joints, as a detector's would be.

    Raises:
        BadInput: the two differ in length or frame size, or are not T+1 frames long.
    """
    # Longer than other functions: each step takes what those before it have made, and their order
    # is that of the draws and roundings that decide a shard's bytes.
    _check(person, background, cfg)
    # Independent streams: switching one thing off changes none of the other draws.
    cut_rng, drop_rng, crop_rng, total_rng = rng.spawn(4)
    count, height, width = person.mask.shape
    length = count - 1
    scene, segments, motion = _scene(background, cfg)

    source = project(person.joints3d, person.camera)
    offsets, moved = place(source[:, 0], motion, width, height)
    offsets = offsets.astype(np.float32).astype(np.float64)  # pixels move by what is recorded
    placed = source + offsets[:, None]

    label, hidden, cut = None, 0.0, None
    if cfg.occluders:
        label, hidden, cut = _cut(person.mask, offsets, segments, cfg, cut_rng)

    in_frame = inside(source, width, height) & inside(placed, width, height)
    visibility = np.where(in_frame, CLEAR, OFF_FRAME).astype(np.uint8)
    if cut is not None:
        behind = _at(cut, placed, in_frame) & _at(person.mask, source, in_frame)
        visibility[behind] = BEHIND
    dropped = drop_rng.random(placed.shape[1]) < cfg.drop_occluded_keypoints
    seen = (visibility == CLEAR) | ((visibility == BEHIND) & ~dropped)

    maps = crop.jitter(_crop(placed[:, _EVAL], seen[:, _EVAL], cfg, width, height), cfg, crop_rng)
    maps = maps.astype(np.float32).astype(np.float64)
    layers = Layers(person.rgb, person.mask, offsets, scene, cut)
    frames, cover = composite(layers, maps, cfg.image_size)

    joints2d = crop.transform(maps, placed)
    in_crop = inside(joints2d, cfg.image_size, cfg.image_size)
    visibility[~in_crop] = OFF_FRAME
    joints2d = np.nan_to_num(np.concatenate([joints2d, (seen & in_crop)[..., None]], axis=2))

    total = np.zeros(length, np.uint8)
    if cfg.occluders:
        total = occluder.total_occlusion(
            length, cfg.total_occlusion, cfg.total_occlusion_max, total_rng
        )
    absent = ~joints2d[:length, _LIMBS, 2].any(axis=1)
    if cfg.flag_absent:
        total[absent] = 1
    return Clip(
        frames=frames,
        joints2d=joints2d[:length].astype(np.float32),
        visibility=visibility[:length],
        joints3d=person.joints3d[:length],
        pose=person.pose[:length],
        betas=person.betas,
        trans=person.trans[:length],
        gravity=_gravity(person.meta),
        camera=person.camera,
        offsets=offsets[:length].astype(np.float32),
        crop=maps[:length].astype(np.float32),
        occluded=total,
        occluder=cover,
        meta={
            "occluder": label,
            "hidden": round(hidden, 4),
            "moved_into_view": moved,
            "in_view": round(float(in_frame[:length, 0].mean()), 4),
            "absent": int(absent.sum()),
            "totally_occluded": int(total.sum()),
        },
    )


def _gravity(meta: dict[str, Any]) -> np.ndarray:
    """Return where things fall for the camera in a person's metadata, float32 [3].

    SURREAL's people, and those rendered before cameras could tilt, have a level camera.
    """
    view = View(0.0, 1.0, meta.get("pitch", 0.0), meta.get("roll", 0.0))
    return view.gravity.astype(np.float32)


def _scene(background: Background, cfg: ClipsConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scene's frames, segments and camera motion, as far as they are wanted."""
    scene, segments, motion = background.frames, background.segments, background.homography
    if cfg.background == "static":
        scene, segments = (np.broadcast_to(a[:1], a.shape) for a in (scene, segments))
    if cfg.background == "static" or not cfg.track_camera:
        motion = np.broadcast_to(np.eye(3), motion.shape)
    return scene, segments, motion


def _cut(
    mask: np.ndarray,
    offsets: np.ndarray,
    segments: np.ndarray,
    cfg: ClipsConfig,
    rng: np.random.Generator,
) -> tuple[int, float, np.ndarray]:
    """Draw the superpixel: its label, the share of the person it hides, its outline [T,H,W]."""
    _, height, width = mask.shape
    grid = occluder.label_grid(mask, offsets, segments.shape[1:])
    label, hidden = occluder.choose(segments, grid, cfg.occluder_sampling, rng)
    cut = np.stack([occluder.outline(cells == label, width, height) for cells in segments])
    return label, hidden, cut


def _crop(
    joints: np.ndarray, seen: np.ndarray, cfg: ClipsConfig, width: int, height: int
) -> np.ndarray:
    """Return the crop maps [T,2,3] of joints [T,K,2]; the whole frame if none is ever seen."""
    joints = np.nan_to_num(np.concatenate([joints, seen[..., None]], axis=2))
    boxes = crop.joint_boxes(joints)
    if np.isnan(boxes).all():
        # Nobody to be detected: look at all of the frame's height.
        boxes[:] = (width - 1) / 2, (height - 1) / 2, cfg.person_diagonal * height / 224
    return crop.box_maps(boxes, cfg.image_size, cfg.person_diagonal)


def _at(mask: np.ndarray, points: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return whether mask [T,H,W] is set at the pixel nearest to each of points [T,J,2]."""
    pixels = np.where(valid[..., None], np.rint(np.nan_to_num(points)), 0).astype(int)
    frames = np.arange(len(mask))[:, None]
    return (mask[frames, pixels[..., 1], pixels[..., 0]] > 0) & valid


def _check(person: Person, background: Background, cfg: ClipsConfig) -> None:
    """Refuse what does not fit together."""
    frames = cfg.clip_length + 1
    for name, found in ((person.name, person.mask), (background.name, background.frames)):
        if len(found) != frames:
            raise BadInput(
                f"{name} has {len(found)} frames where --clip-length {cfg.clip_length} needs "
                f"{frames}; give another --library, or none"
            )
    ours, theirs = person.mask.shape[1:], background.frames.shape[1:3]
    if ours != theirs:
        raise BadInput(
            f"{person.name} is {ours[1]}x{ours[0]} and {background.name} {theirs[1]}x{theirs[0]}; "
            "give another --library, or none"
        )
