"""Domain-adversarial training (Ganin & Lempitsky) on synthetic and real frames.

A discriminator reads the CNN's features of single frames, before the LSTM. Its gradient reaches the
CNN with reversed sign, so that the features of both domains become alike (paper, section 4; the
discriminator's size is our choice).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient[0], None


def reverse_gradient(x: Float[Tensor, "*batch"], strength: float) -> Float[Tensor, "*batch"]:
    """Return x; its gradient is multiplied by −strength."""
    return _Reverse.apply(x, strength)  # type: ignore[no-any-return]


def adversary_strength(progress: float) -> float:
    """Return λ = 2/(1 + exp(−10·p)) − 1 for training progress p in [0, 1]."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


class Discriminator(nn.Module):
    """Features [N, F] → logit [N] of being synthetic."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, 1024), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(1024, 1),
        )  # fmt: skip

    def forward(self, features: Float[Tensor, "n f"]) -> Float[Tensor, " n"]:
        return self.layers(features).squeeze(-1)


def domain_loss(
    discriminator: Discriminator,
    synthetic: Float[Tensor, "n f"],
    real: Float[Tensor, "m f"],
    strength: float,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of classifying features [N, F] as synthetic or real."""
    logits = discriminator(reverse_gradient(torch.cat((synthetic, real)).float(), strength))
    truth = torch.cat((torch.ones(len(synthetic)), torch.zeros(len(real)))).to(logits.device)
    weight = torch.where(truth == 1, 0.5 / len(synthetic), 0.5 / len(real))
    return F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum")
