"""Imports the real SURREAL data set into the body library.

SURREAL's files: `<seq>_c%04d.mp4` (pictures), `_info.mat` (labels), `_segm.mat` (body parts).

Mirroring: SURREAL's camera has determinant -1, so a picture shows the mirror image of the body that
its labels describe. The mirror image is also a valid body with left and right swapped: joints are
renamed, and the pose is mirrored, R -> S·R·S with S = diag(-1, 1, 1). The labels then fit a
right-handed OpenCV camera, like all others.

T frames, J = 38 joints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from datagen.bodies.motion.sources import MONSTERS, plain_name
from datagen.bodies.render import camera
from datagen.bodies.smpl.model import Body, neutral_or_first
from datagen.bodies.storage import library_file, manifest_line, write_clip
from datagen.common.errors import BadInput
from datagen.common.files import files_below
from datagen.common.matlab import read_matlab
from datagen.common.record import EVAL_JOINTS, SMPL_JOINTS, mirrored
from datagen.common.video import open_video

WIDTH, HEIGHT = 320, 240
CAMERA = np.array([[600, 0, 160], [0, 600, 120], [0, 0, 1]], np.float32)
"""SURREAL's intrinsics: 60 mm on a 32 mm sensor, 320 pixels wide."""

PICTURE_WORLD = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""World to picture (x right, y down, z forward): Blender's camera matrix, determinant -1."""

MIRROR = np.diag([-1.0, 1.0, 1.0])
"""Reflection across x = 0, which swaps left and right of SMPL's body."""

SWAP = mirrored(SMPL_JOINTS)

KINEMATIC_STAND_IN = {"neck": "neck", "head_top": "head"}
"""SMPL joints for evaluation joints that SMPL's skeleton lacks."""

GENDERS = ("female", "male")
"""Indexed by SURREAL's number; the comment in its code has them reversed."""

LIMITS = {"pose": 1e3, "shape": 1e2, "zrot": 1e3, "camLoc": 1e4, "joints2D": 1e5, "joints3D": 1e4}
"""Radians, pixels and metres; larger labels are damage, as SURREAL's are far smaller."""


@dataclass(frozen=True)
class SurrealSource:
    """One sequence of one run: its clips' paths without suffix, in order."""

    name: str
    """Unique, [A-Za-z0-9_-]."""
    subject: str
    """CMU's subject number."""
    clips: tuple[Path, ...]

    @property
    def path(self) -> str:
        """The file that represents the sequence: its first clip's labels."""
        return str(self.clips[0].with_name(f"{self.clips[0].name}_info.mat"))

    @property
    def files(self) -> list[Path]:
        """All existing files of its clips."""
        suffixes = ("_info.mat", ".mp4", "_segm.mat")
        paths = [clip.with_name(clip.name + suffix) for clip in self.clips for suffix in suffixes]
        return [path for path in paths if path.is_file()]


@dataclass(frozen=True)
class SurrealLabels:
    """A clip's labels as the picture shows them: unmirrored, for a right-handed OpenCV camera."""

    gender: str
    joints2d: np.ndarray
    """float32 [T,24,2], whole pixels."""
    joints3d: np.ndarray
    """float32 [T,24,3], camera frame, metres."""
    pose: np.ndarray
    """float32 [T,72], global orient in the camera's frame."""
    betas: np.ndarray
    """float32 [10]."""
    valid: np.ndarray
    """bool [T]: false for failed frames, in which SURREAL writes zeros."""


def find_surreal(folder: Path) -> list[SurrealSource]:
    """Return the sequences below a SURREAL folder, sorted by name, without MONSTERS.

    Raises:
        BadInput: the folder is missing or holds no `*_info.mat`.
    """
    groups: dict[str, list[Path]] = {}
    for path in files_below(folder):
        if not re.search(r"_c\d{4}_info\.mat$", path.name):
            continue
        stem = path.name.removesuffix("_info.mat")
        run = next((part for part in path.parts if re.fullmatch(r"run\d+", part)), "run")
        if MONSTERS.match(stem):
            continue
        name = plain_name(f"{run}_{stem[:-6]}")
        clips = groups.setdefault(name, [])
        if stem not in (
            clip.name for clip in clips
        ):  # SURREAL's val split repeats some clips of its test split
            clips.append(path.with_name(stem))
    if not groups:
        raise BadInput(f"{folder} holds no SURREAL clips: give the folder above its *_info.mat")
    return [
        SurrealSource(name, _subject(clips[0].name), tuple(clips))
        for name, clips in sorted(groups.items())
    ]


