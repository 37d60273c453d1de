"""Pose augmentation: rotates a clip's joints slightly, by constant random rotations.

A motion collection has few kinds of poses, to which a network trained on it is biased. PoseAug
(Gong et al., CVPR 2021) learns to rotate joints for lifting networks. Here, rotations are drawn at
random, and are constant over a clip so that its motion stays as smooth as captured.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import quaternion as quat
from datagen.common.record import SMPL_JOINTS

_MIDDLE = ("spine1", "spine2", "spine3")
_PAIRED = ("hip", "knee", "shoulder", "elbow")
TURNED = [SMPL_JOINTS.index(f"{side}_{name}") for name in _PAIRED for side in ("left", "right")]
TURNED += [SMPL_JOINTS.index(name) for name in _MIDDLE]
"""Joints that are rotated, of SMPL's 24: those that move the limbs and the trunk."""


def vary(
    pose: Float[np.ndarray, "t 72"], noise: float, rng: np.random.Generator
) -> Float[np.ndarray, "t 72"]:
    """Return a clip's poses with the TURNED joints rotated by rotations drawn once per clip.

    Each joint's rotation vector is drawn from N(0, (noise·r)²) per axis, with r from N(0, 1) for
    the clip: many clips stay close to their motion, a few differ a lot.

    Args:
        pose: float [T, 72] axis-angle, radians.
        noise: RMS angle per axis, degrees; 0 returns the poses unchanged.
    """
    if not noise:
        return pose
    reach = np.radians(noise) * rng.standard_normal()
    turn = np.zeros((24, 3))
    turn[TURNED] = reach * rng.standard_normal((len(TURNED), 3))
    local = quat.multiply(quat.from_axis_angle(pose.reshape(-1, 24, 3)), quat.from_axis_angle(turn))
    return quat.to_axis_angle(local).reshape(pose.shape).astype(pose.dtype)
