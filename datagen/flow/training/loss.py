"""FlowNet's loss: endpoint errors at five strides."""

# B pairs, S side of an image

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from datagen.flow.flownets import DIV_FLOW

LEVEL_WEIGHTS = (1.0, 0.35, 0.2, 0.15, 0.1)
"""Weight of each level's mean endpoint error, strides 4 to 64. FlowNetPytorch's own come to
1, 0.5, 0.25, 0.25, 0.33 for 224 px; what is wanted is the finest level."""


def endpoint_error(flow: Tensor, target: Tensor) -> Tensor:
    """Return the length of the difference, [B,h,w]."""
    return torch.linalg.vector_norm(flow - target, dim=1)


def shrink(flow: Tensor, level: Tensor) -> Tensor:
    """Return flow [B,2,S,S] averaged over the cells of `level` [B,2,h,w]."""
    return adaptive_avg_pool2d(flow, (level.shape[2], level.shape[3]))


def multiscale_loss(pyramid: list[Tensor], flow: Tensor) -> Tensor:
    """Return FlowNet's loss: mean endpoint errors, weighted over levels.

    Args:
        pyramid: the network's flow at five strides, in units of 20 px.
        flow: [B,2,S,S] px.
    """
    total = flow.new_zeros(())
    for level, weight in zip(pyramid, LEVEL_WEIGHTS, strict=True):
        target = shrink(flow / DIV_FLOW, level)
        total = total + weight * endpoint_error(level.float(), target).mean()
    return total
