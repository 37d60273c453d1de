"""RAFT (Teed & Deng, ECCV 2020) in plain PyTorch, large and small.

Parameter names are those of princeton-vl/RAFT, so its checkpoints (raft-sintel.pth,
raft-things.pth, raft-small.pth) load strictly. A frame's features are used for both of its pairs,
so a clip needs T+1 encodings rather than 2T.
"""

# T pairs of a clip of T+1 frames, H W pixels (multiples of 8), h w = H/8 W/8, R radius

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    grid_sample,
    interpolate,
    pad,
    relu,
    softmax,
    unfold,
)

Norm = Literal["batch", "instance", "none"]
SMALLEST = 128
"""Smallest side of an image, for which the coarsest of four correlation levels has two cells."""


def _norm(kind: Norm, size: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(size)
    return nn.InstanceNorm2d(size) if kind == "instance" else nn.Identity()


class _Residual(nn.Module):
    """Two 3x3 convolutions (large network)."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm1, self.norm2 = _norm(norm, outputs), _norm(norm, outputs)
        self.downsample = None
        if stride != 1:
            self.norm3 = _norm(norm, outputs)  # the checkpoints have it under two names
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), self.norm3)

    def forward(self, x: Float[Tensor, "t c h w"]) -> Float[Tensor, "t d h2 w2"]:
        y = relu(self.norm1(self.conv1(x)))
        y = relu(self.norm2(self.conv2(y)))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 (small network)."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1)
        self.conv3 = nn.Conv2d(inner, outputs, 1)
        self.norm1, self.norm2 = _norm(norm, inner), _norm(norm, inner)
        self.norm3 = _norm(norm, outputs)
        self.downsample = None
        if stride != 1:
            self.norm4 = _norm(norm, outputs)
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), self.norm4)

    def forward(self, x: Float[Tensor, "t c h w"]) -> Float[Tensor, "t d h2 w2"]:
        y = relu(self.norm1(self.conv1(x)))
        y = relu(self.norm2(self.conv2(y)))
        y = relu(self.norm3(self.conv3(y)))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class _Encoder(nn.Module):
    """Maps an image to features at an eighth of its size."""

    def __init__(self, small: bool, outputs: int, norm: Norm) -> None:
        super().__init__()
        block = _Bottleneck if small else _Residual
        first, second, third = (32, 64, 96) if small else (64, 96, 128)
        self.norm1 = _norm(norm, first)
        self.conv1 = nn.Conv2d(3, first, 7, 2, 3)
        self.layer1 = nn.Sequential(block(first, first, norm, 1), block(first, first, norm, 1))
        self.layer2 = nn.Sequential(block(first, second, norm, 2), block(second, second, norm, 1))
        self.layer3 = nn.Sequential(block(second, third, norm, 2), block(third, third, norm, 1))
        self.conv2 = nn.Conv2d(third, outputs, 1)

    def forward(self, x: Float[Tensor, "t c h w"]) -> Float[Tensor, "t d h2 w2"]:
        x = relu(self.norm1(self.conv1(x)))
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class _MotionEncoder(nn.Module):
    """Maps the current flow, and the correlation around it, to features."""

    def __init__(self, small: bool, correlations: int) -> None:
        super().__init__()
        if small:
            self.convc1 = nn.Conv2d(correlations, 96, 1)
            self.convc2 = None
            self.convf1 = nn.Conv2d(2, 64, 7, 1, 3)
            self.convf2 = nn.Conv2d(64, 32, 3, 1, 1)
            self.conv = nn.Conv2d(96 + 32, 80, 3, 1, 1)
        else:
            self.convc1 = nn.Conv2d(correlations, 256, 1)
            self.convc2 = nn.Conv2d(256, 192, 3, 1, 1)
            self.convf1 = nn.Conv2d(2, 128, 7, 1, 3)
            self.convf2 = nn.Conv2d(128, 64, 3, 1, 1)
            self.conv = nn.Conv2d(192 + 64, 126, 3, 1, 1)

    def forward(
        self, flow: Float[Tensor, "t 2 h w"], correlation: Float[Tensor, "t c h w"]
    ) -> Float[Tensor, "t d h w"]:
        seen = relu(self.convc1(correlation))
        if self.convc2 is not None:
            seen = relu(self.convc2(seen))
        moved = relu(self.convf2(relu(self.convf1(flow))))
        return torch.cat((relu(self.conv(torch.cat((seen, moved), 1))), flow), 1)


class _ConvGRU(nn.Module):
    """Gated recurrent unit with 3x3 kernels (small network)."""

    def __init__(self, hidden: int, inputs: int) -> None:
        super().__init__()
        self.convz, self.convr, self.convq = (
            nn.Conv2d(hidden + inputs, hidden, 3, 1, 1) for _ in range(3)
        )

    def forward(
        self, h: Float[Tensor, "t c h w"], x: Float[Tensor, "t d h w"]
    ) -> Float[Tensor, "t c h w"]:
        return _gate(h, x, self.convz, self.convr, self.convq)


class _SepConvGRU(nn.Module):
    """Gated recurrent unit with a 1x5, then a 5x1 kernel (large network)."""

    def __init__(self, hidden: int, inputs: int) -> None:
        super().__init__()
        both = hidden + inputs
        self.convz1, self.convr1, self.convq1 = (
            nn.Conv2d(both, hidden, (1, 5), padding=(0, 2)) for _ in range(3)
        )
        self.convz2, self.convr2, self.convq2 = (
            nn.Conv2d(both, hidden, (5, 1), padding=(2, 0)) for _ in range(3)
        )

    def forward(
        self, h: Float[Tensor, "t c h w"], x: Float[Tensor, "t d h w"]
    ) -> Float[Tensor, "t c h w"]:
        h = _gate(h, x, self.convz1, self.convr1, self.convq1)
        return _gate(h, x, self.convz2, self.convr2, self.convq2)


def _gate(h: Tensor, x: Tensor, convz: nn.Module, convr: nn.Module, convq: nn.Module) -> Tensor:
    both = torch.cat((h, x), 1)
    z, r = torch.sigmoid(convz(both)), torch.sigmoid(convr(both))
    q = torch.tanh(convq(torch.cat((r * h, x), 1)))
    return (1 - z) * h + z * q


class _FlowHead(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, hidden, 3, 1, 1)
        self.conv2 = nn.Conv2d(hidden, 2, 3, 1, 1)

    def forward(self, x: Float[Tensor, "t c h w"]) -> Float[Tensor, "t 2 h w"]:
        return self.conv2(relu(self.conv1(x)))


class _UpdateBlock(nn.Module):
    """One refinement step: updates the hidden state and the flow."""

    def __init__(self, small: bool, hidden: int, context: int, correlations: int) -> None:
        super().__init__()
        self.encoder = _MotionEncoder(small, correlations)
        inputs = context + (82 if small else 128)
        self.gru = _ConvGRU(hidden, inputs) if small else _SepConvGRU(hidden, inputs)
        self.flow_head = _FlowHead(hidden, 128 if small else 256)
        if not small:
            self.mask = nn.Sequential(
                nn.Conv2d(128, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 64 * 9, 1)
            )

    def forward(
        self,
        h: Float[Tensor, "t c h w"],
        context: Float[Tensor, "t d h w"],
        correlation: Float[Tensor, "t e h w"],
        flow: Float[Tensor, "t 2 h w"],
    ) -> tuple[Float[Tensor, "t c h w"], Float[Tensor, "t 2 h w"]]:
        motion = self.encoder(flow, correlation)
        h = self.gru(h, torch.cat((context, motion), 1))
        return h, self.flow_head(h)


class Raft(nn.Module):
    """Maps consecutive frames to flow at full resolution.

    A 16-bit `dtype` is used for the encoders and the updates, but not for correlations and
    coordinates, as in the official code's mixed precision.
    """

    def __init__(
        self, small: bool, iterations: int = 12, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.small = small
        self.iterations = iterations
        self.dtype = dtype
        self.hidden, self.context = (96, 64) if small else (128, 128)
        self.radius, self.levels = (3 if small else 4), 4
        correlations = self.levels * (2 * self.radius + 1) ** 2
        self.fnet = _Encoder(small, 128 if small else 256, "instance")
        self.cnet = _Encoder(small, self.hidden + self.context, "none" if small else "batch")
        self.update_block = _UpdateBlock(small, self.hidden, self.context, correlations)

    def forward(self, frames: UInt8[Tensor, "t 3 h w"]) -> Float[Tensor, "_ 2 h w"]:
        """Return the flow [T,2,H,W] px for frames uint8 [T+1,3,H,W] of any size."""
        height, width = frames.shape[2:]
        left, top = _margin(width), _margin(height)
        images = pad(frames.float() / 127.5 - 1, (*left, *top), mode="replicate")
        short = torch.autocast(images.device.type, self.dtype, self.dtype != torch.float32)
        with short:
            features = self.fnet(images)
            state = self.cnet(images[:-1]).float()
        features = features.float()
        pyramid = correlate(features[:-1], features[1:], self.levels)
        h = torch.tanh(state[:, : self.hidden])
        context = relu(state[:, self.hidden :])

        start = _grid(h)
        coords = start.clone()
        for _ in range(self.iterations):
            seen = look_up(pyramid, coords, self.radius)
            with short:
                h, delta = self.update_block(h, context, seen, coords - start)
            coords = coords + delta.float()
        flow = coords - start
        if self.small:
            full = 8 * interpolate(flow, scale_factor=8, mode="bilinear", align_corners=True)
        else:
            full = convex_upsample(flow, 0.25 * self.update_block.mask(h.float()))
        return full[:, :, top[0] : top[0] + height, left[0] : left[0] + width]


def _margin(side: int) -> tuple[int, int]:
    """Return the padding in pixels before and after a side that the network needs."""
    missing = max(SMALLEST - side, -side % 8)
    missing += -(side + missing) % 8
    return missing // 2, missing - missing // 2


def _grid(like: Tensor) -> Tensor:
    """Return the coordinates (x, y) of every cell, [T,2,h,w]."""
    count, _, height, width = like.shape
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    y = torch.arange(height, device=like.device, dtype=like.dtype)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    return grid.expand(count, 2, height, width)


def correlate(
    first: Float[Tensor, "t c h w"], second: Float[Tensor, "t c h w"], levels: int
) -> list[Float[Tensor, "thw 1 _ _"]]:
    """Return all-pairs correlations [T·h·w,1,h',w'], with the second image halved at each level."""
    count, depth, height, width = first.shape
    volume = first.flatten(2).transpose(1, 2) @ second.flatten(2) / depth**0.5
    pyramid = [volume.reshape(count * height * width, 1, height, width)]
    for _ in range(levels - 1):
        pyramid.append(avg_pool2d(pyramid[-1], 2))
    return pyramid


def look_up(
    pyramid: list[Tensor], coords: Float[Tensor, "t 2 h w"], radius: int
) -> Float[Tensor, "t c h w"]:
    """Return correlations around coords [T,2,h,w], [T,levels·(2R+1)²,h,w].

    The window is stored column by column (x outer, y inner), as the official weights expect.
    """
    count, _, height, width = coords.shape
    steps = torch.arange(-radius, radius + 1, device=coords.device, dtype=coords.dtype)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    centres = coords.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    found = []
    for level, volume in enumerate(pyramid):
        points = centres / 2**level + window
        last = torch.tensor([volume.shape[3] - 1, volume.shape[2] - 1], device=coords.device)
        sampled = grid_sample(volume, 2 * points / last - 1, align_corners=True)
        found.append(sampled.view(count, height, width, -1))
    return torch.cat(found, -1).permute(0, 3, 1, 2).contiguous()


def convex_upsample(flow: Float[Tensor, "t 2 h w"], mask: Tensor) -> Float[Tensor, "t 2 _ _"]:
    """Return flow [T,2,h,w] in cells as [T,2,8h,8w] in px, each a weighted mean of 3x3
    neighbours."""
    count, _, height, width = flow.shape
    shares = softmax(mask.view(count, 1, 9, 8, 8, height, width), dim=2)
    around = unfold(8 * flow, (3, 3), padding=1).view(count, 2, 9, 1, 1, height, width)
    full = (shares * around).sum(2).permute(0, 1, 4, 2, 5, 3)
    return full.reshape(count, 2, 8 * height, 8 * width)
