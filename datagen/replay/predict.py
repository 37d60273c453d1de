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
from datagen.replay.checkpoint import learned_from
from datagen.replay.options import OverlayConfig


def predict(video: Path, checkpoint: Path, cfg: OverlayConfig) -> tuple[Path, Path]:
    """Make a video's shards and predictions with the other commands; return their folders."""
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
    if diagonal := learned_from(checkpoint).person_diagonal:
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
    """Return the side of the crops, px, and the flow for a checkpoint: what it learned from.

    Raises BadInput or BadOption if the options say otherwise; without flow any will do.
    """
    known = learned_from(checkpoint)
    estimator, _, weights = known.flow.partition("-")
    if estimator and estimator not in get_args(FlowName):
        raise BadInput(
            f"{checkpoint} learned from {known.flow} flow, which datagen does not make; make the "
            "predictions with trainer.predict and give them with --predictions and --shards"
        )
    said = {"--flow": (cfg.flow, estimator), "--image-size": (cfg.image_size, known.image_size)}
    for name, (given, learned) in said.items():
        if known.flow and learned and given not in (None, learned):
            raise BadInput(
                f"{name} {given} contradicts {checkpoint}, which learned from {known.flow} flow "
                f"of {known.image_size} px crops; leave {name} out"
            )
    given = sha256(cfg.flow_weights)[:8] if cfg.flow_weights and cfg.flow_weights.is_file() else ""
    if known.flow and given != weights:
        said = f"of weights whose SHA-256 begins with {weights}; give them with"
        if not weights:
            said = "without weights of one's own; leave out"
        raise BadInput(f"{checkpoint} learned from {estimator} flow {said} --flow-weights")
    flow = FlowConfig(
        flow=cfg.flow or estimator or "dis",  # pyright: ignore[reportArgumentType]
        flow_weights=cfg.flow_weights,
        flow_dtype=cfg.flow_dtype,
        raft_iterations=cfg.raft_iterations,
    )
    return cfg.image_size or known.image_size or 224, flow
