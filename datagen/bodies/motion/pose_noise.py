"""Postures that no motion has: a clip's joints turned a little, the same way for its whole length.

A motion collection holds few kinds of pose, and a network trained on it leans to them. Turning
joints at random is what PoseAug (Gong et al., CVPR 2021) learns to do for lifting networks; here
the draw is plain, and holds for a clip so that its motion stays as smooth as it was captured.
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
"""Joints that are turned, of SMPL's 24: those that move the limbs and the trunk."""


def vary(
    pose: Float[np.ndarray, "t 72"], noise: float, rng: np.random.Generator
) -> Float[np.ndarray, "t 72"]:
    """Return a clip's poses with the TURNED joints turned by rotations drawn once.

    Each joint's rotation vector is drawn from N(0, (noise·r)²) per axis with r from N(0, 1) for the
    clip: many clips stay near their motion, a few go far from it.

    Args:
        pose: float [T, 72] axis-angle, radians.
        noise: root mean square of an axis' angle, degrees; 0 returns the poses as they are.
    """
    if not noise:
        return pose
    reach = np.radians(noise) * rng.standard_normal()
    turn = np.zeros((24, 3))
    turn[TURNED] = reach * rng.standard_normal((len(TURNED), 3))
    local = quat.multiply(quat.from_axis_angle(pose.reshape(-1, 24, 3)), quat.from_axis_angle(turn))
    return quat.to_axis_angle(local).reshape(pose.shape).astype(pose.dtype)
