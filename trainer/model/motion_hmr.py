"""Motion HMR: a CNN per frame, a memory over the clip, HMR's iterative regressor per frame.

The paper's Figure 3. What it leaves open (LSTM width, rotation parameters) follows HMR and its
reimplementations and is named in trainer/config.py. Letters: B clips, T frames, N = B·T frames.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer import rotations
from trainer.errors import BadInput
from trainer.model.body import BONES, BodyJoints
from trainer.model.resnet import ResNet

ITERATIONS = 3
"""Refinements of the regressor (HMR's num_stage)."""


class Prediction(NamedTuple):
    """What a model says of a clip; `rotations`, `betas` and `camera` are None for a lifter."""

    joints: Tensor
    """[B, T, J, 3] metres, camera axes, up to translation."""
    joints2d: Tensor | None = None
    """[B, T, J, 2] reprojection in crop units ([-1, 1])."""
    rotations: Tensor | None = None
    """[B, T, 24, 3, 3]; the root's is body → camera."""
    betas: Tensor | None = None
    """[B, T, 10]."""
    camera: Tensor | None = None
    """[B, T, 3]: s, tx, ty of the weak perspective x = s·(X + t)."""


def initial_state(rotation: str, pose: np.ndarray | None, betas: np.ndarray | None) -> Tensor:
    """Return the regressor's starting point: rotations, then 10 betas, then the camera.

    The root is turned by π about x: upright in the camera frame, whose y points down. Body
    rotations come from pose (float [72] axis-angle; its root is ignored) or are the rest pose.
    """
    bones = torch.zeros(BONES, 3)
    if pose is not None:
        bones[1:] = torch.as_tensor(pose, dtype=torch.float32).reshape(BONES, 3)[1:]
    bones[0] = torch.tensor([math.pi, 0, 0])
    if rotation == "6d":
        bones = rotations.sixd_from_matrix(rotations.matrix_from_axis_angle(bones))
    shape = torch.zeros(10) if betas is None else torch.as_tensor(betas, dtype=torch.float32)
    return torch.cat((bones.flatten(), shape, torch.tensor([0.9, 0.0, 0.0])))


class Regressor(nn.Module):
    """HMR's iterative error feedback: [feature, Θ] → ΔΘ, three times with shared weights."""

    start: Tensor

    def __init__(self, features: int, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start)
        self.fc1 = nn.Linear(features + len(start), 1024)
        self.fc2 = nn.Linear(1024, 1024)
        self.fc3 = nn.Linear(1024, len(start))
        # HMR's variance scaling 0.01 (FAN_AVG, uniform): the first guesses are the mean person.
        bound = math.sqrt(3 * 0.01 * 2 / (1024 + len(start)))
        nn.init.uniform_(self.fc3.weight, -bound, bound)
        nn.init.zeros_(self.fc3.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """Return Θ [N, ...], float32; the hidden layers multiply in autocast's precision."""
        state = self.start[None]
        # fc1 of [feature, state], the feature's part of it once for all iterations.
        of_feature, of_state = self.fc1.weight.split((feature.shape[1], len(self.start)), dim=1)
        seen = F.linear(feature, of_feature, self.fc1.bias)
        for _ in range(ITERATIONS):
            x = self.hidden(seen + F.linear(state, of_state))
            x = self.hidden(self.fc2(x))
            with torch.autocast(feature.device.type, enabled=False):
                state = state + self.fc3(x.float())
        return state

    def hidden(self, x: Tensor) -> Tensor:
        """Return the units' values, in training half of them dropped and the rest doubled."""
        if self.training:
            # Dropout(0.5); nn.Dropout draws five times as long on a CPU that is not Intel's.
            x = x * torch.rand_like(x, dtype=torch.float32).lt_(0.5).mul_(2).to(x.dtype)
        return F.relu(x)


def pick(joints: Tensor, chosen: tuple[int, ...] | list[int]) -> Tensor:
    """Return the chosen joints of [..., J, D]; those of a lifter, which has no others, as is."""
    return joints if joints.shape[-2] == len(chosen) else joints[..., list(chosen), :]


class MotionHMR(nn.Module):
    """Input [B, T, C, I, I] → Prediction."""

    def __init__(
        self,
        body: dict[str, np.ndarray],
        *,
        channels: int,
        backbone: str = "resnet50",
        lstm_width: int = 1024,
        residual: bool = False,
        rotation: str = "6d",
        pose: np.ndarray | None = None,
        betas: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.rotation = rotation
        self.backbone = ResNet(backbone, channels)
        if residual and 2 * lstm_width != self.backbone.width:
            raise BadInput(
                f"--residual adds {backbone}'s {self.backbone.width} features to the LSTM's "
                f"{2 * lstm_width}; pass --lstm-width {self.backbone.width // 2}."
            )
        self.residual = residual
        self.memory = nn.LSTM(self.backbone.width, lstm_width, batch_first=True, bidirectional=True)
        self.regressor = Regressor(2 * lstm_width, initial_state(rotation, pose, betas))
        self.body = BodyJoints(body)

    def forward(self, image: Tensor) -> Prediction:
        return self.head(self.features(image))

    def features(self, image: Tensor) -> Tensor:
        """Return the CNN's features [B, T, F] of every frame."""
        flat = image.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.backbone(flat).float().unflatten(0, image.shape[:2])

    def head(self, features: Tensor) -> Prediction:
        """Return the prediction of clips from their frames' features [B, T, F]."""
        clips, frames = features.shape[:2]
        # Under bf16 autocast cuDNN's LSTM would run in fp16, whose small gradients vanish unscaled
        # (torch's AutocastRNN.cpp), and a CPU's takes twice as long; the body decides to the
        # millimetre.
        with torch.autocast(features.device.type, enabled=False):
            memory, _ = self.memory(features)
            if self.residual:
                memory = memory + features
        state = self.regressor(memory.flatten(0, 1))
        with torch.autocast(features.device.type, enabled=False):
            rotation, betas, camera = self.split(state)
            joints = self.body(rotation, betas)
            joints2d = camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:])

        def clip(x: Tensor) -> Tensor:
            return x.unflatten(0, (clips, frames))

        return Prediction(
            joints=clip(joints),
            joints2d=clip(joints2d),
            rotations=clip(rotation),
            betas=clip(betas),
            camera=clip(camera),
        )

    def split(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return bone rotations [N, 24, 3, 3], betas [N, 10], camera [N, 3] of states [N, Θ]."""
        numbers = 6 if self.rotation == "6d" else 3
        bones, betas, camera = state.split((BONES * numbers, 10, 3), dim=1)
        bones = bones.unflatten(1, (BONES, numbers))
        if self.rotation == "6d":
            return rotations.matrix_from_6d(bones), betas, camera
        return rotations.matrix_from_axis_angle(bones), betas, camera
