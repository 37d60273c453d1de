"""Options for training a flow network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from datagen.common.options import require
from datagen.flow import flownets, pwc


@dataclass(frozen=True, kw_only=True)
class TrainFlowConfig:
    """Train a flow network on pairs with exact flow."""

    out: Path = Path("runs/flow")
    """Output folder of the run."""
    network: Literal["flownets", "pwc"] = "flownets"
    """Network: the paper's FlowNetS, or PWC-Net, which learns several times faster."""
    width: float | None = None
    """Channels relative to the standard network. FlowNetS: a multiple of 1/8, default 0.25;
    PWC-Net: a multiple of 1/4, default 1."""
    first_weights: Path | None = None
    """Initial weights, of the same network and width (such as the output of an earlier run)."""
    steps: int = 40_000
    """Total optimiser steps, including earlier runs in the same folder."""
    batch_size: int = 8
    """Pairs per step (as in FlowNet)."""
    size: int = 224
    """Side of the training images, pixels."""
    lr: float = 1e-3
    """AdamW's learning rate, about the largest that is stable for the default widths; use 1e-4 for
    FlowNetS with width 1 (FlowNet's value). It is warmed up over the first 300 steps."""
    fall: int | None = None
    """Final steps over which the learning rate falls to zero; default: a quarter of --steps. With 0
    it stays constant, for training of unknown length: the averaged weights are usable at any time,
    and `--fall N` with N more --steps ends it."""
    weight_decay: float = 0.01
    """AdamW's weight decay, not applied to biases."""
    people: float = 0.5
    """Share of pairs with a rendered person; the others show moving shapes."""
    person_weight: float = 1.0
    """Weight of the rendered person's pixels in the loss; all others have weight 1. In a pair with
    a person, they are one in fifteen pixels."""
    crop: int = 0
    """Side of the random crop of each image used for training, drawn again at every repeat; 0 uses
    the whole image."""
    textures: Path | None = None
    """Folder of photos. Default: the embedded scenes and scikit-image's photos."""
    seed: int = 0
    """Seed of the pairs and of the initial weights."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Device on which the network is trained."""
    repeats: int = 16
    """Times that a drawn scene is used, with new mirroring and colours; use 1 with many workers."""
    workers: int = 0
    """Worker processes that make pairs; 0 makes them between steps."""
    checkpoint_every: int = 250
    """Steps between checkpoints and validations."""

    def __post_init__(self) -> None:
        widths = flownets.WIDTHS if self.network == "flownets" else pwc.WIDTHS
        require(
            self.width is None or self.width in widths,
            f"--width must be a multiple of {widths[0]} up to {widths[-1]:g} for --network "
            f"{self.network}, got {self.width}",
        )
        require(
            self.fall is None or 0 <= self.fall <= self.steps,
            f"--fall must lie in [0, --steps], got {self.fall}",
        )
        for name in ("steps", "batch_size", "repeats", "checkpoint_every"):
            value = getattr(self, name)
            require(value >= 1, f"--{name.replace('_', '-')} must be at least 1, got {value}")
        require(self.size >= 32, f"--size must be at least 32, got {self.size}")
        require(
            self.crop == 0 or 32 <= self.crop <= self.size,
            f"--crop must be 0 or lie in [32, --size], got {self.crop}",
        )
        require(
            0 < self.person_weight < math.inf,
            f"--person-weight must be a positive number, got {self.person_weight}",
        )
        require(0 <= self.people <= 1, f"--people must lie in [0, 1], got {self.people}")
        require(
            _usable(self.device),
            f"--device {self.device} cannot be used by torch here; give cpu, or cuda on a "
            "machine with a GPU",
        )

    @property
    def channels(self) -> float:
        """The width, or its default."""
        return self.width or {"flownets": 0.25, "pwc": 1.0}[self.network]

    @property
    def weights(self) -> Path:
        """The file for the averaged weights."""
        return self.out / f"{self.network}.pth"


def _usable(device: str) -> bool:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # no such device; torch without CUDA
        return False
    return True
