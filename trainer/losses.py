"""The paper's two losses, and the small terms that keep what they leave free.

L = 10·L2d + 600·L3d + 1e-3·|β|²: reprojection error of the 3D pose, and
3D error after similarity alignment. Both are sums over the whole step divided by its whole count,
so micro-batches and ranks add up to exactly the gradient of one large batch.
Letters: N frames, J evaluation joints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Alignment(NamedTuple):
    """The similarity x → s·R·x + t."""

    scale: Tensor
    rotation: Tensor
    shift: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.shift[..., None, :]


@torch.no_grad()
def similarity(source: Tensor, target: Tensor) -> Alignment:
    """Return the similarity that brings source [..., J, 3] nearest to target, in least squares.

    Umeyama's closed form with the reflection excluded. Without gradient: at the optimum the
    alignment's own derivative vanishes (envelope theorem), so the gradient of the aligned squared
    error is exact. In the dtype given; call it with float32 or float64.
    """
    source_mean = source.mean(-2, keepdim=True)
    target_mean = target.mean(-2, keepdim=True)
    x, y = source - source_mean, target - target_mean
    u, singular, vh = torch.linalg.svd(y.transpose(-1, -2) @ x)
    sign = torch.sign(torch.linalg.det(u @ vh))
    # One is never 0: u and vh are orthogonal. Flipping the weakest axis leaves a rotation.
    flip = torch.ones_like(singular)
    flip[..., -1] = sign
    rotation = (u * flip[..., None, :]) @ vh
    spread = (x**2).sum((-1, -2)).clamp_min(torch.finfo(x.dtype).tiny)
    scale = (singular * flip).sum(-1) / spread
    shift = target_mean.squeeze(-2) - scale[..., None] * (
        rotation @ source_mean.transpose(-1, -2)
    ).squeeze(-1)
    return Alignment(scale, rotation, shift)


def aligned_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return Σ_n w_n · mean_j |s·R·p_j + t − g_j|², m², over frames [N, J, 3] with weight [N]."""
    predicted, target = predicted.float(), target.float()
    aligned = similarity(predicted, target)(predicted)
    return (weight * ((aligned - target) ** 2).sum(-1).mean(-1)).sum()


def reprojection_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return Σ w·|x̂ − x|₁ in crop units over joints [N, J, 2] with weight [N, J]."""
    return (weight[..., None] * (predicted.float() - target).abs()).sum()


def pose_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return Σ_n w_n · mean squared difference of the bones' rotation matrices [N, 24, 3, 3]."""
    return (weight * ((predicted - target) ** 2).flatten(1).mean(1)).sum()
