"""A head that predicts joints along the keypoints' rays, mostly their depth.

A keypoint's ray already gives its joint's position except for the depth, so x and y are the ray's
at the predicted depth plus a correction. The head also predicts each joint's expected error, the
bones' rotations, to which a body is fitted (`trainer.model.body_fit`), and gravity.
Letters: B windows, T frames, K keypoints, E evaluation joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from trainer import geometry
from trainer.model.body import BONES
from trainer.model.coordinates import WindowView

LOG_SIGMA = (-7.0, 1.0)
"""Range of the logarithm of a joint's expected error, in units of the person's size."""


class JointEstimate(NamedTuple):
    """What the head predicts, in the view's axes and in units of the person's size."""

    joints: Tensor
    """[B, T, E, 3] relative to the person's position: x right, y down, z away."""
    log_sigma: Tensor
    """[B, T, E] logarithm of each joint's expected error."""
    rotations: Tensor
    """[B, T, 24, 3, 3]; the root's is body → view."""
    gravity: Tensor
    """[B, T, 3] unit vectors: the direction of gravity (down)."""


def skip_matrix(names: Sequence[str], keypoints: Sequence[str]) -> Float[Tensor, "e k"]:
    """Return each evaluation joint's x and y as weights of the keypoints: [E, K], rows sum to 1.

    A limb joint has its own keypoint; neck and head have the mean of the shoulders.
    """
    out = torch.zeros(len(names), len(keypoints))
    shoulders = [i for i, name in enumerate(keypoints) if name.endswith("shoulder")]
    for row, name in enumerate(names):
        if name in keypoints:
            out[row, list(keypoints).index(name)] = 1
        else:
            out[row, shoulders] = 1 / len(shoulders)
    return out


class JointHead(nn.Module):
    """Features [B, T, F] and their view → JointEstimate."""

    skip: Tensor

    def __init__(self, features: int, names: Sequence[str], keypoints: Sequence[str]) -> None:
        super().__init__()
        self.register_buffer("skip", skip_matrix(names, keypoints), persistent=False)
        self.count = len(names)
        self.output = nn.Linear(features, 4 * self.count)
        self.bones = nn.Linear(features, 6 * BONES)
        self.fall = nn.Linear(features, 3)
        with torch.no_grad():
            self.output.weight.mul_(0.3)
            self.bones.weight.mul_(0.3)
            upright = torch.eye(3).expand(BONES, 3, 3).clone()
            upright[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
            self.bones.bias.copy_(geometry.sixd_from_matrix(upright).flatten())
            self.fall.weight.mul_(0.3)
            self.fall.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))

    def forward(self, features: Float[Tensor, "b t f"], seen: WindowView) -> JointEstimate:
        # Outside autocast: in half precision rays and depths are off by millimetres.
        with torch.autocast(features.device.type, enabled=False):
            return self.placed(features.float(), seen)

    def placed(self, features: Float[Tensor, "b t f"], seen: WindowView) -> JointEstimate:
        """Return the estimate of features in single precision."""
        offset, log_sigma = self.output(features).split((3 * self.count, self.count), -1)
        offset = offset.unflatten(-1, (self.count, 3))
        ray = torch.einsum("ek,btkc->btec", self.skip, seen.points)
        # The view's axis goes through the person, so a joint at depth d·(1 + size·z) has x and y of
        # ray·(1 + size·z) in units of the person's size.
        ahead = 1 + seen.size[:, None, None, None] * offset[..., 2:]
        joints = torch.cat((offset[..., :2] + ray * ahead, offset[..., 2:]), -1)
        gravity = F.normalize(self.fall(features), dim=-1)
        bones = geometry.matrix_from_6d(self.bones(features).unflatten(-1, (BONES, 6)))
        return JointEstimate(joints, log_sigma.clamp(*LOG_SIGMA), bones, gravity)
