"""A training step, compared with only the CNN's forward and backward pass on the same tensors.

    python -m benchmarks.train  [--image-size 112 --batch-size 2]

Work: one step of Motion HMR (drawing inputs, CNN, LSTM, regressor, body, losses, gradient clipping,
Adam, averaged weights) in the paper's setting: 31 frames of 224 px and, on a CPU, its 3 clips per
GPU (6 GB). The baseline is the unavoidable part: the same CNN, in the same precision and memory
layout, forward and backward on the step's images. Both alternate in one process; the median counts.
On a GPU also clips/s, memory and the compiled CNN. The cost beyond the CNN hardly grows with the
number of clips (the weights are read for every frame of the LSTM, by Adam and by the average), so
the ratio improves with more clips per step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import torch

from trainer.common.device import Ranks, find_device, keep_memory, set_precision
from trainer.data.dataset import DataSet
from trainer.data.inputs import draw_inputs
from trainer.data.loader import Delivered
from trainer.model.body import FIELDS
from trainer.model.resnet import ResNet
from trainer.training.factory import make_train_step, model_spec
from trainer.training.options import FitConfig
from trainer.training.settings import choose

VERTICES, JOINTS, STORED, STRIDE = 200, 38, 224, 4
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def noise_body(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a random body in SMPL's layout."""
    sizes = {"V": VERTICES, "E": 14}
    body: dict[str, np.ndarray] = {
        name: rng.random([sizes.get(axis) or int(axis) for axis in axes.split()], np.float32)
        for name, axes in FIELDS.items()
    }
    for name in ("weights", "J_regressor", "eval_regressor"):
        body[name] /= body[name].sum(1, keepdims=True)
    body["parents"] = np.array(PARENTS, np.int32)
    return body


def noise_batch(rng: np.random.Generator, clips: int, frames: int) -> Delivered:
    """Return a random batch with the record's shapes."""
    cells = STORED // STRIDE
    arrays = {
        "flow": rng.normal(0, 3, (clips, frames, 2, cells, cells)).astype(np.float16),
        "joints2d": rng.uniform(40, 180, (clips, frames, JOINTS, 3)).astype(np.float32),
        "joints3d": rng.normal(0, 0.4, (clips, frames, JOINTS, 3)).astype(np.float32),
        "visibility": np.full((clips, frames, JOINTS), 2, np.uint8),
        "occluded": np.zeros((clips, frames), np.uint8),
        "valid": np.ones((clips, frames), np.uint8),
    }
    arrays["joints2d"][..., 2] = 1
    batch = {name: torch.from_numpy(value) for name, value in arrays.items()}
    return Delivered(batch, [str(i) for i in range(clips)], 0, 0, [])


def dataset() -> DataSet:
    """Return a data set of the record's usual shape, without files."""
    return DataSet(
        folder=Path(), shards=(), clip_length=31, image_size=STORED,
        joints=("left_hip", "right_hip", *(f"j{i}" for i in range(2, JOINTS))),
        keypoints=tuple(range(24, 36)), evaluation_joints=tuple(range(24, 38)),
        mirror=tuple(range(JOINTS)), flow_stride=STRIDE, flow_name="noise", rgb=False, fps=30,
        body=Path(), clips=0, clips_per_shard=0, fingerprint="noise",
    )  # fmt: skip


def in_turns(jobs: dict[str, Callable[[], object]], device: torch.device, rounds: int) -> dict:
    """Return each job's median seconds over alternating rounds, after a warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
            job()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(cfg: FitConfig, device: torch.device, rounds: int) -> dict[str, float]:
    """Return the seconds of a step and of only the CNN, and clips/s."""
    rng = np.random.default_rng(0)
    data = dataset()
    settings = choose(cfg, data, device)
    set_precision(settings.precision, device)
    keep_memory(device)
    cfg = replace(cfg, initial_pose="rest")
    spec = model_spec(cfg, settings, data)
    trainer = make_train_step(cfg, settings, spec, data, noise_body(rng), device, Ranks())
    delivered = noise_batch(rng, settings.batch_size, settings.frames)
    source = repeat(delivered)
    batch = {name: value.to(device) for name, value in delivered.batch.items()}
    image = draw_inputs(batch, trainer.spec, trainer.dtype).image
    backbone = trainer.model.backbone
    assert isinstance(backbone, ResNet) and image is not None

    def cnn() -> None:
        backbone.zero_grad(set_to_none=True)
        with trainer.autocast():
            features = backbone(image.flatten(0, 1))
        features.float().sum().backward()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = in_turns(
        {"step": lambda: trainer.advance(source, report=False), "cnn": cnn}, device, rounds
    )
    print(settings.line(device))
    result = {**seconds, "clips_per_second": settings.batch_size / seconds["step"]}
    if device.type == "cuda":
        result["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
    print({name: round(value, 4) for name, value in result.items()}, flush=True)
    return result


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--image-size", type=int, default=STORED)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--lstm-width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    device = find_device(given.device)
    gpu = device.type == "cuda"
    with tempfile.TemporaryDirectory() as folder:
        cfg = FitConfig(
            shards=(folder,),
            backbone=given.backbone,
            image_size=given.image_size,
            batch_size=given.batch_size or (24 if gpu else 3),
            lstm_width=given.lstm_width,
            compile=False,
            steps=1_000_000,
        )
        results = {"plain": measure(cfg, device, given.rounds)}
        if gpu:
            results["compiled"] = measure(replace(cfg, compile=True), device, given.rounds)
    chosen = results.get("compiled", results["plain"])
    print(
        json.dumps(
            {
                "name": f"A training step (against its {given.backbone} alone)",
                "ours": round(chosen["step"], 4),
                "baseline": round(chosen["cnn"], 4),
                "ratio": round(chosen["cnn"] / chosen["step"], 3),
                "unit": "s",
                "times_the_cnn": round(chosen["step"] / chosen["cnn"], 3),
                "details": results,
            }
        )
    )


if __name__ == "__main__":
    main()
