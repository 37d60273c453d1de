"""FlowNet's loss: endpoint errors at several strides."""

# B pairs, S side of an image

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from datagen.flow.flownets import upsample

LEVEL_WEIGHTS = (1.0, 0.35, 0.2, 0.15, 0.1)
"""Weight of each level's mean endpoint error, strides 4 to 64. FlowNetPytorch's own correspond to
1, 0.5, 0.25, 0.25, 0.33 for 224 px; these emphasise the finest level, which is the output."""


def endpoint_error(
    flow: Float[Tensor, "b 2 h w"], target: Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b h w"]:
    """Return the endpoint error [B,h,w]."""
    return torch.linalg.vector_norm(flow - target, dim=1)


def level_errors(
    pyramid: list[Float[Tensor, "b 2 _ _"]],
    flow: Float[Tensor, "b 2 s s"],
    weight: Float[Tensor, "b s s"],
) -> list[Float[Tensor, ""]]:
    """Return each level's weighted mean endpoint error, px.

    The finest level is upsampled as at inference and compared in every pixel: at an edge it then
    learns one of the two flows, which costs less than their mean. The other levels are compared
    with the mean flow of their cells, weighted by the mean weight.

    Args:
        pyramid: flow in px at strides 4, 8 and so on; flow: [B,2,S,S] px; weight: [B,S,S].
    """
    finest = upsample(pyramid[0].float(), (flow.shape[2], flow.shape[3]))
    errors = [_mean(endpoint_error(finest, flow), weight)]
    for level in pyramid[1:]:
        cells = (level.shape[2], level.shape[3])
        target, share = adaptive_avg_pool2d(flow, cells), adaptive_avg_pool2d(weight, cells)
        errors.append(_mean(endpoint_error(level.float(), target), share))
    return errors


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    return (error * weight).sum() / weight.sum()


def weighted_sum(errors: list[Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """Return FlowNet's loss: the weighted sum of the levels' errors."""
    return torch.stack([w * e for w, e in zip(LEVEL_WEIGHTS, errors, strict=False)]).sum()