def read_labels(path: Path) -> SurrealLabels:
    """Read an `_info.mat` and undo the mirroring; restores the axis that one-frame clips lack in
    it.

    Raises:
        BadInput: the file is damaged or not SURREAL's.
    """
    wanted = ("joints2D", "joints3D", "pose", "shape", "zrot", "camLoc", "gender")
    info = _load(path, wanted)
    try:
        joints2d = np.asarray(info["joints2D"], np.float64).reshape(2, 24, -1).transpose(2, 1, 0)
        joints3d = np.asarray(info["joints3D"], np.float64).reshape(3, 24, -1).transpose(2, 1, 0)
        pose = np.asarray(info["pose"], np.float64).reshape(72, -1).T
        betas = np.asarray(info["shape"], np.float64).reshape(10, -1)[:, 0]
        yaw = np.asarray(info["zrot"], np.float64).reshape(-1)
        place = np.asarray(info["camLoc"], np.float64).reshape(3)
        gender = GENDERS[{0: 0, 1: 1}[int(info["gender"].flat[0])]]
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise BadInput(f"{path} is not SURREAL's _info.mat ({error}): fetch it again") from error
    frames = len(pose)
    if not len(joints2d) == len(joints3d) == len(yaw) == frames > 0:
        raise BadInput(f"{path} has labels of different lengths: fetch it again")
    for name, limit in LIMITS.items():
        if not (np.abs(info[name]) < limit).all():
            raise BadInput(f"{path}: {name} has NaN, infinite or absurd numbers: fetch it again")

    in_picture = (joints3d - place) @ PICTURE_WORLD.T
    return SurrealLabels(
        gender=gender,
        joints2d=joints2d[:, SWAP].astype(np.float32),
        joints3d=in_picture[:, SWAP].astype(np.float32),
        pose=mirror_pose(pose, yaw).astype(np.float32),
        betas=betas.astype(np.float32),
        valid=np.logical_and(joints2d.any((1, 2)), joints3d.any((1, 2))),
    )


def mirror_pose(
    pose: Float[np.ndarray, "t 72"], yaw: Float[np.ndarray, " t"]
) -> Float[np.ndarray, "t 72"]:
    """Return the pose [T,72] of the body that the picture shows, in the camera's frame.

    Args:
        pose: SURREAL's [T,72]; Rx(90°)·Rz(yaw) rotates its body's frame to the world.
        yaw: SURREAL's zrot [T].
    """
    world = Rotation.from_euler("x", np.pi / 2) * Rotation.from_rotvec(
        yaw[:, None] * [0.0, 0.0, 1.0]
    )
    root = (world * Rotation.from_rotvec(pose[:, :3])).as_matrix()
    orient = Rotation.from_matrix(PICTURE_WORLD @ root @ MIRROR).as_rotvec()
    # S·R(w)·S = R(-S·w), because a reflection S maps the axis and reverses the angle
    relative = pose.reshape(-1, 24, 3)[:, SWAP] @ -MIRROR
    relative[:, 0] = orient
    return relative.reshape(-1, 72)


def build_surreal(source: SurrealSource, bodies: dict[str, Body], path: Path) -> dict:
    """Import a sequence's clips into a library file and return its manifest line.

    Unreadable clips are listed under `rejected`, and the others are used. Surface flow is not part
    of SURREAL's release and stays zero.

    Args:
        bodies: SMPL's, for the evaluation joints and translations; with any other body, the
            evaluation joints are SURREAL's kinematic ones, which `meta` records.

    Raises:
        BadInput: no clip can be used.
    """
    clips, rejected = [], {}
    with library_file(path, source.name, HEIGHT, WIDTH) as file:
        for stem in source.clips:
            try:
                clip = _read_clip(stem, bodies)
            except BadInput as error:
                rejected[stem.name] = str(error)
                continue
            write_clip(file.create_group(f"clip_{len(clips):04d}"), *clip)
            labels, meta = clip[1:]
            seen = camera.in_view(labels["joints3d"][:, 0], CAMERA, WIDTH, HEIGHT)
            in_view = camera.stretches(seen)
            betas = [round(float(beta), 2) for beta in labels["betas"]]
            frames = len(labels["pose"])
            clips.append({"frames": frames, **meta, "betas": betas, "in_view": in_view})
        if not clips:
            raise BadInput(f"{source.name} has no usable clip: {next(iter(rejected.values()))}")
    return {**manifest_line(path, source.name, source.subject, clips, {}), "rejected": rejected}


