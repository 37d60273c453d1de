"""Records of motions without pictures (`datagen.launch --labels-only`): one per take or piece.

Axes are those of a level camera: x right, y down, z forward. A record has L frames at 30 fps.

    labels.npz   pose     float16 [L,72]  axis-angle, radians, global orient first
                 trans    float32 [L,3]   SMPL's: a joint is R(v - J0) + J0 + trans, metres
                 betas    float32 [10]    the performer's shape, zeros if the file has none
                 gravity  float32 [3]     unit vector pointing down
    meta.json    motion, subject, source, fps, frames, start, piece, pieces

Half precision changes a rotation by at most 0.06 degrees (2e-3/2 rad near pi).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.retarget import forward
from datagen.bodies.motion.sources import Motion
from datagen.bodies.render.camera import R_CAMERA_WORLD
from datagen.common.npz import open_npz
from datagen.common.record import FPS, SMPL_JOINTS, Line
from datagen.output import shard
from datagen.output.statistics import coverage

LONGEST = 1800
"""Most frames of a record: one minute."""
DTYPES = {"pose": "float16", "trans": "float32", "betas": "float32", "gravity": "float32"}
"""Arrays of labels.npz."""
GRAVITY = R_CAMERA_WORLD @ [0.0, -1.0, 0.0]
"""Direction of gravity in the axes of a level camera."""
SPEED_BINS = 8  # of 1 m/s; the last is open-ended
TILT_BINS = 6  # of 30 degrees, from upright to head down
SIDES = ("left", "right")
_ENDS = [SMPL_JOINTS.index(f"{side}_{end}") for end in ("wrist", "ankle") for side in SIDES]
_PELVIS, _NECK = SMPL_JOINTS.index("pelvis"), SMPL_JOINTS.index("neck")


def labels(
    motion: Motion,
    betas: Float[np.ndarray, " 10"],
    rest: Float[np.ndarray, "24 3"],
    pelvis: Float[np.ndarray, " 3"],
) -> Line:
    """Return a whole take's arrays of labels.npz.

    Args:
        betas: float32 [10].
        rest: rest joints [24,3] for which the motion was loaded, metres.
        pelvis: rest pelvis [3] of a body with shape `betas`.
    """
    turn = Rotation.from_matrix(R_CAMERA_WORLD)
    root = (turn * Rotation.from_rotvec(motion.pose[:, :3])).as_rotvec()
    place = (motion.trans.astype(np.float64) + rest[0]) @ R_CAMERA_WORLD.T
    return {
        "pose": np.concatenate([root, motion.pose[:, 3:]], axis=1).astype(np.float16),
        "trans": (place - pelvis).astype(np.float32),
        "betas": betas.astype(np.float32),
        "gravity": GRAVITY.astype(np.float32),
    }


def spans(frames: int) -> list[tuple[int, int]]:
    """Return the pieces [first, stop) of a take: as few as LONGEST allows, of about equal
    length."""
    pieces = math.ceil(frames / LONGEST)
    ends = [frames * i // pieces for i in range(pieces + 1)]
    return list(pairwise(ends))


def encode(arrays: Line, meta: Line) -> Iterator[dict[str, Any]]:
    """Yield the members of each of a take's records, without their keys.

    Args:
        arrays: the whole take's arrays.
        meta: motion, subject and source.
    """
    parts = spans(len(arrays["pose"]))
    for piece, (first, stop) in enumerate(parts):
        own = {**arrays, **{name: arrays[name][first:stop] for name in ("pose", "trans")}}
        metadata = {**meta, "fps": FPS, "frames": stop - first, "start": first}
        metadata |= {"piece": piece, "pieces": len(parts)}
        yield {
            "labels.npz": shard.npz(own, compress=True),
            "meta.json": json.dumps(metadata, sort_keys=True).encode(),
        }


def statistics(arrays: Line, rest: Float[np.ndarray, "24 3"]) -> dict[str, np.ndarray]:
    """Return histograms over a take's frames.

    elbow, knee, hip: flexions of both sides, as in `datagen.output.statistics`; tilt: angle of the
    trunk (pelvis to neck) from upright, bins of 30 degrees; speed: speed of wrists and ankles
    between frames, bins of 1 m/s, the last open-ended.
    """
    pose = arrays["pose"].astype(np.float64)
    local = quat.from_axis_angle(pose.reshape(-1, 24, 3))
    joints = forward(local, arrays["trans"] + rest[0], rest)
    found = coverage(pose, joints)
    del found["yaw"]  # drawn by the trainer
    trunk = joints[:, _NECK] - joints[:, _PELVIS]
    rise = trunk @ -arrays["gravity"] / np.maximum(np.linalg.norm(trunk, axis=1), 1e-9)
    tilt = np.degrees(np.arccos(np.clip(rise, -1, 1)))
    speed = np.linalg.norm(np.diff(joints[:, _ENDS], axis=0), axis=2) * FPS
    for name, values, width, bins in (
        ("tilt", tilt, 180 / TILT_BINS, TILT_BINS),
        ("speed", speed.ravel(), 1.0, SPEED_BINS),
    ):
        places = np.minimum(values // width, bins - 1).astype(int)
        found[name] = np.bincount(places, minlength=bins)
    return found


def problem(members: dict[str, bytes], dataset: Line) -> str:
    """Return the problem of a record, "" if it has none."""
    wanted = {"labels.npz", "meta.json"}
    if set(members) != wanted:
        return f"members {sorted(members)} instead of {sorted(wanted)}"
    metadata = json.loads(members["meta.json"])
    with open_npz(members["labels.npz"]) as held:
        if held.names != DTYPES.keys():
            return f"labels are {sorted(held.names)!s:.200}"
        arrays = {name: held.read(name) for name in DTYPES}  # reading checks each member's CRC
    frames = metadata["frames"]
    shapes = {"pose": (frames, 72), "trans": (frames, 3), "betas": (10,), "gravity": (3,)}
    for name, array in arrays.items():
        if array.shape != shapes[name] or array.dtype != DTYPES[name]:
            return f"{name} is {array.dtype} {array.shape}"
        if not np.isfinite(array).all():
            return f"{name} is not finite"
    if not 1 <= frames <= dataset["clip_length"]:
        return f"{frames} frames, more than the {dataset['clip_length']} of dataset.json"
    if abs(np.linalg.norm(arrays["gravity"].astype(np.float64)) - 1) > 1e-3:
        return f"gravity {arrays['gravity']} is not a unit vector"
    return ""


def kind(path: str | None) -> str:
    """Return the format a motion was read from: its file's suffix, or `embedded`."""
    return "embedded" if path is None else Path(path).suffix.lower()
