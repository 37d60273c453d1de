"""Flow from a network: weights from a file, whole clips in batches, any device and precision."""

# T+1 frames give T fields, S side of the crop

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from datagen.common.errors import BadInput
from datagen.flow import flownets, flownets_onednn, pwc
from datagen.flow.checkpoint import fill, read_checkpoint
from datagen.flow.estimator import check_frames, pack
from datagen.flow.options import FlowConfig
from datagen.flow.raft import Raft
from datagen.flow.weights import EMBEDDED, flow_name

RAFT_STRIDE = 4
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PAIRS_AT_ONCE = {"cpu": 16, "cuda": 64}
"""Pairs of 224 px per batch. On a CPU, larger batches exceed the cache and make torch allocate new
memory from the system for every layer: 31 pairs take a fifth longer per pair."""


class Network:
    """An estimator that wraps a module from uint8 frames [T+1,3,H,W] to flow [T,2,h,w] in px."""

    def __init__(self, name: str, stride: int, module: nn.Module, device: str) -> None:
        self.name = name
        self.stride = stride
        self._module = module.eval().to(device)
        self._device = device

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return float16 [T,2,h,w]; see datagen.flow.estimator.Estimator."""
        check_frames(frames)
        images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        pixels = PAIRS_AT_ONCE[torch.device(self._device).type] * 224 * 224
        batch = max(1, pixels // (images.shape[2] * images.shape[3]))
        fields = []
        with torch.inference_mode():
            for start in range(0, len(images) - 1, batch):
                chunk = images[start : start + batch + 1].to(self._device)
                fields.append(self._module(chunk).float().cpu())
        return pack(torch.cat(fields).numpy(), self.name)


class FlowNetSClip(nn.Module):
    """FlowNetS applied to the consecutive pairs of a clip."""

    def __init__(
        self, network: flownets.FlowNetS, div_flow: float, preparation: str, dtype: torch.dtype
    ) -> None:
        super().__init__()
        # channels_last is the fastest layout for oneDNN and cuDNN
        self.network = network.to(memory_format=torch.channels_last).to(dtype)  # type: ignore[call-overload]
        self.div_flow = div_flow
        self.preparation = preparation
        self.dtype = dtype

    def forward(self, frames: Tensor) -> Tensor:
        """Return flow [T,2,h,w] in pixels of frames uint8 [T+1,3,H,W]."""
        pairs = flownets.prepare(frames[:-1], frames[1:], self.preparation)
        return self.network(pairs.to(self.dtype)).float() * self.div_flow


class PwcClip(nn.Module):
    """PWC-Net applied to the frames of a clip; each frame's features are used for both its
    pairs."""

    def __init__(self, network: pwc.PwcNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last).to(dtype)  # type: ignore[call-overload]
        self.dtype = dtype

    def forward(self, frames: Tensor) -> Tensor:
        """Return flow [T,2,h,w] in pixels of frames uint8 [T+1,3,H,W]."""
        features = self.network.describe(pwc.prepare(frames).to(self.dtype))
        return self.network.match([f[:-1] for f in features], [f[1:] for f in features])[0]


class RaftClip(nn.Module):
    """RAFT's flow, averaged over cells of 4x4 pixels.

    Averaging and bilinear upsampling cost 0.2 to 0.3 px at the edges of FlyingChairs at 224 px (the
    same for exact flow); full resolution would make shards 16 times as large.
    """

    def __init__(self, network: Raft, stride: int) -> None:
        super().__init__()
        self.network = network
        self.stride = stride

    def forward(self, frames: Tensor) -> Tensor:
        """Return flow [T,2,h,w] in pixels of frames uint8 [T+1,3,H,W]."""
        flow = self.network(frames)
        missing = [-side % self.stride for side in flow.shape[2:]]
        return avg_pool2d(pad(flow, (0, missing[1], 0, missing[0]), mode="replicate"), self.stride)


def best_dtype(device: str) -> torch.dtype:
    """Return bfloat16 if the device supports it natively, otherwise float32."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # without native instructions, oneDNN emulates bfloat16 slowly
    return torch.bfloat16 if _cpu_has_bf16() else torch.float32


