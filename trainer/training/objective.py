"""A model and its losses as one module, so that data-parallel training wraps one forward pass.

Letters: B clips, T frames, N = B·T frames, J evaluation joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainer import geometry
from trainer.data.inputs import Batch, normalized
from trainer.evaluation.metrics import about_hips
from trainer.geometry import similarity
from trainer.model.clip_features import Seen
from trainer.model.domain import Discriminator, domain_loss
from trainer.model.lifter import Lifter
from trainer.model.motion_hmr import MotionHMR, Prediction, pick
from trainer.model.motion_joints import MotionJoints
from trainer.training.joint_loss import JointWeights, joint_losses


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms (reasons: trainer/training/options.py)."""

    reprojection: float
    aligned: float
    betas: float
    domain: float


class Totals(NamedTuple):
    """What a step's sums are divided by: counts over micro-batches and ranks, per rank."""

    joints: Tensor
    """Joints with a 2D target."""
    frames: Tensor
    """Frames with a 3D target."""


@dataclass(frozen=True)
class Real:
    """Unlabelled real clips for DANN: their network input, and the adversary's strength."""

    seen: Seen
    strength: float


def joined(first: Seen, second: Seen) -> Seen:
    """Return the inputs of two batches of clips as one batch."""
    image, points = (
        None if a is None or b is None else torch.cat((a, b))
        for a, b in zip(first, second, strict=True)
    )
    return Seen(image, points)


Losses = dict[str, Tensor]
"""`loss` is the weighted sum to minimise; the other terms are unweighted."""


def joint_weight(batch: Batch, joints: tuple[int, ...]) -> Float[Tensor, "b t j"]:
    """Return 1 for each evaluation joint inside the crop of a valid frame: float [B, T, J]."""
    inside = (batch["visibility"][:, :, list(joints)] > 0).float()
    return inside * batch["valid"].float()[..., None]


def count(batch: Batch, joints: tuple[int, ...]) -> Float[Tensor, " 2"]:
    """Return (joints with a 2D target, frames with a 3D target) of a batch, float [2]."""
    return torch.stack((joint_weight(batch, joints).sum(), batch["valid"].float().sum()))


class MotionObjective(nn.Module):
    """Motion HMR and its losses; with a domain weight also the adversary of DANN."""

    model: MotionHMR

    def __init__(
        self, model: MotionHMR, weights: Weights, joints: tuple[int, ...], stored_size: int
    ) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        self.joints = joints
        self.stored_size = stored_size
        width = model.lstm.input_size
        self.discriminator = Discriminator(width) if weights.domain else None

    def forward(
        self, seen: Seen, batch: Batch, totals: Totals, real: Real | None = None
    ) -> tuple[Losses, Prediction]:
        clips, device = batch["valid"].shape[0], batch["valid"].device
        if real is None:
            features = self.model.frame_features(seen)
        else:
            # One pass over both domains: batch statistics are then the mixture's and reveal
            # neither.
            features = self.model.frame_features(joined(seen, real.seen))
        prediction = self.model.head(features[:clips], self.model.keypoints(seen.image))
        with torch.autocast(device.type, enabled=False):
            losses = self.losses(prediction, batch, totals)
            if real is not None and self.discriminator is not None:
                domain = domain_loss(
                    self.discriminator,
                    features[:clips].flatten(0, 1),
                    features[clips:].flatten(0, 1),
                    real.strength,
                )
                # The other terms are sums over a whole step, this one is a mean of each batch; so
                # it is weighted by the batch's share of the step's frames with a 3D target.
                share = batch["valid"].float().sum() / totals.frames.clamp_min(1)
                losses["domain"] = domain * share
                losses["loss"] = losses["loss"] + self.weights.domain * losses["domain"]
        return losses, prediction

    def losses(self, prediction: Prediction, batch: Batch, totals: Totals) -> Losses:
        """Return the losses of a prediction, differentiable with respect to it."""
        assert prediction.joints2d is not None and prediction.betas is not None
        target2d = batch.get("target2d", batch["joints2d"])[..., :2]
        frames = totals.frames.clamp_min(1)
        valid = batch["valid"].float().flatten()
        reprojection = reprojection_loss(
            pick(prediction.joints2d, self.joints).flatten(0, 1),
            normalized(pick(target2d, self.joints), self.stored_size).flatten(0, 1),
            joint_weight(batch, self.joints).flatten(0, 1),
        ) / totals.joints.clamp_min(1)
        aligned = aligned_loss(
            pick(prediction.joints, self.joints).flatten(0, 1),
            pick(batch["joints3d"], self.joints).flatten(0, 1),
            valid,
        )
        losses = {
            "reprojection": reprojection,
            "aligned": aligned / frames,
            "betas": (valid * (prediction.betas.flatten(0, 1) ** 2).sum(-1)).sum() / frames,
        }
        w = self.weights
        total = w.reprojection * reprojection
        total = total + w.aligned * losses["aligned"] + w.betas * losses["betas"]
        return {"loss": total, **losses}


