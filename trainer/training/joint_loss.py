"""The joint head's losses, in the person's size.

The terms: half the joints' distance and half their distance after similarity alignment; how well
the expected errors match the actual errors; the bones' rotations, which the body is fitted to; and
gravity, which gives the up axis of the predicted motion.
Letters: B clips, T frames, E evaluation joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainer.evaluation.metrics import about_hips
from trainer.geometry import similarity
from trainer.model.coordinates import WindowView
from trainer.model.joint_head import JointEstimate

LEAST_DEPTH = 0.1
"""Metres; keeps clips finite that have no known frame and so weight 0."""


@dataclass(frozen=True)
class JointWeights:
    """Weights of the joint head's loss terms."""

    distance: float = 0.5
    aligned: float = 0.5
    sigma: float = 0.01
    rotations: float = 0.01
    gravity: float = 0.02


def in_view(
    joints: Float[Tensor, "b t e 3"], window: WindowView, weight: Float[Tensor, "b t"]
) -> Float[Tensor, "b t e 3"]:
    """Return camera-frame joints [B, T, E, 3], metres, in a view's axes and the person's size.

    The unit is the size of the person's box projected to the clip's mean depth, so that x and y
    match the view's.
    weight [B, T] of frames in that mean: 0 where the joints are unknown.
    """
    turned = joints @ window.turn[:, None].mT
    depth = (turned[..., 2].mean(2) * weight).sum(1) / weight.sum(1).clamp_min(1e-6)
    return turned / (depth.clamp_min(LEAST_DEPTH) * window.size)[:, None, None, None]


def joint_losses(
    estimate: JointEstimate,
    window: WindowView,
    truth: Float[Tensor, "b t e 3"],
    rotations: Float[Tensor, "b t 24 3 3"],
    gravity: Float[Tensor, "b 3"] | None,
    hips: tuple[int, int],
    weight: Float[Tensor, "b t"],
) -> dict[str, Float[Tensor, ""]]:
    """Return the loss terms, sums over frames with weight [B, T].

    truth [B, T, E, 3] metres, rotations [B, T, 24, 3, 3] and gravity [B, 3] (None where unknown)
    in the camera's axes. The similarity alignment, and the error that sigma is compared with, are
    treated as constants in the gradient.
    """
    target = about_hips(in_view(truth, window, weight), hips)
    joints = about_hips(estimate.joints, hips)
    distance = length(joints - target)
    moved = similarity(joints, target)(joints)
    error = distance.detach() * torch.exp(-estimate.log_sigma) + estimate.log_sigma
    root = window.turn[:, None] @ rotations[:, :, 0]
    turned = torch.cat((root[:, :, None], rotations[:, :, 1:]), 2)
    wrong = (estimate.rotations - turned).square().sum((-1, -2)).mean(-1)
    terms = {
        "distance": distance.mean(-1),
        "aligned": length(moved - target).mean(-1),
        "sigma": error.mean(-1),
        "rotations": wrong,
    }
    if gravity is None:  # 0 with a gradient: data-parallel training waits for every weight's
        terms["gravity"] = 0 * estimate.gravity.sum(-1)
    else:
        down = torch.einsum("bij,bj->bi", window.turn, gravity)
        terms["gravity"] = (estimate.gravity - down[:, None]).square().sum(-1)
    return {name: (weight * value).sum() for name, value in terms.items()}


def length(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Return lengths [...] of vectors [..., 3], with a finite gradient at 0."""
    return (vectors.square().sum(-1) + 1e-12).sqrt()
