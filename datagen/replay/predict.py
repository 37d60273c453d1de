"""Shards and predictions of a video, made with the crops and the flow of a checkpoint."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

from datagen.common.errors import BadInput
from datagen.common.files import sha256
from datagen.common.options import arguments
from datagen.flow.options import FlowConfig, FlowName
from datagen.replay.checkpoint import checkpoint_info
from datagen.replay.options import OverlayConfig


def predict(video: Path, checkpoint: Path, cfg: OverlayConfig) -> tuple[Path, Path]:
    """Run datagen.ingest and trainer.predict on a video; return (predictions, shards) folders."""
    if not checkpoint.is_file():
        what = "is a folder" if checkpoint.exists() else "does not exist"
        raise BadInput(f"--checkpoint {checkpoint} {what}; give a run's last.pt or best.pt")
    if not video.is_file():
        what = "is a folder" if video.exists() else "does not exist"
        raise BadInput(f"--video {video} {what}; give a video file")
    folder = cfg.out / video.stem  # one a video: another's predictions are not to be drawn over it
    predictions, shards = folder / "predictions", folder / "shards"
    found = ["--keypoints", str(cfg.keypoints)] if cfg.keypoints else ["--detector", "mediapipe"]
    size, flow = crops_and_flow(checkpoint, cfg)
    found += ["--image-size", str(size), *arguments(flow)]
    if diagonal := checkpoint_info(checkpoint).person_diagonal:
        found += ["--person-diagonal", f"{diagonal:g}"]
    if predictions.exists():  # of this video by another checkpoint, perhaps
        shutil.rmtree(predictions)
    for line in (
        ["datagen.ingest", "video", str(video), *found, "--out", str(shards)],
        ["trainer.predict", "--checkpoint", str(checkpoint), "--shards", str(shards),
         "--out", str(predictions), "--mirror", *(["--refine"] if cfg.refine else [])],
    ):  # fmt: skip
        print("$ python -m", *line, flush=True)
        if subprocess.run([sys.executable, "-m", *line]).returncode:
            raise BadInput(f"{line[0]} failed, see above; nothing to show of {video}")
    return predictions, shards


def crops_and_flow(checkpoint: Path, cfg: OverlayConfig) -> tuple[int, FlowConfig]:
    """Return the side of the crops, px, and the flow for a checkpoint: those of its training data.

    Raises BadInput or BadOption if the options contradict it; without flow any will do.
    """
    known = checkpoint_info(checkpoint)
    estimator, _, weights = known.flow.partition("-")
    if estimator and estimator not in (*get_args(FlowName), cfg.flow):
        raise BadInput(
            f"{checkpoint} was trained on {known.flow} flow, which datagen does not make; make the "
            "predictions with trainer.predict and give them with --predictions and --shards"
        )
    wanted = {"--flow": (cfg.flow, estimator), "--image-size": (cfg.image_size, known.image_size)}
    for name, (given, trained_on) in wanted.items():
        if known.flow and trained_on and given not in (None, trained_on):
            raise BadInput(
                f"{name} {given} contradicts {checkpoint}, which was trained on {known.flow} flow "
                f"of {known.image_size} px crops; omit {name}"
            )
    given = sha256(cfg.flow_weights)[:8] if cfg.flow_weights and cfg.flow_weights.is_file() else ""
    if known.flow and given != weights:
        source = f"of weights whose SHA-256 begins with {weights}; give them with"
        if not weights:
            source = "without own weights; omit"
        raise BadInput(f"{checkpoint} was trained on {estimator} flow {source} --flow-weights")
    flow = FlowConfig(
        flow=cfg.flow or estimator or "dis",
        flow_weights=cfg.flow_weights,
        flow_dtype=cfg.flow_dtype,
        raft_iterations=cfg.raft_iterations,
    )
    return cfg.image_size or known.image_size or 224, flow