class LifterObjective(nn.Module):
    """The lifter and its loss: squared error of standardised joints about the hips."""

    model: Lifter

    def __init__(self, model: Lifter, joints: tuple[int, ...], hips: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.joints = joints
        self.hips = hips

    def forward(
        self, seen: Seen, batch: Batch, totals: Totals, real: Real | None = None
    ) -> tuple[Losses, Prediction]:
        prediction = self.model(seen)
        truth = about_hips(pick(batch["joints3d"], self.joints), self.hips)
        difference = (prediction.joints - truth).flatten(2) / self.model.output_std
        error = (batch["valid"].float() * (difference**2).mean(-1)).sum()
        return {"loss": error / totals.frames.clamp_min(1)}, prediction


def aligned_loss(
    predicted: Float[Tensor, "n j 3"], target: Float[Tensor, "n j 3"], weight: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Return Σ_n w_n · mean_j |s·R·p_j + t − g_j|², m², over frames [N, J, 3] with weight [N]."""
    predicted, target = predicted.float(), target.float()
    aligned = similarity(predicted, target)(predicted)
    return (weight * ((aligned - target) ** 2).sum(-1).mean(-1)).sum()


def reprojection_loss(
    predicted: Float[Tensor, "n j 2"], target: Float[Tensor, "n j 2"], weight: Float[Tensor, "n j"]
) -> Float[Tensor, ""]:
    """Return Σ w·|x̂ − x|₁ in crop units over joints [N, J, 2] with weight [N, J]."""
    return (weight[..., None] * (predicted.float() - target).abs()).sum()


class JointObjective(nn.Module):
    """Motion HMR with the joint head, and its losses."""

    model: MotionJoints

    def __init__(
        self,
        model: MotionJoints,
        weights: JointWeights,
        joints: tuple[int, ...],
        hips: tuple[int, int],
    ) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        self.joints = joints
        self.hips = hips

    def forward(
        self, seen: Seen, batch: Batch, totals: Totals, real: Real | None = None
    ) -> tuple[Losses, Prediction]:
        estimate, window = self.model.estimate(seen)
        with torch.autocast(batch["valid"].device.type, enabled=False):
            terms = joint_losses(
                estimate,
                window,
                pick(batch["joints3d"], self.joints),
                true_rotations(batch),
                batch.get("gravity"),
                self.hips,
                batch["valid"].float(),
            )
            losses = {name: value / totals.frames.clamp_min(1) for name, value in terms.items()}
            weights = vars(self.weights)
            total = sum((weights[name] * value for name, value in losses.items()), torch.zeros(()))
            with torch.no_grad():
                prediction = self.model.prediction(estimate, window)
        return {"loss": total, **losses}, prediction


def true_rotations(batch: Batch) -> Float[Tensor, "b t 24 3 3"]:
    """Return the bones' rotations [B, T, 24, 3, 3] of a batch's labels, root → camera."""
    if "rotations" in batch:
        return batch["rotations"]
    return geometry.matrix_from_axis_angle(batch["pose"].float().unflatten(-1, (24, 3)))


Objective = MotionObjective | LifterObjective | JointObjective
