"""A model and its losses as one module, so that data-parallel training wraps one forward pass.

Letters: B clips, T frames, N = B·T frames, J evaluation joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer import rotations
from trainer.inputs import Batch, normalized
from trainer.losses import aligned_loss, pose_loss, reprojection_loss
from trainer.model.motion_hmr import Prediction


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms (spec, section 5)."""

    reprojection: float = 60.0
    aligned: float = 30.0
    betas: float = 1e-3
    pose: float = 0.0


class Totals(NamedTuple):
    """What a step's sums are divided by: counts over its micro-batches and ranks, per rank."""

    joints: Tensor
    """Joints with a 2D target."""
    frames: Tensor
    """Frames with a 3D target."""


class Losses(NamedTuple):
    """Loss terms of a micro-batch; `total` is the weighted sum, the others unweighted."""

    total: Tensor
    reprojection: Tensor
    aligned: Tensor
    betas: Tensor
    pose: Tensor


def joint_weight(batch: Batch, joints: tuple[int, ...]) -> Tensor:
    """Return 1 for each evaluation joint inside the crop of a valid frame: float [B, T, J]."""
    inside = (batch["visibility"][:, :, list(joints)] > 0).float()
    return inside * batch["valid"].float()[..., None]


def count(batch: Batch, joints: tuple[int, ...]) -> Tensor:
    """Return (joints with a 2D target, frames with a 3D target) of a batch, float [2]."""
    return torch.stack((joint_weight(batch, joints).sum(), batch["valid"].float().sum()))


class MotionObjective(nn.Module):
    """Motion HMR and its losses: (image, batch, totals) → losses and prediction."""

    def __init__(
        self, model: nn.Module, weights: Weights, joints: tuple[int, ...], stored_size: int
    ) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        self.joints = joints
        self.stored_size = stored_size

    def forward(self, image: Tensor, batch: Batch, totals: Totals) -> tuple[Losses, Prediction]:
        prediction: Prediction = self.model(image)
        with torch.autocast(image.device.type, enabled=False):
            return self.losses(prediction, batch, totals), prediction

    def losses(self, prediction: Prediction, batch: Batch, totals: Totals) -> Losses:
        """Return the losses of a prediction; differentiable in it."""
        assert prediction.joints2d is not None and prediction.betas is not None
        chosen = list(self.joints)
        target2d = batch.get("target2d", batch["joints2d"])[:, :, chosen, :2].flatten(0, 1)
        target3d = batch["joints3d"][:, :, chosen].flatten(0, 1)
        weight = joint_weight(batch, self.joints).flatten(0, 1)
        valid = batch["valid"].float().flatten()
        reprojection = reprojection_loss(
            prediction.joints2d[:, :, chosen].flatten(0, 1),
            normalized(target2d, self.stored_size),
            weight,
        ) / totals.joints.clamp_min(1)
        frames = totals.frames.clamp_min(1)
        aligned = aligned_loss(prediction.joints[:, :, chosen].flatten(0, 1), target3d, valid)
        aligned = aligned / frames
        betas = (valid * (prediction.betas.flatten(0, 1) ** 2).sum(-1)).sum() / frames
        pose = aligned.new_zeros(())
        w = self.weights
        if w.pose:
            assert prediction.rotations is not None
            truth = rotations.matrix_from_axis_angle(batch["pose"].unflatten(-1, (24, 3)))
            pose = (
                pose_loss(prediction.rotations.flatten(0, 1), truth.flatten(0, 1), valid) / frames
            )
        total = (
            w.reprojection * reprojection + w.aligned * aligned + w.betas * betas + w.pose * pose
        )
        return Losses(total, reprojection, aligned, betas, pose)
