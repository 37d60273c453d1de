"""Conversions of rotations (6-D, axis-angle, matrices), and similarity alignment.

All functions are batched over leading dimensions and differentiable. Letters: ... any batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SMPL_MIRROR = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
"""Left-right counterpart of each of SMPL's 24 joints."""


def matrix_from_6d(sixd: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Return rotation matrices [..., 3, 3] of 6-D vectors [..., 6] by Gram-Schmidt.

    The six numbers are the first two columns read row by row, as SPIN stores them (Zhou et al.,
    CVPR 2019), so the mean-parameter files of that family fit.
    """
    columns = sixd.unflatten(-1, (3, 2))
    first = F.normalize(columns[..., 0], dim=-1)
    second = columns[..., 1]
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack((first, second, torch.linalg.cross(first, second)), dim=-1)


def sixd_from_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """Return the 6-D vectors [..., 6] of rotation matrices [..., 3, 3]."""
    return matrix[..., :2].flatten(-2)


def matrix_from_axis_angle(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return rotation matrices [..., 3, 3] of axis-angle vectors [..., 3], radians (Rodrigues)."""
    squared = (axis_angle**2).sum(-1)[..., None, None]
    # Below this angle the series of sin(a)/a and (1-cos a)/a² is exact in float32, and unlike the
    # quotients it has a finite gradient.
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / safe)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + sine * skew + cosine * (skew @ skew)


def axis_angle_from_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Return axis-angle vectors [..., 3] of rotation matrices [..., 3, 3], angles in [0, π].

    Converts by the quaternion, with its largest component as pivot, and so is accurate near π
    (the rotation of a person who is upright in camera axes is about π).
    """
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    # Rows of K = 4·q·qᵀ; every row is the quaternion times one of its own components.
    rows = torch.stack(
        (
            1 + trace,
            m[..., 2, 1] - m[..., 1, 2],
            m[..., 0, 2] - m[..., 2, 0],
            m[..., 1, 0] - m[..., 0, 1],
            m[..., 2, 1] - m[..., 1, 2],
            1 + 2 * m[..., 0, 0] - trace,
            m[..., 0, 1] + m[..., 1, 0],
            m[..., 0, 2] + m[..., 2, 0],
            m[..., 0, 2] - m[..., 2, 0],
            m[..., 0, 1] + m[..., 1, 0],
            1 + 2 * m[..., 1, 1] - trace,
            m[..., 1, 2] + m[..., 2, 1],
            m[..., 1, 0] - m[..., 0, 1],
            m[..., 0, 2] + m[..., 2, 0],
            m[..., 1, 2] + m[..., 2, 1],
            1 + 2 * m[..., 2, 2] - trace,
        ),
        -1,
    ).unflatten(-1, (4, 4))
    pivot = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    quaternion = F.normalize(
        rows.gather(-2, pivot[..., None, None].expand(*pivot.shape, 1, 4)).squeeze(-2), dim=-1
    )
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    length = quaternion[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, quaternion[..., :1])
    scale = torch.where(length < 1e-6, torch.full_like(length, 2.0), angle / length.clamp_min(1e-6))
    return quaternion[..., 1:] * scale


def nearest(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotations nearest to matrices [..., 3, 3]; for a sum of rotations, their mean.

    Moakher, Means and averaging in the group of rotations (2002).
    """
    u, _, vh = torch.linalg.svd(matrix)
    side = torch.ones_like(u[..., 0])
    side[..., 2] = torch.linalg.det(u @ vh)
    return (u * side[..., None, :]) @ vh


class Alignment(NamedTuple):
    """The similarity x → s·R·x + t."""

    scale: Tensor
    rotation: Tensor
    shift: Tensor

    def __call__(self, points: Float[Tensor, "*batch j 3"]) -> Float[Tensor, "*batch j 3"]:
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.shift[..., None, :]


@torch.no_grad()
def similarity(
    source: Float[Tensor, "*batch j 3"], target: Float[Tensor, "*batch j 3"]
) -> Alignment:
    """Return the least-squares similarity that aligns source [..., J, 3] with target.

    Umeyama's closed form with the reflection excluded. Without gradient: at the optimum the
    alignment's own derivative vanishes (envelope theorem), so the gradient of the aligned squared
    error is exact. Computed in the dtype given, which must be float32 or float64.
    """
    source_mean = source.mean(-2, keepdim=True)
    target_mean = target.mean(-2, keepdim=True)
    x, y = source - source_mean, target - target_mean
    u, singular, vh = torch.linalg.svd(y.transpose(-1, -2) @ x)
    sign = torch.sign(torch.linalg.det(u @ vh))
    # The sign is never 0, as u and vh are orthogonal. Flipping the weakest axis gives a rotation.
    flip = torch.ones_like(singular)
    flip[..., -1] = sign
    rotation = (u * flip[..., None, :]) @ vh
    spread = (x**2).sum((-1, -2)).clamp_min(torch.finfo(x.dtype).tiny)
    scale = (singular * flip).sum(-1) / spread
    shift = target_mean.squeeze(-2) - scale[..., None] * (
        rotation @ source_mean.transpose(-1, -2)
    ).squeeze(-1)
    return Alignment(scale, rotation, shift)
