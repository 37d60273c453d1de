"""Converts MakeHuman's A pose to SMPL's T pose by linear blend skinning.

V vertices, N people.
"""

from __future__ import annotations

import numpy as np

from datagen.assets.build.rig import MIRROR, right
from datagen.common.record import SMPL_JOINTS, SMPL_PARENTS

# SMPL's rest pose: joint -> (child, direction towards it), left side.
T_POSE = {
    "left_shoulder": ("left_elbow", (1, -0.05, -0.08)),
    "left_elbow": ("left_wrist", (1, 0.02, -0.02)),
    "left_wrist": ("left_hand", (1, -0.05, 0.02)),
    "left_hip": ("left_knee", (0.09, -1, -0.02)),
    "left_knee": ("left_ankle", (-0.03, -1, -0.09)),
    "left_ankle": ("left_foot", (0.12, -0.42, 0.9)),
}


def to_t_pose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray):
    """Transform people [N,V,3] from MakeHuman's A pose to SMPL's T pose."""
    turn = np.tile(np.eye(3), (len(vertices), 24, 1, 1))
    for i in range(1, 24):
        turn[:, i] = turn[:, SMPL_PARENTS[i]]
        name, flip = SMPL_JOINTS[i], np.ones(3)
        if name.startswith("right_"):
            name, flip = name.replace("right_", "left_"), MIRROR
        if name in T_POSE:
            child, direction = T_POSE[name]
            child = SMPL_JOINTS.index(child if flip[0] > 0 else right(child))
            turn[:, i] = aligning(joints[:, child] - joints[:, i], np.array(direction) * flip)
    return skin(vertices, joints, turn, weights)


def aligning(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the smallest rotations [N,3,3] from directions [N,3] to one direction [3]."""
    a = source / np.linalg.norm(source, axis=-1, keepdims=True)
    b = target / np.linalg.norm(target)
    cross, dot = np.cross(a, b), a @ b
    k = np.zeros((len(a), 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -cross[:, 2], cross[:, 1], -cross[:, 0]
    k -= k.transpose(0, 2, 1)
    return np.eye(3) + k + k @ k / (1 + dot)[:, None, None]


def skin(
    vertices: np.ndarray, joints: np.ndarray, turn: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pose by linear blend skinning with world rotations `turn` [N,24,3,3]."""
    posed = np.zeros_like(joints)
    posed[:, 0] = joints[:, 0]
    for i, parent in enumerate(SMPL_PARENTS[1:], start=1):
        posed[:, i] = posed[:, parent] + np.einsum(
            "nij,nj->ni", turn[:, parent], joints[:, i] - joints[:, parent]
        )
    shift = posed - np.einsum("nkij,nkj->nki", turn, joints)
    out = np.einsum("vk,nkij,nvj->nvi", weights, turn, vertices, optimize=True)
    return out + np.einsum("vk,nki->nvi", weights, shift), posed
