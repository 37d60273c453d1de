"""Joint frames of a skeleton whose zero pose is not a T or A pose along the axes.

In LaFAN1, Character Creator and Maya's joint orients, every bone lies along an axis of its own
joint, so the pose with zero angles is not a posture. For each joint, this module determines the
rotation A between its frame and SMPL's: R_smpl = R_source · A. The bones determine A up to a
rotation about the bone. That rotation comes from the zero pose if it is a posture, else from a rest
frame before the take, else from the take itself (knees bend backwards, elbows forwards, and other
joints have zero mean twist).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import anatomy
from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.anatomy import is_rest, is_spread, sampled, unit
from datagen.bodies.motion.take import Take
from datagen.common.record import SMPL_PARENTS

_HINGES = {1: (4, 7, -1.0), 2: (5, 8, -1.0), 16: (18, 20, 1.0), 17: (19, 21, 1.0)}
"""Joint → the hinge at its bone's end, the next joint, and the bending direction along SMPL's z."""

_BENT = 0.15  # least mean sine of a hinge's angle for a reliable axis
_ORDER = (0, 3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8, 10, 11)


def along_axes(take: Take) -> bool:
    """Return whether the zero pose is aligned with the coordinate axes, as in most exporters."""
    rest, roles = take.rest, take.roles
    if not is_rest(rest, roles):
        return False
    shoulders = 0.5 * (rest[roles[16]] + rest[roles[17]])
    base = 0.5 * (rest[roles[1]] + rest[roles[2]])
    left = rest[roles[1]] - rest[roles[2]] + rest[roles[16]] - rest[roles[17]]
    legs = base - 0.5 * (rest[roles[7]] + rest[roles[8]])
    axis = int(np.abs(legs).argmax())
    if _tilt(left, int(np.abs(left).argmax())) > 4.0 or _tilt(legs, axis) > 8.0:
        return False
    trunk = max(_tilt(rest[roles[9]] - base, axis), _tilt(shoulders - base, axis))
    chain = [roles[joint] for joint in (0, 3, 6, 9, 12, 15) if joint in roles]
    bones = [rest[b] - rest[a] for a, b in pairwise(chain)]
    return trunk < 12.0 and all(_tilt(bone, axis) < 14.0 for bone in bones if bone.any())


def _tilt(vector: np.ndarray, axis: int) -> float:
    """Return the angle between a vector and a coordinate axis of either sign, degrees."""
    return float(np.degrees(np.arccos(min(1.0, abs(unit(vector)[axis])))))


def level(take: Take) -> Take:
    """Return the take with its world rotated to y up."""
    up = anatomy.up_axis(take.positions, take.roles)
    turn = quat.between(up, np.array([0.0, 1.0, 0.0]))
    return replace(
        take,
        rotations=quat.multiply(turn, take.rotations),
        positions=quat.rotate(turn, take.positions),
    )


def rebased(take: Take) -> tuple[Take, bool]:
    """Return the take relative to a rest pose that is a posture, and whether there is one."""
    if is_rest(take.rest, take.roles):
        return take, True
    if take.lead is not None:
        positions, rotations = take.lead
        if is_spread(positions, take.roles):
            turned = quat.multiply(take.rotations, quat.inverse(rotations))
            return replace(take, rest=positions, rotations=turned), True
    return take, False


def alignments(
    take: Take, rest: Float[np.ndarray, "24 3"], posed: bool
) -> dict[int, Float[np.ndarray, " 4"]]:
    """Return A [4] for each SMPL joint of the take; `rest` [24, 3] is SMPL's own.

    posed: whether the take's rest pose is a posture, so that its bones are reached from SMPL's by
    the shortest rotation.
    """
    frames = sampled(len(take.rotations))
    turns, points = take.rotations[frames], take.positions[frames]
    found: dict[int, np.ndarray] = {}
    for joint in _ORDER:
        if joint not in take.roles:
            continue
        if joint in (0, 9):
            found[joint] = _trunk(joint, take.roles, turns, points, rest)
            continue
        above = _above(joint, take.roles)
        tip = _tip(joint, take.roles)
        if tip is None:
            found[joint] = found[above] if posed else _mean(joint, above, take.roles, turns, found)
            continue
        bone = _bone(joint, tip, take.roles, turns, points)
        if posed and joint in (7, 8):
            found[joint] = _flat(found[0], rest[tip] - rest[joint], bone)
            continue
        start = found[_trunk_of(joint)] if posed and joint in (1, 2, 16, 17) else found[above]
        swung = quat.rotate(start, rest[tip] - rest[joint])
        align = quat.multiply(quat.between(swung, bone), start)
        if not posed:
            axis = unit(rest[tip] - rest[joint])
            angle = _hinge_angle(joint, axis, align, take.roles, turns, points)
            if angle is None:
                angle = -_twist_angle(joint, above, axis, align, take.roles, turns, found)
            align = quat.multiply(align, quat.from_axis_angle(angle * axis))
        found[joint] = align
    return found


def _trunk_of(joint: int) -> int:
    return 0 if joint in (1, 2) else 9


def _above(joint: int, roles: dict[int, int]) -> int:
    parent = SMPL_PARENTS[joint]
    while parent not in roles:
        parent = SMPL_PARENTS[parent]
    return parent


def _tip(joint: int, roles: dict[int, int]) -> int | None:
    """Return the joint at the far end of a joint's bone, None at the end of a limb."""
    chains = ((0, 3, 6, 9), (9, 12, 15), (1, 4, 7, 10), (2, 5, 8, 11), (13, 16, 18, 20),
              (14, 17, 19, 21))  # fmt: skip
    for chain in chains:
        if joint in chain:
            after = chain[chain.index(joint) + 1 :]
            return next((tip for tip in after if tip in roles), None)
    return None