def _read_clip(stem: Path, bodies: dict[str, Body]) -> tuple[Any, dict[str, np.ndarray], dict]:
    """Return (pictures, labels, meta) of one clip, for `write_clip`."""
    labels = read_labels(stem.with_name(f"{stem.name}_info.mat"))
    first, stop = _longest_run(labels.valid)
    if stop - first < 2:
        raise BadInput(f"{stem.name} has no two consecutive valid frames: omit it")
    frames = _read_video(stem.with_name(f"{stem.name}.mp4"), len(labels.pose))[first:stop]
    masks = _read_masks(stem.with_name(f"{stem.name}_segm.mat"), len(labels.pose))[first:stop]
    used = slice(first, stop)

    smpl = bodies.get(labels.gender)
    pose, joints3d = labels.pose[used], labels.joints3d[used]
    meta = {"source": "SURREAL", "clip": stem.name, "start": first, "gender": labels.gender}
    if smpl is not None and smpl.num_vertices == 6890:
        rest = smpl.rest_joints(labels.betas)[0]
        trans = joints3d[:, 0] - rest
        regressed = smpl.forward(pose, labels.betas, trans)[1][:, len(SMPL_JOINTS) :]
        meta["evaluation_joints"] = "regressed"
    else:
        trans = joints3d[:, 0] - neutral_or_first(bodies).rest_joints()[0]
        regressed = joints3d[:, [_kinematic(name) for name in EVAL_JOINTS]]
        meta["evaluation_joints"] = "kinematic"
    arrays = {
        "joints3d": np.concatenate([joints3d, regressed], axis=1),
        "pose": pose,
        "betas": labels.betas,
        "trans": trans,
        "camera": CAMERA,
    }
    still = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    pictures = ((rgb, mask, still) for rgb, mask in zip(frames, masks, strict=True))
    return pictures, arrays, meta


def _kinematic(name: str) -> int:
    """Return the SMPL joint that corresponds best to an evaluation joint."""
    bare = name.removeprefix("lsp_")
    return SMPL_JOINTS.index(KINEMATIC_STAND_IN.get(bare, bare))


def _longest_run(valid: np.ndarray) -> tuple[int, int]:
    """Return [first, stop) of the longest run of valid frames."""
    edges = np.flatnonzero(np.diff(np.r_[False, valid, False].astype(np.int8)))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return 0, 0
    first, stop = runs[(runs[:, 1] - runs[:, 0]).argmax()]
    return int(first), int(stop)


def _read_video(path: Path, frames: int) -> np.ndarray:
    """Return the pictures uint8 [T,240,320,3] RGB of an mp4 that must have T frames."""
    reader, pictures = open_video(path), []
    while len(pictures) <= frames and reader.grab():
        pictures.append(reader.picture())
        if pictures[-1].shape != (HEIGHT, WIDTH, 3):
            raise BadInput(f"{path} is not {WIDTH}x{HEIGHT}: fetch it again")
    reader.release()
    if len(pictures) != frames:
        raise BadInput(f"{path} has {len(pictures)} frames, its labels {frames}: fetch it again")
    return np.stack(pictures)


def _read_masks(path: Path, frames: int) -> np.ndarray:
    """Return the person's masks bool [T,240,320] of a `_segm.mat`."""
    names = [f"segm_{frame + 1}" for frame in range(frames)]
    parts = _load(path, names)
    masks = [parts[name] > 0 for name in names]
    if any(mask.shape != (HEIGHT, WIDTH) for mask in masks):
        raise BadInput(f"{path} is not {WIDTH}x{HEIGHT}: fetch it again")
    return np.stack(masks)


def _load(path: Path, names: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Read named numeric variables of a MATLAB file, without executing anything in it."""
    if not path.is_file():
        raise BadInput(f"{path} is missing: SURREAL's clips need .mp4, _info.mat and _segm.mat")
    try:
        numeric = read_matlab(path, frozenset(names))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}): fetch it again") from error
    missing = [name for name in names if name not in numeric]
    if missing:
        raise BadInput(f"{path} lacks {missing[0]}: fetch it again")
    return numeric


def _subject(name: str) -> str:
    """Return CMU's subject of `01_01_c0001` or `ung_104_46_c0002`."""
    found = re.match(r"(?:ung_)?(\d+)_", name)
    return found[1] if found else name
