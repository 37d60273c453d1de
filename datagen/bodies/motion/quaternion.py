"""Rotations of whole clips as arrays of unit quaternions.

Quaternions are [..., 4] in the order x, y, z, w (as in scipy). All functions broadcast over the
leading axes, so a take of N frames and K joints is rotated in one call.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


def multiply(
    a: Float[np.ndarray, "*#batch 4"], b: Float[np.ndarray, "*#batch 4"]
) -> Float[np.ndarray, "... 4"]:
    """Return a·b: rotation by b, then by a."""
    ax, ay, az, aw = np.moveaxis(np.asarray(a), -1, 0)
    bx, by, bz, bw = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )


def inverse(q: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 4"]:
    """Return the inverse rotation of unit quaternions."""
    return np.asarray(q) * np.array([-1.0, -1.0, -1.0, 1.0])


def normalise(q: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 4"]:
    """Return q scaled to unit length; q must not be zero."""
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def rotate(
    q: Float[np.ndarray, "*#batch 4"], v: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "... 3"]:
    """Return vectors [..., 3] rotated by q."""
    xyz, w = q[..., :3], q[..., 3:]
    t = 2.0 * np.cross(xyz, v)
    return v + w * t + np.cross(xyz, t)


def from_axis_angle(vector: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 4"]:
    """Return the quaternions of axis-angle vectors [..., 3], radians."""
    vector = np.asarray(vector, dtype=np.float64)
    half = 0.5 * np.linalg.norm(vector, axis=-1, keepdims=True)
    # sin(h)/(2h) via sinc, which handles the limit at zero
    return np.concatenate([0.5 * np.sinc(half / np.pi) * vector, np.cos(half)], axis=-1)


def to_axis_angle(q: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 3"]:
    """Return axis-angle vectors [..., 3], radians, of length at most pi."""
    q = np.where(q[..., 3:] < 0, -q, q)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., 3:])
    return q[..., :3] * np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-9)


def about(axis: int, angle: np.ndarray | float) -> np.ndarray:
    """Return rotations by `angle` (radians, [...]) about coordinate axis 0, 1 or 2."""
    angle = np.asarray(angle, dtype=np.float64)
    q = np.zeros((*angle.shape, 4))
    q[..., axis] = np.sin(0.5 * angle)
    q[..., 3] = np.cos(0.5 * angle)
    return q


def from_matrix(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 4"]:
    """Return the quaternion of one proper rotation matrix [3, 3]."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(matrix).as_quat()


def between(
    a: Float[np.ndarray, "*#batch 3"], b: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "... 4"]:
    """Return the shortest rotation from direction a to direction b (both [..., 3])."""
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    q = np.concatenate([np.cross(a, b), 1.0 + np.sum(a * b, axis=-1, keepdims=True)], axis=-1)
    # opposite directions: half a turn about any axis perpendicular to a
    spare = np.where(np.abs(a[..., :1]) < 0.9, np.cross(a, [1.0, 0, 0]), np.cross(a, [0, 1.0, 0]))
    half_turn = np.concatenate([spare, np.zeros_like(a[..., :1])], axis=-1)
    return normalise(np.where(np.linalg.norm(q, axis=-1, keepdims=True) < 1e-6, half_turn, q))


def slerp(
    a: Float[np.ndarray, "*#batch 4"], b: Float[np.ndarray, "*#batch 4"], share: np.ndarray | float
) -> Float[np.ndarray, "... 4"]:
    """Return the spherical interpolation from a to b along the shorter arc; share is 0 to 1."""
    share = np.asarray(share)[..., None] if np.ndim(share) else share
    return multiply(a, from_axis_angle(share * to_axis_angle(multiply(inverse(a), b))))


def twist(q: Float[np.ndarray, "*batch 4"], axis: np.ndarray) -> Float[np.ndarray, "*batch 4"]:
    """Return the twist of q about the unit `axis`: q = swing · twist."""
    along = np.sum(q[..., :3] * axis, axis=-1, keepdims=True)
    part = np.concatenate([along * axis, q[..., 3:]], axis=-1)
    length = np.linalg.norm(part, axis=-1, keepdims=True)
    # a half turn perpendicular to the axis has undefined twist: use none
    return np.where(length > 1e-6, part / np.maximum(length, 1e-6), IDENTITY)


def continuous(q: Float[np.ndarray, "n *batch 4"]) -> Float[np.ndarray, "n *batch 4"]:
    """Return q [N, ..., 4] with signs chosen to be continuous over time."""
    flips = np.sum(q[1:] * q[:-1], axis=-1) < 0
    sign = np.where(np.cumsum(flips, axis=0) % 2 == 1, -1.0, 1.0)
    return np.concatenate([q[:1], q[1:] * sign[..., None]])
