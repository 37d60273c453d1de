"""Options of the training of a flow network."""

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
    """Folder of the run."""
    network: Literal["flownets", "pwc"] = "flownets"
    """Which network: the paper's, or PWC-Net, which learns several times faster."""
    width: float | None = None
    """Channels relative to the network's own: FlowNetS a multiple of 1/8, default 0.25; PWC-Net a
    multiple of 1/4, default 1."""
    first_weights: Path | None = None
    """Weights to begin with, of the same network and width (`--flow-weights` of an earlier run)."""
    steps: int = 40_000
    """Optimiser steps in all, earlier runs into the same folder counted in."""
    batch_size: int = 8
    """Pairs a step (FlowNet's)."""
    size: int = 224
    """Side of the training images, pixels."""
    lr: float = 1e-3
    """AdamW's step size, about the largest that holds for the default widths; take 1e-4 for
    FlowNetS of width 1 (FlowNet's). It rises over the first 300 steps."""
    fall: int | None = None
    """Steps at the end over which the step size falls to zero, by default a quarter of --steps.
    With 0 it does not fall, for a training in pieces of unknown length: the averaged weights are
    usable at any time, and `--fall N` with N more --steps ends it."""
    weight_decay: float = 0.01
    """AdamW's decay of weights, none of biases."""
    people: float = 0.5
    """Share of pairs that show a rendered person; the others show moving shapes."""
    person_weight: float = 1.0
    """Weight of the rendered person's pixels in the loss; of all others it is 1. They are one in
    fifteen of a pair that shows a person."""
    crop: int = 0
    """Side of the part of each image that is learned from, drawn afresh at every repeat; 0 takes
    all of it."""
    textures: Path | None = None
    """Folder of photos. Default: the embedded scenes and scikit-image's photos."""
    seed: int = 0
    """Seed of the pairs and of the first weights."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network is trained."""
    repeats: int = 16
    """Times that a drawn scene is met, mirrored and recoloured afresh; 1 with many workers."""
    workers: int = 0
    """Processes that make pairs; 0 makes them between the steps."""
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
            f"--device {self.device} is none that torch can use here; give cpu, or cuda on a "
            "machine with a GPU",
        )

    @property
    def channels(self) -> float:
        """The width that is meant where none is given."""
        return self.width or {"flownets": 0.25, "pwc": 1.0}[self.network]

    @property
    def weights(self) -> Path:
        """The file that gets the averaged weights."""
        return self.out / f"{self.network}.pth"


def _usable(device: str) -> bool:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # no such device; torch without CUDA
        return False
    return True
