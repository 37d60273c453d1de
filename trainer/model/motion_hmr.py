"""Motion HMR: a CNN per frame, an LSTM over the clip, HMR's iterative regressor per frame.

The paper's Figure 3. What it leaves open (LSTM width, rotation parameters) follows HMR and its
reimplementations and is named in trainer/training/options.py.

Letters: B clips, T frames, N = B·T frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from trainer import geometry
from trainer.model.body import BONES, BodyJoints, mirror_rotations
from trainer.model.clip_features import ClipFeatures, Seen

ITERATIONS = 3
"""Refinements of the regressor (HMR's num_stage)."""


class Prediction(NamedTuple):
    """A model's prediction for a clip; only `joints` is present for every model."""

    joints: Tensor
    """[B, T, J, 3] metres, camera axes, up to translation; a lifter and the joint head predict only
    the evaluation joints."""
    joints2d: Tensor | None = None
    """[B, T, J, 2] reprojection in crop units ([-1, 1])."""
    rotations: Tensor | None = None
    """[B, T, 24, 3, 3]; the root's is body → camera."""
    betas: Tensor | None = None
    """[B, T, 10]."""
    camera: Tensor | None = None
    """[B, T, 3]: s, tx, ty of the weak-perspective camera x = s·(X + t)."""
    sigma: Tensor | None = None
    """[B, T, J] each joint's expected error, metres; joint head only."""
    gravity: Tensor | None = None
    """[B, T, 3] direction of gravity (down), camera axes; joint head only."""


def initial_state(
    rotation: str, pose: Float[np.ndarray, " 72"] | None, betas: Float[np.ndarray, " 10"] | None
) -> Float[Tensor, " theta"]:
    """Return the regressor's starting point: rotations, then 10 betas, then the camera.

    The root is rotated by π about x: upright in camera axes, whose y points down. Body rotations
    come from pose (float [72] axis-angle; its root is ignored) or are the rest pose.
    """
    bones = torch.zeros(BONES, 3)
    if pose is not None:
        bones[1:] = torch.as_tensor(pose, dtype=torch.float32).reshape(BONES, 3)[1:]
    bones[0] = torch.tensor([math.pi, 0, 0])
    if rotation == "6d":
        bones = geometry.sixd_from_matrix(geometry.matrix_from_axis_angle(bones))
    shape = torch.zeros(10) if betas is None else torch.as_tensor(betas, dtype=torch.float32)
    return torch.cat((bones.flatten(), shape, torch.tensor([0.9, 0.0, 0.0])))


class Regressor(nn.Module):
    """HMR's iterative error feedback: [feature, Θ] → ΔΘ, three times with shared weights.

    With errors > 0, that many numbers on the current Θ's error are added: [feature, Θ, errors] →
    ΔΘ.
    """

    start: Tensor

    def __init__(self, features: int, start: Tensor, errors: int = 0) -> None:
        super().__init__()
        self.register_buffer("start", start)
        self.fc1 = nn.Linear(features + len(start), 1024)
        self.error_layer = nn.Linear(errors, 1024, bias=False) if errors else None
        self.fc2 = nn.Linear(1024, 1024)
        self.fc3 = nn.Linear(1024, len(start))
        # HMR's variance scaling 0.01 (FAN_AVG, uniform): first predictions are near the mean
        # person.
        bound = math.sqrt(3 * 0.01 * 2 / (1024 + len(start)))
        nn.init.uniform_(self.fc3.weight, -bound, bound)
        nn.init.zeros_(self.fc3.bias)

    def forward(
        self, feature: Float[Tensor, "n f"], errors: Callable[[Tensor], Tensor] | None = None
    ) -> Float[Tensor, "_ theta"]:
        """Return Θ [N, ...], float32; the hidden layers run in autocast's precision.

        errors(Θ) returns the errors of Θ [N or 1, ...], [N, errors].
        """
        state = self.start[None]
        # fc1 of [feature, state], with the feature's part computed once for all iterations.
        of_feature, of_state = self.fc1.weight.split((feature.shape[1], len(self.start)), dim=1)
        seen = F.linear(feature, of_feature, self.fc1.bias)
        for _ in range(ITERATIONS):
            x = seen + F.linear(state, of_state)
            if self.error_layer is not None:
                assert errors is not None
                x = x + self.error_layer(errors(state))
            x = self.hidden(x)
            x = self.hidden(self.fc2(x))
            with torch.autocast(feature.device.type, enabled=False):
                state = state + self.fc3(x.float())
        return state

    def hidden(self, x: Float[Tensor, "*batch w"]) -> Float[Tensor, "*batch w"]:
        """Return the units' values after ReLU and, in training, dropout of half of them."""
        if self.training:
            # Dropout(0.5); nn.Dropout takes five times as long on CPUs other than Intel's.
            x = x * torch.rand_like(x, dtype=torch.float32).lt_(0.5).mul_(2).to(x.dtype)
        return F.relu(x)


ERROR_SCALE = 5.0
"""Scales the reprojection error, tenths of a crop unit, to the size of the other features."""


def heatmap_centres(heatmaps: Float[Tensor, "*batch k i i"]) -> Float[Tensor, "*batch k 3"]:
    """Return keypoints [..., K, 3] (x, y in crop units, seen) of their heatmaps [..., K, I, I].

    A heatmap that stays below 0.1 has no keypoint. Heatmaps are squared, as they then lose less at
    the picture's edges.
    """
    heat = heatmaps.float() ** 2
    size = heat.shape[-1]
    along = (2 * torch.arange(size, device=heat.device, dtype=heat.dtype) + 1) / size - 1
    mass = heat.sum((-2, -1))
    seen = (heat.amax((-2, -1)) > 0.01).to(heat.dtype)
    share = seen / mass.clamp_min(1e-6)
    x, y = (heat.sum(-2) * along).sum(-1), (heat.sum(-1) * along).sum(-1)
    return torch.stack((x * share, y * share, seen), -1)


def pick(
    joints: Float[Tensor, "*batch j d"], chosen: tuple[int, ...] | list[int]
) -> Float[Tensor, "*batch k d"]:
    """Return the chosen joints of [..., J, D]; unchanged if there are no others, as of a lifter."""
    return joints if joints.shape[-2] == len(chosen) else joints[..., list(chosen), :]


class MotionHMR(ClipFeatures):
    """Clips → Prediction: SMPL's pose, shape and a weak-perspective camera for every frame."""

    # More than eight parameters: only `build_model` calls it, with the fields of ModelSpec.
    def __init__(
        self,
        body: dict[str, np.ndarray],
        *,
        channels: int,
        backbone: str = "resnet50",
        lstm_width: int = 1024,
        lstm_layers: int = 1,
        residual: bool = False,
        coordinates: int = 0,
        feedback: tuple[int, ...] = (),
        rotation: str = "6d",
        pose: np.ndarray | None = None,
        betas: np.ndarray | None = None,
    ) -> None:
        super().__init__(
            channels=channels, backbone=backbone, lstm_width=lstm_width, lstm_layers=lstm_layers,
            residual=residual, coordinates=coordinates,
        )  # fmt: skip
        self.rotation = rotation
        start = initial_state(rotation, pose, betas)
        self.regressor = Regressor(2 * lstm_width, start, 3 * len(feedback))
        self.feedback = feedback
        self.body = BodyJoints(body)

    def forward(self, seen: Seen) -> Prediction:
        return self.head(self.frame_features(seen), self.keypoints(seen.image))

    def keypoints(
        self, image: Float[Tensor, "b t c i i"] | None
    ) -> Float[Tensor, "b t k 3"] | None:
        """Return an image's keypoints [B, T, K, 3] (crop units, seen), None without feedback."""
        if not self.feedback or image is None:
            return None
        end = image.shape[2] - 1  # the last channel is the total-occlusion flag
        return heatmap_centres(image[:, :, end - len(self.feedback) : end])

    def head(
        self, features: Float[Tensor, "b t f"], keypoints: Float[Tensor, "b t k 3"] | None = None
    ) -> Prediction:
        """Return the prediction of clips from their frames' features [B, T, F].

        keypoints [B, T, K, 3] as `keypoints` returns them.
        """
        clips, frames = features.shape[:2]
        over_time = self.over_time(features)
        errors = None
        if keypoints is not None:
            errors = partial(self.errors, keypoints=keypoints.flatten(0, 1))
        state = self.regressor(over_time.flatten(0, 1), errors)
        return Prediction(*(part.unflatten(0, (clips, frames)) for part in self.pose(state)))

    def errors(
        self, state: Float[Tensor, "_ theta"], keypoints: Float[Tensor, "n k 3"]
    ) -> Float[Tensor, "n k3"]:
        """Return the offsets of keypoints [N, K, 3] from states' [N or 1, Θ] reprojection [N, 3K].

        For each keypoint: its offset, crop units · ERROR_SCALE, and 1; three zeros if it is
        missing.
        """
        _, joints2d, *_ = self.pose(state)
        place, seen = keypoints.split((2, 1), dim=-1)
        off = ERROR_SCALE * (place - pick(joints2d, self.feedback)) * seen
        return torch.cat((off, seen), -1).flatten(1)

    def pose(self, state: Float[Tensor, "n theta"]) -> tuple[Tensor, ...]:
        """Return the fields of a Prediction [N, ...], float32, of states [N, Θ]."""
        with torch.autocast(state.device.type, enabled=False):
            return self.posed(*self.split(state))

    def posed(
        self,
        rotation: Float[Tensor, "n 24 3 3"],
        betas: Float[Tensor, "n 10"],
        camera: Float[Tensor, "n 3"],
    ) -> tuple[Tensor, ...]:
        """Return the fields of a Prediction [N, ...] from the parts that `split` returns."""
        joints = self.body(rotation, betas)
        joints2d = camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:])
        return joints, joints2d, rotation, betas, camera

    def average_flipped(self, plain: Prediction, mirrored: Prediction) -> Prediction:
        """Return the mean of the predictions for clips and for the same clips mirrored, x → −x.

        Rotations: the nearest to the mean matrix (its polar factor); betas, camera: the mean.
        """
        assert plain.rotations is not None and mirrored.rotations is not None
        assert plain.betas is not None and mirrored.betas is not None
        assert plain.camera is not None and mirrored.camera is not None
        flip = plain.betas.new_tensor([-1.0, 1.0, 1.0])
        rotation = geometry.nearest(plain.rotations + mirror_rotations(mirrored.rotations))
        betas = (plain.betas + mirrored.betas) / 2
        camera = (plain.camera + mirrored.camera * flip[[1, 0, 1]]) / 2
        fields = self.posed(*(part.flatten(0, 1) for part in (rotation, betas, camera)))
        return Prediction(*(part.unflatten(0, betas.shape[:2]) for part in fields))

    def split(
        self, state: Float[Tensor, "n theta"]
    ) -> tuple[Float[Tensor, "n 24 3 3"], Float[Tensor, "n 10"], Float[Tensor, "n 3"]]:
        """Return bone rotations [N, 24, 3, 3], betas [N, 10], camera [N, 3] of states [N, Θ]."""
        numbers = 6 if self.rotation == "6d" else 3
        bones, betas, camera = state.split((BONES * numbers, 10, 3), dim=1)
        bones = bones.unflatten(1, (BONES, numbers))
        if self.rotation == "6d":
            return geometry.matrix_from_6d(bones), betas, camera
        return geometry.matrix_from_axis_angle(bones), betas, camera
