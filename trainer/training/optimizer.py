"""The optimiser, its learning rate as a function of the step, and the average of the weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def make_optimizer(module: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW; weight decay on matrices and convolutions only."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    # Fused: one pass over weights, gradients and moments takes a third of the time on a CPU.
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), fused=True)


def learning_rate(step: int, steps: int, warmup: int, peak: float, end: float) -> float:
    """Return the learning rate of a step (from 0): linear warm-up, then a cosine to the end."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return end + (peak - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class Average:
    """Exponential moving average of a module's weights, with its own copy of the module."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        for part in self.module.modules():
            if isinstance(part, nn.RNNBase):
                part.flatten_parameters()  # else cuDNN compacts the copy at every call
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the module, faster in early steps, so that short runs have an average too.

        Batch norm's statistics are averaged like the weights.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        mine = [*self.module.parameters(), *self.module.buffers()]
        theirs = [*module.parameters(), *module.buffers()]
        moving = [i for i, value in enumerate(mine) if value.is_floating_point()]
        move = get_ema_multi_avg_fn(decay)
        move([mine[i] for i in moving], [theirs[i].detach() for i in moving], step)
        for value, other in zip(mine, theirs, strict=True):
            if not value.is_floating_point():
                value.copy_(other)
