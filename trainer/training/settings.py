"""The settings of a run: the user's where given, else values that suit this machine."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import torch

from trainer.common.cli import count
from trainer.common.device import native_precision
from trainer.data.dataset import DataSet
from trainer.errors import BadInput
from trainer.training.options import FitConfig

GPU_BYTES_PER_PIXEL = {"bf16": 1000, "fp16": 1000, "tf32": 2000, "fp32": 2000}
"""Training memory of ResNet-50, bytes per input pixel of a frame; in bf16 1.6 GB for a clip of 31
frames at 224 px. Autograd's saved tensors are 900 and 1760; the rest is inputs and temporaries."""
LEARNING_RATES = {"lifter": 1e-3, "coordinates": 1.5e-3, "resnet50": 1e-4, "small": 1e-3}
"""Peak learning rates; 5e-4 for the others."""


@dataclass(frozen=True)
class Settings:
    """Values of the options that a config may leave unset."""

    backbone: str
    image_size: int
    frames: int
    lstm_width: int
    steps: int
    batch_size: int
    lr: float
    warmup: int
    precision: str
    compile: bool
    workers: int

    @property
    def at_size(self) -> str:
        """The text on the input size, empty for a network without pictures."""
        return "" if self.backbone in ("coordinates", "lifter") else f" at {self.image_size} px"

    def line(self, device: torch.device) -> str:
        """Return them as one line of text."""
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        return (
            f"{name}, {count(torch.get_num_threads(), 'thread')}: "
            f"{self.backbone}{self.at_size}, "
            f"{self.frames} frames x {count(self.batch_size, 'clip')}, LSTM {self.lstm_width}, "
            f"{self.precision}{', compiled' if self.compile else ''}, "
            f"{count(self.steps, 'step')}, lr {self.lr:g}, {count(self.workers, 'loader thread')}"
        )


def can_compile() -> bool:
    """Return whether torch.compile finds what it needs to build GPU kernels.

    Triton compiles a small C module with Python's headers; slim images may have neither.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    capable = torch.cuda.get_device_capability() >= (7, 0)
    return bool(compiler) and header.exists() and capable


def clip_frames(cfg: FitConfig, dataset: DataSet) -> int:
    """Return the frames of a training clip; BadInput if the data set's clips have fewer."""
    endless = cfg.clips == "endless"
    if dataset.labels_only and not endless:
        raise BadInput(
            f"{dataset.folder} holds motions without pictures or keypoints; train on them with "
            "--clips endless --inputs keypoints."
        )
    frames = cfg.frames or (16 if endless else 1 + (dataset.clip_length - 1) // cfg.spacing)
    span = (frames - 1) * cfg.spacing + 1
    if span > dataset.clip_length:
        spaced = f", {cfg.spacing} apart, span {span} frames," if cfg.spacing > 1 else ""
        raise BadInput(
            f"--frames {frames}{spaced} is more than the {dataset.clip_length} frames that "
            f"the clips of {dataset.folder} have."
        )
    return frames


def choose(cfg: FitConfig, dataset: DataSet, device: torch.device) -> Settings:
    """Return the settings of a run: the user's where given, else this machine's defaults."""
    gpu = device.type == "cuda"
    if cfg.sync_bn and not gpu:
        raise BadInput("--sync-bn needs GPUs: torch cannot synchronise batch statistics on CPUs.")
    frames = clip_frames(cfg, dataset)
    backbone = cfg.backbone or ("resnet50" if gpu else "resnet18")
    if cfg.model == "lifter":
        backbone = "lifter"
    elif cfg.keypoints == "coordinates" and cfg.inputs == "keypoints":
        backbone = "coordinates"
    size = cfg.image_size or (224 if gpu else 112)
    size = min(size, dataset.image_size) if cfg.image_size is None else size
    precision = cfg.precision or native_precision(device)
    batch = cfg.batch_size
    if batch is None:
        batch = 64 if backbone == "coordinates" else 4
        if gpu and backbone not in ("coordinates", "lifter"):
            memory = torch.cuda.get_device_properties(device).total_memory - 4e9
            # With DANN the CNN also processes as many real frames.
            seen = frames * (2 if cfg.dann_shards else 1)
            clip = seen * size * size * GPU_BYTES_PER_PIXEL[precision]
            batch = int(max(1, min(48, memory / clip)))
    compiled = cfg.compile
    if compiled is None:  # synchronised norms would break the compiled graph at every layer
        compiled = gpu and not cfg.sync_bn and can_compile()
    steps = cfg.steps or (100_000 if gpu else 2000)
    workers = cfg.workers
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        workers = max(1, min(cores - 1, 8)) if gpu and "rgb" in cfg.inputs else 1
    return Settings(
        backbone=backbone,
        image_size=size,
        frames=frames,
        lstm_width=cfg.lstm_width
        or (128 if cfg.keypoints == "coordinates" else 1024 if gpu else 256),
        steps=steps,
        batch_size=batch,
        lr=cfg.lr or LEARNING_RATES.get(backbone, 5e-4),
        warmup=cfg.warmup if cfg.warmup is not None else min(2000, max(1, steps // 20)),
        precision=precision,
        compile=compiled,
        workers=workers,
    )
