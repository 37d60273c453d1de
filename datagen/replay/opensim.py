"""A motion for OpenSim: marker positions (.trc) and joint angles (.mot), as Pose2Sim writes them.

y up, metres, tab-separated. Markers have Pose2Sim's names if it has them; SMPL's joints keep their
own names. The angles are those of its models (Rajagopal's full body): x forward, y up, z to the
right in each segment, rotation order Z X Y, all zero for a person standing with hanging arms. SMPL
has no coordinates for pro_sup, wrist, subtalar and mtp, so these are omitted.
"""

# L frames

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from datagen.bodies.smpl.model import Body
from datagen.common.record import JOINTS, SMPL_JOINTS, SMPL_PARENTS
from datagen.replay.world import R_YUP_WORLD, WorldMotion, even

MARKERS = {
    **{f"lsp_{side}_{part}": f"{side[0].upper()}{part.capitalize()}"
       for side in ("right", "left")
       for part in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")},
    "lsp_neck": "Neck",
    "lsp_head_top": "Head",
}  # fmt: skip
"""Pose2Sim's names for the evaluation joints."""
R_OPENSIM_SMPL = Rotation.from_matrix([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""OpenSim's segments have x forward, y up, z right; SMPL's have x left, y up, z forward."""
HIPS_OF_PELVIS = (-0.0707, -0.0661, 0.0)
"""Metres from the pelvis's origin to the middle of the hips in Pose2Sim's models."""
HANGING = {"right": Rotation.from_euler("x", -90, degrees=True),
           "left": Rotation.from_euler("x", 90, degrees=True)}  # fmt: skip
"""Rotation from hanging arms, where OpenSim's angles are zero, to SMPL's T pose."""
RIGHT = (0.0, 0.0, 1.0)
"""The axis to the right in a segment."""
STRAIGHT = 0.02
"""Fourth power of the sine of the bend at which bones and rotation have equal weight: 22
degrees."""


def markers(body: Body, motion: WorldMotion, name: str) -> str:
    """Return the text of a .trc called `name`; unevenly spaced times are resampled."""
    motion = even(motion)
    places = R_YUP_WORLD.apply(motion.joints(body).reshape(-1, 3)).reshape(len(motion), -1, 3)
    order = [*map(JOINTS.index, MARKERS), *range(len(SMPL_JOINTS))]
    names = [*MARKERS.values(), *SMPL_JOINTS]
    rate = f"{motion.rate:g}"
    count = [rate, rate, str(len(motion)), str(len(names)), "m", rate, "1", str(len(motion))]
    axes = [f"{axis}{n}" for n in range(1, len(names) + 1) for axis in "XYZ"]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
        "OrigNumFrames",
        "\t".join(count),
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(axes),
    ]
    for frame, (time, row) in enumerate(zip(motion.times, places[:, order], strict=True), 1):
        numbers = "\t".join(f"{value:.6f}" for value in row.ravel())
        lines.append(f"{frame}\t{time:.6f}\t{numbers}")
    return "\n".join(lines) + "\n"


def angles(body: Body, motion: WorldMotion, name: str) -> str:
    """Return the text of a .mot called `name`; unevenly spaced times are resampled."""
    motion = even(motion)
    columns = {"time": motion.times, **coordinates(body, motion)}
    lines = [
        name, "version=1", f"nRows={len(motion)}", f"nColumns={len(columns)}", "inDegrees=yes",
        "endheader", "\t".join(columns),
    ]  # fmt: skip
    rows = np.stack(list(columns.values()), axis=1)
    lines += ["\t".join(f"{value:.6f}" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def coordinates(body: Body, motion: WorldMotion) -> dict[str, np.ndarray]:
    """Return OpenSim's coordinates [L] by name: degrees, and metres for the pelvis's position.

    Thighs, shanks, upper arms and forearms follow the joint positions. Knees and elbows are hinges
    in OpenSim, so SMPL's rotation off their axis is added to hip_rotation and arm_rot.
    """
    places = R_YUP_WORLD.apply(motion.joints(body)[:, :24].reshape(-1, 3))
    places = places.reshape(len(motion), 24, 3)
    turns = _segments(motion.y_up(body))
    pelvis, torso = turns[SMPL_JOINTS.index("pelvis")], turns[SMPL_JOINTS.index("spine3")]
    out = _three(pelvis, "pelvis_tilt", "pelvis_list", "pelvis_rotation")
    place = places[:, 1:3].mean(1) - pelvis.apply(HIPS_OF_PELVIS)
    out |= {f"pelvis_t{axis}": place[:, i] for i, axis in enumerate("xyz")}
    for side, sign in (("right", 1.0), ("left", -1.0)):
        end = side[0]
        hip, knee, ankle = (SMPL_JOINTS.index(f"{side}_{n}") for n in ("hip", "knee", "ankle"))
        thigh, bend = _hinged(places[:, [hip, knee, ankle]], turns[hip].apply(RIGHT), -1)
        shank = thigh * Rotation.from_euler("z", -bend[:, None])
        names = [f"hip_{name}_{end}" for name in ("flexion", "adduction", "rotation")]
        out |= _three(pelvis.inv() * thigh, *names, sign=sign)
        out[f"knee_angle_{end}"] = np.degrees(bend)
        out[f"ankle_angle_{end}"] = _zxy(shank.inv() * turns[ankle])[:, 0]
    names = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")
    out |= _three(pelvis.inv() * torso, *names)
    head = turns[SMPL_JOINTS.index("head")]
    out |= _three(torso.inv() * head, "neck_flexion", "neck_bending", "neck_rotation")
    for side, sign in (("right", 1.0), ("left", -1.0)):
        end = side[0]
        limb = [SMPL_JOINTS.index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist")]
        axis = (turns[limb[0]] * HANGING[side]).apply(RIGHT)
        arm, bend = _hinged(places[:, limb], axis, 1)
        names = [f"arm_{name}_{end}" for name in ("flex", "add", "rot")]
        out |= _three(torso.inv() * arm, *names, sign=sign)
        out[f"elbow_flex_{end}"] = np.degrees(bend)
    return out


def _segments(motion: WorldMotion) -> list[Rotation]:
    """Return the world orientation [L] of each of SMPL's joints, in OpenSim's axes."""
    local = motion.pose.reshape(len(motion), -1, 3).swapaxes(0, 1)
    turns: list[Rotation] = []
    for parent, vector in zip(SMPL_PARENTS, local, strict=True):
        own = Rotation.from_rotvec(vector)
        turns.append(own if parent < 0 else turns[parent] * own)
    return [turn * R_OPENSIM_SMPL.inv() for turn in turns]


def _hinged(places: np.ndarray, axis: np.ndarray, sign: int) -> tuple[Rotation, np.ndarray]:
    """Return the orientation [L] of a limb's upper segment, and its hinge's angle [L], radians.

    Its y points up the bone, its z along the hinge: perpendicular to both bones, or along `axis`
    [L,3] if the bones are in line.

    Args:
        places: [L,3,3] the segment's two ends and the end of the next segment.
        axis: the hinge according to the segment's own rotation.
        sign: 1 if the next bone bends forward, -1 if backward.
    """
    upper, lower = (_unit(places[:, i + 1] - places[:, i]) for i in (0, 1))
    across = sign * np.cross(upper, lower)
    bent = (across**2).sum(1, keepdims=True) ** 2
    own = _unit(axis - (axis * upper).sum(1, keepdims=True) * upper)
    known = bent / (bent + STRAIGHT)
    hinge = _unit(known * _unit(across) + (1 - known) * own)
    forward = np.cross(-upper, hinge)
    turn = Rotation.from_matrix(np.stack([forward, -upper, hinge], axis=2))
    bend = np.arctan2(sign * (lower * forward).sum(1), (lower * upper).sum(1))
    return turn, np.unwrap(bend)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _three(
    turns: Rotation, first: str, second: str, third: str, sign: float = 1.0
) -> dict[str, np.ndarray]:
    """Return rotations about z, x and y by name; the last two are multiplied by `sign`."""
    z, x, y = _zxy(turns).T
    return {first: z, second: sign * x, third: sign * y}


def _zxy(turns: Rotation) -> np.ndarray:
    """Return degrees [L,3] about z, x, y, continuous over frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # gimbal lock: any of the angles will do
        found = turns.as_euler("ZXY")
    return np.degrees(np.unwrap(found, axis=0))
