"""Makes predictions for videos, with the crop and flow settings of a checkpoint."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

from datagen.common.cli import count
from datagen.common.errors import BadInput, near
from datagen.common.files import sha256
from datagen.common.npz import open_npz
from datagen.flow.options import FlowConfig, FlowName
from datagen.flow.weights import FIRST, weights_of
from datagen.footage.options import FootageConfig, VideoConfig
from datagen.footage.video_source import OF_PEOPLE
from datagen.footage.videos import find_sources
from datagen.output.fingerprint import content, digest
from datagen.replay.checkpoint import checkpoint_info, shipped
from datagen.replay.inputs import InputVideo
from datagen.replay.options import MADE_HERE, OverlayConfig

WORK = "work"
"""Subfolder of the results for keypoints, shards and predictions. Names contain digests of what
they depend on, so that videos and networks never mix and nothing is made twice."""


def predict(
    clips: list[InputVideo],
    checkpoint: Path,
    cfg: OverlayConfig,
    meanwhile: Callable[[], object],
) -> list[tuple[InputVideo, Path]]:
    """Run trainer.predict; return each person's clip and prediction file.

    meanwhile: called while that program runs, on a core that would be idle.

    Raises:
        BadInput: the checkpoint is invalid, or no clip can be used; if only some cannot, they are
            reported and skipped.
    """
    if not checkpoint.is_file():
        what = "is a folder" if checkpoint.exists() else f"does not exist{near(checkpoint)}"
        raise BadInput(f"--checkpoint {checkpoint} {what}; give a run's last.pt or best.pt")
    videos = named(clips)
    source = footage_of(clips, checkpoint, cfg)
    options = {**asdict(source), "videos": [clip.content for clip in clips]}
    options["keypoints"] = [content(file) for file in source.keypoints if file.exists()]
    work = cfg.out / WORK
    shards = work / f"shards-{digest(json_ready(options))[:12]}"
    source = replace(source, footage=replace(source.footage, out=shards))
    make_shards(source, videos, work / "keypoints")
    network = f"{sha256(checkpoint)[:12]}{'-refined' if cfg.refine else ''}"
    predictions = work / f"predictions-{shards.name[7:]}-{network}"
    line = ["trainer.predict", "--checkpoint", str(checkpoint), "--shards", str(shards)]
    line += ["--out", str(predictions), "--mirror", *(["--refine"] if cfg.refine else [])]
    which = "the network that ships" if checkpoint == shipped() else checkpoint
    print(f"Predicting with {which} (intermediate files: {work})", flush=True)
    words = [sys.executable, "-m", *line]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        meanwhile()
        assert process.stdout is not None
        for said in process.stdout:
            if not said.startswith(("written ", "Next: ")):  # files and a command for experts
                print(said, end="", flush=True)
    if process.returncode:
        raise BadInput("trainer.predict failed, see above")
    return of_clips(clips, sorted(predictions.glob("*.npz"), key=rank))


def footage_of(clips: list[InputVideo], checkpoint: Path, cfg: OverlayConfig) -> VideoConfig:
    """Return the options with which clips are made into shards for a checkpoint."""
    known = checkpoint_info(checkpoint)
    size, flow = crops_and_flow(checkpoint, cfg)
    footage = FootageConfig(
        image_size=size,
        flow=flow,
        keypoints_only=known.inputs == "keypoints" and cfg.flow is None,
        rgb="rgb" in known.inputs,
        max_bad=0.5 if len(clips) == 1 else 1,
    )
    if known.person_diagonal:
        footage = replace(footage, person_diagonal=known.person_diagonal)
    return VideoConfig(
        videos=[clip.path for clip in clips],
        footage=footage,
        keypoints=[cfg.keypoints] if cfg.keypoints else [],
        detector="none" if cfg.keypoints else "mediapipe",
        layout=cfg.layout,
        threshold=cfg.threshold,
        person=cfg.person,
        min_frames=cfg.min_frames,
    )


def make_shards(source: VideoConfig, videos: dict[str, Path], folder: Path) -> None:
    """Make the shards of videos, given by name; detected keypoints are stored in `folder`."""
    from datagen.footage.dataset import ingest

    lines = ingest(find_sources(source, videos, folder), source.footage)
    for line in lines:
        for reason, number in line["dropped"].items():
            if reason not in OF_PEOPLE:  # said of each person's film
                print(f"{line['source']}: {count(number, 'frame')} {reason}")
    if not lines:
        raise BadInput("none of the inputs can be used, for the reasons above")


def named(clips: list[InputVideo]) -> dict[str, Path]:
    """Return the clips' paths by name; names are unique and valid file names on any system."""
    names: dict[str, Path] = {}
    for clip in clips:
        name = re.sub(r"[^\w.-]", "_", clip.stem)
        names[f"{name}-{clip.content[:8]}" if name in names else name] = clip.path
    return names


