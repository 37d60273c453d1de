"""Composes a person and a scene into a labelled clip, as in the paper's Figure 2.

camera offset → superpixel occluder → composite → crop. Flow is estimated later, on the crops. Total
occlusion is only flagged here, because features, not pixels, are set to zero.
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
    """A labelled clip: T+1 frames, so that each of the T labelled frames has flow to the next."""

    frames: np.ndarray
    """uint8 [T+1,S,S,3] RGB."""
    joints2d: np.ndarray
    """float32 [T,J,3]: x, y in crop pixels; 1 if seen, 0 if not."""
    visibility: np.ndarray
    """uint8 [T,J]: 0 outside the frame or the crop, 1 behind the occluder, 2 visible."""
    joints3d: np.ndarray
    """float32 [T,J,3] metres, camera frame, as rendered: the camera offset is not 3D motion."""
    pose: np.ndarray
    """float32 [T,72] axis-angle."""
    betas: np.ndarray
    """float32 [10]."""
    trans: np.ndarray
    """float32 [T,3] metres."""
    gravity: np.ndarray
    """float32 [3], the direction of gravity in the axes of the person's camera."""
    camera: np.ndarray
    """float32 [3,3] K of the person's frame, before offset and crop."""
    offsets: np.ndarray
    """float32 [T,2] the person's offset, pixels of the frame."""
    crop: np.ndarray
    """float32 [T,2,3] affine maps, frame pixels → crop pixels."""
    occluded: np.ndarray
    """uint8 [T], 1 if the person is totally occluded or (`flag_absent`) no limb is in the
    picture."""
    occluder: np.ndarray
    """uint8 [T+1,S,S]: coverage of each pixel by the superpixel; for pictures and tests."""
    meta: dict[str, Any]
    """The random draws, in a form for JSON."""


def compose(
    person: Person, background: Background, cfg: ClipsConfig, rng: np.random.Generator
) -> Clip:
    """Compose a clip from a person and a scene, both with T+1 frames of the same size.

    Joints have x, y even if they are not seen. A joint is seen if it lies within the person's own
    frame, the scene's frame and the crop. A joint behind the occluder (its pixel belongs to both
    the occluder and the person) is not seen with probability `drop_occluded_keypoints`, drawn once
    per joint and clip, because a detector misses a hidden knee as long as it is hidden. The crop is
    placed around the seen evaluation joints, as it is around detected ones.

    Raises:
        BadInput: the two differ in length or frame size, or do not have T+1 frames.
    """
    # Longer than other functions: each step needs the results of the previous ones, and the order
    # of draws and roundings decides a shard's bytes.
    _check(person, background, cfg)
    # Independent streams: switching one step off does not change the other draws.
    cut_rng, drop_rng, crop_rng, total_rng = rng.spawn(4)
    count, height, width = person.mask.shape
    length = count - 1
    scene, segments, motion = _scene(background, cfg)

    source = project(person.joints3d, person.camera)
    offsets, moved = place(source[:, 0], motion, width, height)
    offsets = offsets.astype(np.float32).astype(
        np.float64
    )  # pixels must move by the recorded values
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
    """Return the direction of gravity from a person's metadata, in camera axes, float32 [3].

    SURREAL's people, and those rendered by versions without camera tilt, have a level camera.
    """
    view = View(0.0, 1.0, meta.get("pitch", 0.0), meta.get("roll", 0.0))
    return view.gravity.astype(np.float32)


def _scene(background: Background, cfg: ClipsConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scene's frames, segments and camera motion, as the options require."""
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
    """Draw the superpixel; return its label, the share of the person it hides, its mask [T,H,W]."""
    _, height, width = mask.shape
    grid = occluder.label_grid(mask, offsets, segments.shape[1:])
    label, hidden = occluder.choose(segments, grid, cfg.occluder_sampling, rng)
    cut = np.stack([occluder.outline(cells == label, width, height) for cells in segments])
    return label, hidden, cut


def _crop(
    joints: np.ndarray, seen: np.ndarray, cfg: ClipsConfig, width: int, height: int
) -> np.ndarray:
    """Return the crop maps [T,2,3] for joints [T,K,2]; the whole frame if none is ever seen."""
    joints = np.nan_to_num(np.concatenate([joints, seen[..., None]], axis=2))
    boxes = crop.joint_boxes(joints)
    if np.isnan(boxes).all():
        # Nobody to detect: use the frame's full height.
        boxes[:] = (width - 1) / 2, (height - 1) / 2, cfg.person_diagonal * height / 224
    return crop.box_maps(boxes, cfg.image_size, cfg.person_diagonal)


def _at(mask: np.ndarray, points: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return whether mask [T,H,W] is set at the pixel nearest to each of points [T,J,2]."""
    pixels = np.where(valid[..., None], np.rint(np.nan_to_num(points)), 0).astype(int)
    frames = np.arange(len(mask))[:, None]
    return (mask[frames, pixels[..., 1], pixels[..., 0]] > 0) & valid


def _check(person: Person, background: Background, cfg: ClipsConfig) -> None:
    """Raise BadInput if person and scene do not fit together."""
    frames = cfg.clip_length + 1
    for name, found in ((person.name, person.mask), (background.name, background.frames)):
        if len(found) != frames:
            raise BadInput(
                f"{name} has {len(found)} frames, but --clip-length {cfg.clip_length} needs "
                f"{frames}; give another --library or omit it"
            )
    ours, theirs = person.mask.shape[1:], background.frames.shape[1:3]
    if ours != theirs:
        raise BadInput(
            f"{person.name} is {ours[1]}x{ours[0]} and {background.name} {theirs[1]}x{theirs[0]}; "
            "give another --library or omit it"
        )
