"""Martinez et al.'s lifting baseline (ICCV 2017): 12 keypoints of one frame → 14 joints in 3D.

Linear, batch norm, ReLU, dropout 0.5, two residual blocks of two such layers of 1024 units,
weights of norm at most 1, inputs and outputs normalised by the training set's mean and deviation.
The original predicts 16 joints of Human3.6M; here it predicts the 14 evaluation joints about the
hips' midpoint.
Letters: B clips, T frames, K keypoints, J joints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.model.clip_features import Seen
from trainer.model.motion_hmr import Prediction

WIDTH = 1024


class LiftingStatistics(NamedTuple):
    """Means and standard deviations of the training set's inputs [2K] and outputs [3J]."""

    input_mean: Tensor
    input_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    @staticmethod
    def of(inputs: Float[Tensor, "n k2"], outputs: Float[Tensor, "n j3"]) -> LiftingStatistics:
        """Return the statistics of inputs [N, 2K] and outputs [N, 3J]."""
        floor = 1e-3
        return LiftingStatistics(
            inputs.mean(0),
            inputs.std(0).clamp_min(floor),
            outputs.mean(0),
            outputs.std(0).clamp_min(floor),
        )

    @staticmethod
    def blank(keypoints: int, joints: int) -> LiftingStatistics:
        """Return placeholder statistics, to be overwritten by a checkpoint's."""
        return LiftingStatistics(
            torch.zeros(2 * keypoints),
            torch.ones(2 * keypoints),
            torch.zeros(3 * joints),
            torch.ones(3 * joints),
        )


class BoundedLinear(nn.Linear):
    """A linear layer whose weights have a Frobenius norm of at most 1 (the original's max_norm)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.kaiming_normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        scale = self.weight.norm().clamp_min(1).reciprocal()
        return F.linear(input, self.weight * scale, self.bias)


class Lifter(nn.Module):
    """Keypoints [B, T, 2K] (crop units) → Prediction with only joints [B, T, J, 3]."""

    input_mean: Tensor
    input_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(self, statistics: LiftingStatistics) -> None:
        super().__init__()
        for name, value in statistics._asdict().items():
            self.register_buffer(name, value)
        inputs, outputs = len(statistics.input_mean), len(statistics.output_mean)
        self.first = self._layer(inputs)
        self.blocks = nn.ModuleList(
            nn.Sequential(self._layer(WIDTH), self._layer(WIDTH)) for _ in range(2)
        )
        self.last = BoundedLinear(WIDTH, outputs)

    @staticmethod
    def _layer(inputs: int) -> nn.Sequential:
        return nn.Sequential(
            BoundedLinear(inputs, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Dropout(0.5)
        )

    def forward(self, seen: Seen) -> Prediction:
        keypoints = seen.points
        assert keypoints is not None
        clips, frames = keypoints.shape[:2]
        with torch.autocast(keypoints.device.type, enabled=False):
            x = (keypoints.flatten(0, 1).float() - self.input_mean) / self.input_std
            x = self.first(x)
            for block in self.blocks:
                x = x + block(x)
            joints = self.last(x) * self.output_std + self.output_mean
        return Prediction(joints=joints.reshape(clips, frames, -1, 3))
