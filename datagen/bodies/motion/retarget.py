"""Retargets motion from any captured skeleton to SMPL's 24 joints.

A reader (bvh, asf, deepmimic) returns a `Take`: world orientations of its own joints relative to
its own rest pose. Two differences from SMPL are corrected here:

- axes: the take's rest skeleton is rotated to y up, left at +x, facing +z;
- the rest pose: a limb may hang in one skeleton's rest pose and be spread in the other's, so
  R_smpl = R_source · A, where A rotates SMPL's rest bone to the source's.

Letters: N frames, K source joints.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import anatomy, bind_pose
from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.glitches import bridge
from datagen.bodies.motion.take import Take
from datagen.common.record import SMPL_PARENTS

RATE = 30.0  # frames per second of every motion in the library

_NEXT = {1: 4, 2: 5, 4: 7, 5: 8, 16: 18, 17: 19, 18: 20, 19: 21}
"""SMPL's long bones: joint → the joint at the bone's far end."""

_SPINE = (0, 3, 6, 9, 12, 15)
"""Pelvis to head; spine joints that a source lacks share the rotation between their neighbours."""

SOLE = 0.025  # metres from SMPL's foot joint (ball of the foot) to the ground when standing

_WRIST_BEND = np.radians(60.0)


def forward(
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "24 3"],
) -> Float[np.ndarray, "n 24 3"]:
    """Return SMPL's joints [N, 24, 3] from local quaternions [N, 24, 4] and the pelvis [N, 3]."""
    world = to_world(rotations)
    joints = np.empty((len(rotations), 24, 3))
    joints[:, 0] = pelvis
    for joint in range(1, 24):
        parent = SMPL_PARENTS[joint]
        bone = rest[joint] - rest[parent]
        joints[:, joint] = joints[:, parent] + quat.rotate(world[:, parent], bone)
    return joints


def to_world(rotations: Float[np.ndarray, "n 24 4"]) -> Float[np.ndarray, "n 24 4"]:
    """Return world orientations [N, 24, 4] from local rotations."""
    world = np.array(rotations, dtype=np.float64)
    for joint in range(1, 24):
        world[:, joint] = quat.multiply(world[:, SMPL_PARENTS[joint]], world[:, joint])
    return world


def to_local(world: Float[np.ndarray, "n 24 4"]) -> Float[np.ndarray, "n 24 4"]:
    """Return rotations relative to the parent [N, 24, 4] from world orientations."""
    parents = list(SMPL_PARENTS[1:])
    local = np.array(world, dtype=np.float64)
    local[:, 1:] = quat.multiply(quat.inverse(world[:, parents]), world[:, 1:])
    return local


def canonical(take: Take) -> Take:
    """Return the take rotated so that its rest skeleton has y up and its left side at +x."""
    rest, roles = take.rest, take.roles
    up = _nearest_axis(rest[roles[9]] - 0.5 * (rest[roles[7]] + rest[roles[8]]))
    left = rest[roles[1]] - rest[roles[2]] + rest[roles[16]] - rest[roles[17]]
    left = _nearest_axis(left * (1 - np.abs(up)))
    turn = quat.from_matrix(np.stack([left, up, np.cross(left, up)]))
    rotations = quat.multiply(quat.multiply(turn, take.rotations), quat.inverse(turn))
    return Take(
        rest=quat.rotate(turn, rest),
        rotations=rotations,
        positions=quat.rotate(turn, take.positions),
        times=take.times,
        roles=roles,
    )


def retarget(
    take: Take, rest: Float[np.ndarray, "24 3"]
) -> tuple[Float[np.ndarray, "n 24 4"], Float[np.ndarray, "n 3"]]:
    """Return SMPL's local rotations [N, 24, 4] and pelvis positions [N, 3] in metres.

    `rest` [24, 3] are the target body's rest joints. The pelvis's path is scaled by the ratio of
    leg lengths, so that steps keep their proportion and feet stay on the ground.
    """
    take = unmirrored(take)
    if bind_pose.along_axes(take):
        take = canonical(take)
        align = _upright_alignments(take, rest)
    else:
        take, posed = bind_pose.rebased(bind_pose.level(take))
        align = bind_pose.alignments(take, rest, posed)
    source, roles = take.rest, take.roles
    world: dict[int, np.ndarray] = {}
    for joint, index in roles.items():
        world[joint] = take.rotations[:, index]
        if joint in align:
            world[joint] = quat.multiply(world[joint], align[joint])

    world = {joint: np.array(turns) for joint, turns in world.items()}
    bridge(world, take.times)
    _fill_spine(world)
    rotations = np.empty((len(take.rotations), 24, 4))
    for joint in range(24):
        inherited = rotations[:, SMPL_PARENTS[joint]] if joint else quat.IDENTITY
        rotations[:, joint] = world.get(joint, inherited)
    rotations = _ease_wrists(to_local(rotations), rest)

    scale = leg_length(rest) / leg_length(source, roles)
    hips = 0.5 * scale * (take.positions[:, roles[1]] + take.positions[:, roles[2]])
    offset = 0.5 * (rest[1] + rest[2]) - rest[0]
    pelvis = hips - quat.rotate(rotations[:, 0], offset)
    return rotations, pelvis


def unmirrored(take: Take) -> Take:
    """Return the take in right-handed coordinates, mirrored if its knees and toes require it."""
    if not anatomy.is_mirrored(take.positions, take.roles):
        return take
    flip, turned = np.array([-1.0, 1.0, 1.0]), np.array([1.0, -1.0, -1.0, 1.0])
    lead = None if take.lead is None else (take.lead[0] * flip, take.lead[1] * turned)
    return replace(
        take,
        rest=take.rest * flip,
        rotations=take.rotations * turned,
        positions=take.positions * flip,
        lead=lead,
    )


