"""What costs nothing scores on the Pose2Sim demo: a held pose, MediaPipe's own 3D joints.

    python -m benchmarks.pose2sim [--root DIR] [--no-detector]

PA-MPJPE over the 12 limbs, all 99 frames with truth a camera, by the evaluator's own metric,
against both truths, and how good these are themselves; a network is worth something here if it
beats the held pose. Not part of `make bench`: it downloads 52 MB.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datagen.common.errors import BadInput, BadMachine
from datagen.footage import pose2sim
from datagen.footage.detector import detections
from datagen.footage.keypoints import LAYOUTS
from trainer.evaluation.metrics import pa_mpjpe
from trainer.losses import similarity

CACHE = Path("~/.cache/motion-hmr")


def held_frame(truth: Tensor) -> float:
    """Return the error of the one true frame that serves all others best, mm."""
    return min(float(pa_mpjpe(frame.expand_as(truth), truth).mean()) for frame in truth)


def held_mean(truth: Tensor) -> float:
    """Return the error of the best pose of all held throughout, mm (descent from the mean)."""
    pose = truth[0]
    for _ in range(50):  # generalised Procrustes analysis
        pose = similarity(truth, pose.expand_as(truth))(truth).mean(0)
    pose = pose.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([pose], lr=0.003)
    for _ in range(400):
        every = pose.expand_as(truth)
        error = (similarity(every.detach(), truth)(every) - truth).norm(dim=-1).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(pa_mpjpe(pose.detach().expand_as(truth), truth).mean())


def detector(videos: dict[str, Path], truth: Tensor) -> dict[str, float]:
    """Return the error of MediaPipe's world landmarks by camera, mm."""
    files, _ = detections(videos, (CACHE / "keypoints").expanduser())
    limbs = list(LAYOUTS["mediapipe33"].limbs)
    errors = {}
    for name, file in files.items():
        with np.load(file) as found:
            said = torch.from_numpy(found["world"][:, 0, limbs].astype(np.float64))
        said = said[pose2sim.LATE :][: len(truth)]
        seen = torch.isfinite(said).all(-1).all(-1)
        errors[name] = float(pa_mpjpe(said[seen], truth[: len(said)][seen]).mean())
    return errors


def main() -> None:
    """Print the figures, last a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="the unpacked wheels; default: fetched by pip")
    parser.add_argument("--no-detector", action="store_true", help="leave MediaPipe out")
    cfg = parser.parse_args()
    root = cfg.root or pose2sim.fetch((CACHE / "pose2sim").expanduser())
    sources = pose2sim.find_sources(root)
    videos = {one.name: one.video for one in sources}
    truths = {}
    for name in ("trc", "refined"):
        person = pose2sim.find_person(sources[0].recording, name)
        print(f"Truth: {name}")
        for text in pose2sim.describe(person.residuals):
            print(f"  {text}")
        joints = torch.from_numpy(person.joints)
        truths[name] = joints[: len(joints) - pose2sim.LATE]  # what the videos show
    apart = float(pa_mpjpe(truths["refined"], truths["trc"]).mean())
    print(f"the truths differ by       {apart:6.1f} mm")
    found = {
        name: scores(truth, None if cfg.no_detector else videos) for name, truth in truths.items()
    }
    line = {
        "name": "Pose2Sim demo, MediaPipe against a held pose", **found["trc"],
        "unit": "mm PA-MPJPE", "truths_differ": round(apart, 1), "refined": found["refined"],
    }  # fmt: skip
    print(json.dumps(line))


def scores(truth: Tensor, videos: dict[str, Path] | None) -> dict[str, Any]:
    """Return what scores against one truth [N,12,3], mm, and print it; no videos, no MediaPipe."""
    frame, mean = held_frame(truth), held_mean(truth)
    print(f"best true frame, held      {frame:6.1f} mm")
    print(f"best pose of all, held     {mean:6.1f} mm")
    line: dict[str, Any] = {"baseline": round(frame, 1), "best_pose": round(mean, 1)}
    if videos is None:
        return line
    cameras = detector(videos, truth)
    for name, error in cameras.items():
        print(f"MediaPipe full, {name:10} {error:6.1f} mm")
    ours = float(np.mean(list(cameras.values())))
    return {
        "ours": round(ours, 1), "ratio": round(frame / ours, 2), **line,
        "cameras": {name: round(error, 1) for name, error in cameras.items()},
    }  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except (BadInput, BadMachine) as error:
        sys.exit(f"error: {error}")
