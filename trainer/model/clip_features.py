"""Features of every frame of a clip, by a CNN on pictures, keypoint coordinates and an LSTM.

The paper's network has only the CNN before its LSTM. With both coordinates and pictures, the CNN's
features are added to those of the coordinates through a zero-initialised layer, so that a network
trained on keypoints starts unchanged. Letters: B clips, T frames, K keypoints, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainer.errors import BadInput
from trainer.model.coordinates import CoordinateEncoder, WindowView, view
from trainer.model.resnet import ResNet


class Seen(NamedTuple):
    """A network's input for clips."""

    image: Tensor | None
    """Pictures [B, T, C, I, I], None for networks without a CNN."""
    points: Tensor | None = None
    """[B, T, K, 3] rays (x/z, y/z, seen) for networks with keypoint coordinates; a lifter's [B, T,
    2K].
    """


class ClipFeatures(nn.Module):
    """Clips → features of each frame with temporal context; base class of networks with heads."""

    def __init__(
        self,
        *,
        channels: int,
        backbone: str,
        lstm_width: int,
        lstm_layers: int = 1,
        residual: bool = False,
        coordinates: int = 0,
    ) -> None:
        """channels: of the CNN's input, 0 without a CNN; coordinates: K, 0 without them."""
        super().__init__()
        width = 2 * lstm_width if coordinates else 0
        self.backbone = ResNet(backbone, channels) if channels else None
        self.coordinates = CoordinateEncoder(coordinates, width) if coordinates else None
        self.projection = None
        if self.backbone is not None and self.coordinates is not None:
            self.projection = nn.Linear(self.backbone.width, width)
            nn.init.zeros_(self.projection.weight)
            nn.init.zeros_(self.projection.bias)
        elif self.backbone is not None:
            width = self.backbone.width
        if residual and 2 * lstm_width != width:
            raise BadInput(
                f"--residual adds {backbone}'s {width} features to the LSTM's "
                f"{2 * lstm_width}; pass --lstm-width {width // 2}."
            )
        self.residual = residual
        self.lstm = nn.LSTM(width, lstm_width, lstm_layers, batch_first=True, bidirectional=True)

    def frame_features(
        self, seen: Seen, window: WindowView | None = None
    ) -> Float[Tensor, "b t f"]:
        """Return the features [B, T, F] of every frame, without temporal context.

        window: the view of `seen.points`, if already computed.
        """
        features = None
        if self.coordinates is not None:
            assert seen.points is not None
            features = self.coordinates(window or view(seen.points))
        if self.backbone is not None:
            assert seen.image is not None
            flat = seen.image.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            pictures = self.backbone(flat).float().unflatten(0, seen.image.shape[:2])
            if self.projection is not None:
                pictures = pictures * self.backbone.width**-0.5
            features = pictures if features is None else features + self.projection(pictures)  # pyright: ignore[reportOptionalCall]
        assert features is not None
        return features

    def over_time(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t g"]:
        """Return the LSTM's features [B, T, 2·lstm_width] of frames."""
        # Under bf16 autocast cuDNN's LSTM would run in fp16, whose small gradients vanish unscaled
        # (torch's AutocastRNN.cpp), and a CPU's takes twice as long; the body decides to the
        # millimetre.
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            out, _ = self.lstm(features)
            return out + features if self.residual else out
