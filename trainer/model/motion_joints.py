"""Motion HMR with the joint head: joints and their expected errors, instead of a body.

Letters: B clips, T frames, K keypoints, E evaluation joints.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainer import geometry
from trainer.model.body import BONES, BodyJoints, mirror_rotations
from trainer.model.clip_features import ClipFeatures, Seen
from trainer.model.coordinates import WindowView, view
from trainer.model.joint_head import JointEstimate, JointHead
from trainer.model.motion_hmr import Prediction

LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
"""Bones that a person's size is measured by, on both sides."""


class MotionJoints(ClipFeatures):
    """Clips → Prediction of the evaluation joints, in metres of the mean person."""

    limb_length: Tensor

    # More than eight parameters: only `build_model` calls it, with the fields of ModelSpec.
    def __init__(
        self,
        body: dict[str, np.ndarray],
        *,
        names: tuple[str, ...],
        mirror: tuple[int, ...],
        channels: int,
        backbone: str,
        lstm_width: int,
        lstm_layers: int,
        residual: bool,
        keypoints: tuple[str, ...],
        coordinates: bool,
    ) -> None:
        """names: of the evaluation joints; mirror: left-right counterparts; keypoints: names;
        coordinates: whether features come from keypoint coordinates too."""
        super().__init__(
            channels=channels, backbone=backbone, lstm_width=lstm_width, lstm_layers=lstm_layers,
            residual=residual, coordinates=len(keypoints) if coordinates else 0,
        )  # fmt: skip
        self.head = JointHead(2 * lstm_width, names, keypoints)
        self.limbs = limbs_of(names)
        self.mirror = list(mirror)
        rest = BodyJoints(body)(torch.eye(3).expand(1, BONES, 3, 3), torch.zeros(1, 10))[0, BONES:]
        self.register_buffer("limb_length", self.lengths(rest))

    def forward(self, seen: Seen) -> Prediction:
        estimate, window = self.estimate(seen)
        return self.prediction(estimate, window)

    def estimate(self, seen: Seen) -> tuple[JointEstimate, WindowView]:
        """Return the head's estimate, which the losses are computed on, and its view."""
        assert seen.points is not None
        window = view(seen.points)
        features = self.over_time(self.frame_features(seen, window))
        return self.head(features, window), window

    def prediction(self, estimate: JointEstimate, window: WindowView) -> Prediction:
        """Return an estimate in the camera's axes and in metres.

        The scale makes each window's limbs, in the median frame, as long as the mean body's,
        because a single camera does not show size.
        """
        with torch.autocast(estimate.joints.device.type, enabled=False):
            size = self.lengths(estimate.joints).median(1).values
            metres = self.limb_length / size.clamp_min(1e-6)
            joints = estimate.joints @ window.turn[:, None] * metres[:, None, None, None]
            sigma = estimate.log_sigma.exp() * metres[:, None, None]
            turned = window.turn.mT[:, None] @ estimate.rotations[:, :, 0]
            rotations = torch.cat((turned[:, :, None], estimate.rotations[:, :, 1:]), 2)
            gravity = estimate.gravity @ window.turn
        return Prediction(joints=joints, rotations=rotations, sigma=sigma, gravity=gravity)

    def lengths(self, joints: Float[Tensor, "*batch e 3"]) -> Float[Tensor, "*batch"]:
        """Return the summed limb lengths [...] of joints [..., E, 3]."""
        begin, end = zip(*self.limbs, strict=True)
        return (joints[..., list(begin), :] - joints[..., list(end), :]).norm(dim=-1).sum(-1)

    def average_flipped(self, plain: Prediction, mirrored: Prediction) -> Prediction:
        """Return the mean of the predictions for clips and for the same clips mirrored, x → −x.

        Joints about their own mean; rotations: the nearest to the mean matrix; gravity: the mean.
        """
        assert plain.rotations is not None and mirrored.rotations is not None
        assert plain.sigma is not None and mirrored.sigma is not None
        assert plain.gravity is not None and mirrored.gravity is not None
        flip = plain.joints.new_tensor([-1.0, 1.0, 1.0])
        back = mirrored.joints[:, :, self.mirror] * flip
        joints = (centred(plain.joints) + centred(back)) / 2
        rotations = geometry.nearest(plain.rotations + mirror_rotations(mirrored.rotations))
        sigma = (plain.sigma + mirrored.sigma[:, :, self.mirror]) / 2
        gravity = F.normalize(plain.gravity + mirrored.gravity * flip, dim=-1)
        return Prediction(joints=joints, rotations=rotations, sigma=sigma, gravity=gravity)


def limbs_of(names: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the limbs' bones as pairs of indices among the joints' names."""
    index = {name.removeprefix("lsp_"): i for i, name in enumerate(names)}
    return [
        (index[f"{side}_{begin}"], index[f"{side}_{end}"])
        for side in ("left", "right")
        for begin, end in LIMBS
    ]


def centred(joints: Tensor) -> Tensor:
    """Return joints [..., E, 3] about their mean."""
    return joints - joints.mean(-2, keepdim=True)