def _bone(
    joint: int, tip: int, roles: dict[int, int], turns: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Return the mean vector from joint to tip in the joint's own frame."""
    way = points[:, roles[tip]] - points[:, roles[joint]]
    return quat.rotate(quat.inverse(turns[:, roles[joint]]), way).mean(axis=0)


def _trunk(
    joint: int, roles: dict[int, int], turns: np.ndarray, points: np.ndarray, rest: np.ndarray
) -> np.ndarray:
    """Return A of pelvis or chest from several bones (Wahba's problem, solved by scipy's SVD)."""
    from scipy.spatial.transform import Rotation

    if joint == 0:
        sides, tip = (1, 2), next(j for j in (3, 6, 9) if j in roles)
    else:
        sides = (13, 14) if {13, 14} <= roles.keys() else (16, 17)
        tip = next((j for j in (12, 15) if j in roles), None)
    left, right = (_bone(joint, side, roles, turns, points) for side in sides)
    theirs, ours = [unit(left - right)], [unit(rest[sides[0]] - rest[sides[1]])]
    if tip is not None:
        theirs.append(unit(_bone(joint, tip, roles, turns, points)))
        ours.append(unit(rest[tip] - rest[joint]))
    else:
        theirs.append(unit(left + right))
        ours.append(unit(rest[sides[0]] + rest[sides[1]] - 2 * rest[joint]))
    fit = Rotation.align_vectors(np.array(theirs), np.array(ours), weights=[4.0, 1.0])
    return fit[0].as_quat()


def _flat(pelvis: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return A of a foot that is flat in the rest pose, for any height of the ankle."""
    flat = np.array([1.0, 0.0, 1.0])
    ahead = quat.rotate(quat.inverse(pelvis), theirs) * flat
    return quat.multiply(pelvis, quat.between(ours * flat, ahead))


def _hinge_angle(
    joint: int, axis: np.ndarray, align: np.ndarray, roles: dict[int, int],
    turns: np.ndarray, points: np.ndarray,
) -> float | None:  # fmt: skip
    """Return the rotation about the bone with which its knee or elbow bends anatomically."""
    if joint not in _HINGES:
        return None
    hinge, end, sign = _HINGES[joint]
    way = unit(points[:, roles[end]] - points[:, roles[hinge]])
    own = quat.multiply(turns[:, roles[joint]], align)
    bent = quat.rotate(quat.inverse(own), way)
    bent = (bent - np.sum(bent * axis, axis=-1, keepdims=True) * axis).mean(axis=0)
    if np.linalg.norm(bent) < _BENT:
        return None
    goal = np.array([0.0, 0.0, sign])
    goal = goal - (goal @ axis) * axis
    return float(np.arctan2(np.cross(goal, bent) @ axis, goal @ bent))


def _twist_angle(
    joint: int, above: int, axis: np.ndarray, align: np.ndarray, roles: dict[int, int],
    turns: np.ndarray, found: dict[int, np.ndarray],
) -> float:  # fmt: skip
    """Return the circular mean of a joint's twist about its bone relative to the joint above."""
    parent = quat.multiply(turns[:, roles[above]], found[above])
    relative = quat.multiply(quat.inverse(parent), quat.multiply(turns[:, roles[joint]], align))
    part = np.stack([relative[:, 3], relative[:, :3] @ axis], axis=-1)
    # squared half angles: q and -q are the same rotation, and half turns have no weight
    cosine, sine = (part[:, 0] ** 2 - part[:, 1] ** 2).sum(), (2 * part[:, 0] * part[:, 1]).sum()
    return float(np.arctan2(sine, cosine))


def _mean(
    joint: int, above: int, roles: dict[int, int], turns: np.ndarray, found: dict[int, np.ndarray]
) -> np.ndarray:
    """Return A of a limb's end such that its mean rotation relative to its neighbour is zero."""
    from scipy.spatial.transform import Rotation

    parent = quat.multiply(turns[:, roles[above]], found[above])
    relative = quat.multiply(quat.inverse(parent), turns[:, roles[joint]])
    return Rotation.from_quat(relative).mean().inv().as_quat()