def _upright_alignments(take: Take, rest: np.ndarray) -> dict[int, np.ndarray]:
    """Return A of the limbs of a skeleton whose zero pose is aligned with the axes."""
    source, roles = take.rest, take.roles
    align: dict[int, np.ndarray] = {}
    for joint, tip in _NEXT.items():
        bone = source[roles[tip]] - source[roles[joint]]
        align[joint] = quat.between(rest[tip] - rest[joint], bone)
    for hand, forearm in ((20, 18), (21, 19)):
        align[hand] = align[forearm]  # in the rest pose, the hand is in line with the forearm
    for shin, tip, below in ((4, 7, (7, 10)), (5, 8, (8, 11))):
        # CMU's skeletons stand with legs apart at rest, and their soles are tilted with the shins
        bone = (source[roles[tip]] - source[roles[shin]]) * [1.0, 1.0, 0.0]
        align[below[0]] = align[below[1]] = quat.between(np.array([0.0, -1.0, 0.0]), bone)
    return align


def leg_length(rest: Float[np.ndarray, "k 3"], roles: dict[int, int] | None = None) -> float:
    """Return the mean leg length, hip to knee to ankle, in the unit of `rest`."""
    at = {joint: joint for joint in (1, 2, 4, 5, 7, 8)} if roles is None else roles
    bones = ((1, 4), (4, 7), (2, 5), (5, 8))
    return 0.5 * float(sum(np.linalg.norm(rest[at[b]] - rest[at[a]]) for a, b in bones))


def sole_heights(
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "24 3"],
) -> Float[np.ndarray, "n 2 3"]:
    """Return the heights [N, 2, 3] of heel, ball and toe tip of the left and right sole."""
    world = to_world(rotations)
    joints = forward(rotations, pelvis, rest)
    heights = np.empty((len(rotations), 2, 3))
    for side, (ankle, ball) in enumerate(((7, 10), (8, 11))):
        drop = rest[ball, 1] - SOLE - rest[ankle, 1]
        heel = joints[:, ankle] + quat.rotate(world[:, ankle], np.array([0.0, drop, -0.04]))
        tread = joints[:, ball] + quat.rotate(world[:, ball], np.array([0.0, -SOLE, 0.0]))
        tip = joints[:, ball] + quat.rotate(world[:, ball], np.array([0.0, -SOLE, 0.07]))
        heights[:, side] = np.stack([heel[:, 1], tread[:, 1], tip[:, 1]], axis=1)
    return heights


def ground(
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "24 3"],
) -> Float[np.ndarray, "n 3"]:
    """Return the pelvis path with a constant vertical shift so that the soles are on y = 0.

    The floor is a low quantile of the lowest sole point over time, which is robust to jumps and to
    single frames in which a noisy toe is below the ground.
    """
    lowest = sole_heights(rotations, pelvis, rest).min(axis=(1, 2))
    return pelvis - np.array([0.0, np.quantile(lowest, 0.1), 0.0])


def resample(
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    times: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "m 24 4"], Float[np.ndarray, "m 3"]]:
    """Return both at 30 frames per second; `times` [N] are the input's, seconds, increasing.

    Rotations are interpolated by slerp between neighbouring samples, positions linearly.
    """
    span = times[-1] - times[0]
    wanted = times[0] + np.arange(int(np.floor(span * RATE + 1e-3)) + 1) / RATE
    after = np.clip(np.searchsorted(times, wanted, side="right"), 1, len(times) - 1)
    share = (wanted - times[after - 1]) / (times[after] - times[after - 1])
    share = np.clip(share, 0.0, 1.0)
    turned = quat.slerp(rotations[after - 1], rotations[after], share[:, None])
    moved = pelvis[after - 1] + share[:, None] * (pelvis[after] - pelvis[after - 1])
    return turned, moved


def _nearest_axis(vector: np.ndarray) -> np.ndarray:
    axis = np.zeros(3)
    largest = int(np.argmax(np.abs(vector)))
    axis[largest] = np.sign(vector[largest]) or 1.0
    return axis


def _fill_spine(world: dict[int, np.ndarray]) -> None:
    known = [joint for joint in _SPINE if joint in world]
    for below, above in pairwise(known):
        first, last = _SPINE.index(below), _SPINE.index(above)
        for place in range(first + 1, last):
            share = (place - first) / (last - first)
            world[_SPINE[place]] = quat.slerp(world[below], world[above], share)


def _ease_wrists(local: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Move half of each hand's twist about the forearm to the forearm, and limit the wrist's bend.

    Captured skeletons twist the palm at the wrist, but real forearms twist along their whole
    length, and a mesh that twists only at the wrist collapses there. Hands have few markers, so
    bends beyond a wrist's range are noise.
    """
    local = local.copy()
    for elbow, wrist in ((18, 20), (19, 21)):
        axis = rest[wrist] - rest[elbow]
        axis = axis / np.linalg.norm(axis)
        half = quat.slerp(quat.IDENTITY, quat.twist(local[:, wrist], axis), 0.5)
        local[:, elbow] = quat.multiply(local[:, elbow], half)
        left_over = quat.multiply(quat.inverse(half), local[:, wrist])
        turn = quat.twist(left_over, axis)
        bend = quat.to_axis_angle(quat.multiply(left_over, quat.inverse(turn)))
        size = np.linalg.norm(bend, axis=-1, keepdims=True)
        bend = bend * np.minimum(1.0, _WRIST_BEND / np.maximum(size, 1e-9))
        local[:, wrist] = quat.multiply(quat.from_axis_angle(bend), turn)
    return local