def _cpu_has_bf16() -> bool:
    check: Callable[[], bool] | None = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return check is not None and check()


def load_network(cfg: FlowConfig, device: str) -> Network:
    """Return the network that `cfg` names with its weights.

    Raises:
        BadInput: see datagen.flow.load.load_estimator.
    """
    dtype = best_dtype(device) if cfg.flow_dtype == "auto" else DTYPES[cfg.flow_dtype]
    path = EMBEDDED[cfg.flow] if cfg.flow_weights is None else Path(cfg.flow_weights)
    return _load(cfg, path, dtype, device)


def _load(cfg: FlowConfig, path: Path, dtype: torch.dtype, device: str) -> Network:
    state, extras = read_checkpoint(path)
    name = flow_name(cfg)
    if cfg.flow == "flownets":
        network = load_flownets(state, path)
        clip = FlowNetSClip(network, *_conventions(extras, path), dtype)
        native = device == "cpu" and dtype == torch.bfloat16 and _cpu_has_bf16()
        if native and flownets_onednn.available():
            flownets_onednn.pack(clip.network)
        return Network(name, flownets.STRIDE, clip, device)
    if cfg.flow in ("pwc", "pwc+dis"):
        return Network(name, pwc.STRIDE, PwcClip(load_pwc(state, path), dtype), device)
    small = cfg.flow == "raft_small"
    raft = Raft(small, cfg.raft_iterations, dtype)
    fill(raft, state, path, "RAFT small" if small else "RAFT large")
    return Network(name, RAFT_STRIDE, RaftClip(raft, RAFT_STRIDE), device)


def _conventions(extras: dict[str, Any], path: Path) -> tuple[float, str]:
    """Return the unit of a checkpoint's flow in px, and its image normalisation."""
    div_flow = extras.get("div_flow", flownets.DIV_FLOW)
    if not isinstance(div_flow, int | float) or not 0 < div_flow < math.inf:
        raise BadInput(f"{path} has div_flow {div_flow!r}: it must be a positive number.")
    preparation = extras.get("preparation", "mean")
    if preparation not in flownets.PREPARATIONS:
        raise BadInput(
            f"{path} needs the image normalisation {preparation!r}, which is unknown; "
            f"known ones are {', '.join(flownets.PREPARATIONS)}."
        )
    return float(div_flow), preparation


def load_flownets(state: dict[str, Tensor], path: Path) -> flownets.FlowNetS:
    """Return the FlowNetS with the width of its state dict.

    Raises:
        BadInput: the state is another network's.
    """
    first = state.get("conv1.0.weight")
    if first is None or first.ndim != 4 or first.shape[1] != 6:
        raise BadInput(
            f"{path} is not a checkpoint of FlowNetS (no conv1.0.weight for 6 channels): "
            "give flownets_EPE1.951.pth or weights from datagen.flow.train, or name another --flow."
        )
    width = flownets.width_of(state)
    if width not in flownets.WIDTHS:
        raise BadInput(
            f"{path} has {len(first)} channels in conv1, not a multiple of 8 up to 128: "
            "it is not a checkpoint of FlowNetS."
        )
    network = flownets.FlowNetS(width)
    fill(network, state, path, "FlowNetS")
    return network


def load_pwc(state: dict[str, Tensor], path: Path) -> pwc.PwcNet:
    """Return the PWC-Net with the width of its state dict.

    Raises:
        BadInput: the state is another network's.
    """
    first = state.get("features.0.0.0.weight")
    width = 0.0 if first is None or first.ndim != 4 else len(first) / pwc.CHANNELS[0]
    if width not in pwc.WIDTHS:
        raise BadInput(
            f"{path} is not a checkpoint of this PWC-Net: give the output of "
            "`python -m datagen.flow.train --network pwc`, or name another --flow."
        )
    network = pwc.PwcNet(width)
    fill(network, state, path, "this PWC-Net")
    return network
