"""A motion as Biovision hierarchy (.bvh), for Blender, Maya, MotionBuilder, Unity and Unreal.

SMPL's 24 joints with the names of Mixamo's skeleton, centimetres, y up, rotation order Z X Y; the
rest pose is the T pose, facing +z.
"""

# L frames

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from datagen.bodies.smpl.model import Body
from datagen.common.record import SMPL_JOINTS, SMPL_PARENTS
from datagen.replay.world import WorldMotion, even

CENTIMETRES = 100.0
ORDER = "ZXY"
"""Rotation order, intrinsic."""
NAMES = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck",
    "head": "Head", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
    "hand": "HandMiddle1",
}  # fmt: skip
ENDS = {"head": (0.0, 0.16, 0.02), "left_foot": (0.0, 0.0, 0.06), "right_foot": (0.0, 0.0, 0.06),
        "left_hand": (0.08, 0.0, 0.0), "right_hand": (-0.08, 0.0, 0.0)}  # fmt: skip
"""Ends of the last bones, metres from their joint; they only show the bone's direction."""


def of_motion(body: Body, motion: WorldMotion) -> str:
    """Return the text of a .bvh; unevenly spaced times are resampled."""
    motion = even(motion).y_up(body)
    rest = body.rest_joints(motion.betas).astype(np.float64)
    order: list[int] = []
    lines = ["HIERARCHY", *_joint(0, rest, order)]
    turns = Rotation.from_rotvec(motion.pose.reshape(-1, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # gimbal lock: any solution is correct
        angles = turns.as_euler(ORDER, degrees=True).reshape(len(motion), -1, 3)
    place = CENTIMETRES * (rest[0] + motion.trans)
    rows = np.concatenate([place, angles[:, order].reshape(len(motion), -1)], axis=1)
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1 / motion.rate:.8f}"]
    lines += [" ".join(f"{value:.5f}" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def _joint(joint: int, rest: np.ndarray, order: list[int], indent: str = "") -> list[str]:
    """Return the lines of a joint and its descendants; append their indices to `order`."""
    order.append(joint)
    name, parent = SMPL_JOINTS[joint], SMPL_PARENTS[joint]
    offset = rest[joint] - rest[parent] if parent >= 0 else np.zeros(3)
    turns = " ".join(f"{axis}rotation" for axis in ORDER)
    places = "" if parent >= 0 else "Xposition Yposition Zposition "
    inner = indent + "\t"
    lines = [
        f"{indent}{'JOINT' if parent >= 0 else 'ROOT'} {_name(name)}",
        f"{indent}{{",
        f"{inner}OFFSET {_numbers(offset)}",
        f"{inner}CHANNELS {6 if places else 3} {places}{turns}",
    ]
    for child, above in enumerate(SMPL_PARENTS):
        if above == joint:
            lines += _joint(child, rest, order, inner)
    if name in ENDS:
        end = f"{inner}\tOFFSET {_numbers(np.array(ENDS[name]))}"
        lines += [f"{inner}End Site", f"{inner}{{", end, f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _name(joint: str) -> str:
    """Return Mixamo's name for one of SMPL's joints: left_knee → LeftLeg."""
    side, _, part = joint.rpartition("_")
    return side.capitalize() + NAMES[part]


def _numbers(metres: np.ndarray) -> str:
    return " ".join(f"{CENTIMETRES * value:.6f}" for value in metres)