def prediction_files(path: Path) -> list[Path]:
    """Return the predictions in a folder, or the given file; BadInput if there are none."""
    files = [path] if path.is_file() else sorted(path.glob("*.npz"))
    if not files:
        what = "holds no .npz" if path.exists() else f"does not exist{near(path)}"
        raise BadInput(f"{path} {what}; make predictions with python -m trainer.predict")
    return files


def identity_of(
    clip: InputVideo, checkpoint: Path, cfg: OverlayConfig, prediction: Path
) -> dict[str, str]:
    """Return everything a person's results depend on, except drawing options."""
    options = {name: getattr(cfg, name) for name in MADE_HERE if name != "checkpoint"}
    if cfg.person == "all":  # the same person as when asked for by rank
        options["person"] = str(rank(prediction)[1])
    if cfg.keypoints is not None:
        options["keypoints"] = content(cfg.keypoints)
    return {
        "video": clip.content,
        "network": sha256(checkpoint),
        "options": digest(json_ready(options)),
    }


def of_clips(clips: list[InputVideo], files: list[Path]) -> list[tuple[InputVideo, Path]]:
    """Return the predictions of the clips, matched by content, in the clips' order."""
    of_content: dict[str, list[Path]] = {clip.content: [] for clip in clips}
    for file in files:
        try:
            with open_npz(file) as arrays:
                known = str(arrays.read("content", 1, "U"))
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"{file} is damaged ({error}); delete it and run again") from None
        of_content.setdefault(known, []).append(file)
    return [(clip, file) for clip in clips for file in of_content[clip.content]]


def rank(prediction: Path) -> tuple[str, int]:
    """Return the base name of a prediction's file and the person's rank at its end."""
    name, _, number = prediction.stem.rpartition("_")
    return (name, int(number)) if number.isdecimal() else (prediction.stem, 0)


def suffix(person: str, prediction: Path) -> str:
    """Return what a person's results have after the video's name, such as _1 for rank 1, or _9-20
    for the pixel 9,20; "" for the largest person."""
    if person == "largest":
        return ""
    return f"_{rank(prediction)[1]}" if person == "all" else f"_{person.replace(',', '-')}"


def json_ready(options: dict[str, object]) -> dict[str, str]:
    """Return options as text, including nested ones."""
    return {name: repr(value) for name, value in options.items()}


def crops_and_flow(checkpoint: Path, cfg: OverlayConfig) -> tuple[int, FlowConfig]:
    """Return the crop side, px, and the flow options for a checkpoint: those of its training data.

    Raises BadInput or BadOption if the options contradict it; any are valid for a network without
    flow.
    """
    known = checkpoint_info(checkpoint)
    estimator, _, weights = known.flow.partition("-")
    if estimator and estimator not in (*get_args(FlowName), cfg.flow):
        raise BadInput(
            f"{checkpoint} was trained on {known.flow} flow, which datagen does not have; make the "
            "predictions with trainer.predict and give them with --predictions and --shards"
        )
    wanted = {"--flow": (cfg.flow, estimator), "--image-size": (cfg.image_size, known.image_size)}
    for name, (given, trained_on) in wanted.items():
        if known.flow and trained_on and given not in (None, trained_on):
            raise BadInput(
                f"{name} {given} contradicts {checkpoint}, which was trained on {known.flow} flow "
                f"with {known.image_size} px crops; omit {name}"
            )
    weights = weights or FIRST.get(estimator, "")
    file = cfg.flow_weights if cfg.flow_weights and cfg.flow_weights.is_file() else None
    if known.flow and weights_of(estimator, file) != weights:
        source = f"with weights whose SHA-256 begins with {weights}; give them with"
        if not weights or (file and weights == weights_of(estimator)):
            source = "without a weights file; omit"
        raise BadInput(f"{checkpoint} was trained on {estimator} flow {source} --flow-weights")
    flow = FlowConfig(
        flow=cfg.flow or estimator or "dis",
        flow_weights=cfg.flow_weights,
        flow_dtype=cfg.flow_dtype,
        raft_iterations=cfg.raft_iterations,
    )
    return cfg.image_size or known.image_size or 224, flow
