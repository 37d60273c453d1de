"""See what a checkpoint sees: the body over the video, and the same body turned by 60° beside it.

    python -m datagen.overlay --video clip.mp4 --checkpoint runs/x/last.pt
    python -m datagen.overlay --predictions predictions/ --shards shards/ --video clip.mp4

The first makes the shards and the prediction itself, with datagen.ingest and trainer.predict, and
leaves them in a folder beside the result, with the crops and the flow that the checkpoint was
trained on. Without --video the crops that the shards hold are shown. One .mp4, a contact sheet .png
and an animated mesh .glb (glTF 2.0) for each person.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import cv2
import numpy as np
from tqdm import tqdm

from datagen import command
from datagen.common.errors import BadInput
from datagen.common.files import sha256, whole
from datagen.common.options import arguments, option, require
from datagen.flow.options import FlowConfig, FlowName
from datagen.replay.checkpoint import learned_from, rest_joints
from datagen.words import count

if TYPE_CHECKING:
    from datagen.bodies.smpl.model import Body
    from datagen.replay.prediction import Motion


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """What to show, and how."""

    predictions: Path | None = None
    """Folder (or one file) written by trainer.predict."""
    shards: Path | None = None
    """Folder of shards that the predictions were made of."""
    video: Path | None = None
    """The video that the shards were made of. Default: show the stored crops."""
    checkpoint: Path | None = None
    """Instead of --predictions and --shards: ingest the video and predict with this checkpoint."""
    keypoints: Path | None = None
    """With --checkpoint: the video's 2D keypoints, as datagen.ingest takes them.
    Default: MediaPipe finds them."""
    image_size: int | None = None
    """With --checkpoint: side of the crop, pixels. Default: as in the shards that it was trained
    on."""
    flow: FlowName | None = None
    """With --checkpoint: estimator of the flow. Default: that of the shards that it was trained
    on."""
    flow_weights: Path | None = None
    """With --checkpoint: the estimator's weights, the same as for those shards (refused if not)."""
    flow_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """With --checkpoint: precision of the estimator."""
    raft_iterations: int = 12
    """With --checkpoint: refinement steps of RAFT."""
    body: Path | None = None
    """SMPL body model (file or folder; its neutral body is drawn).
    Default: the embedded open body, as it is for training."""
    out: Path = Path("overlay")
    """Folder of the results."""
    people: int | None = None
    """Show this many predictions at most. Default: all."""
    degrees: float = 60.0
    """The turned view's angle."""
    opacity: float = 0.9
    """Of the body over the picture."""
    tallest: int = 720
    """Height of the result at most, pixels."""

    def __post_init__(self) -> None:
        require(0 < self.opacity <= 1, f"--opacity must lie in (0, 1], got {self.opacity}")
        require(self.tallest >= 64, f"--tallest must be at least 64, got {self.tallest}")
        require(self.people is None or self.people >= 1, "--people must be at least 1")
        if self.checkpoint is not None:
            require(self.video is not None, "--checkpoint needs the --video to look at")
            require(
                self.predictions is None and self.shards is None,
                "--checkpoint makes its own predictions; leave --predictions and --shards out",
            )
        else:
            for name in ("keypoints", "image_size", "flow", "flow_weights", "flow_dtype",
                         "raft_iterations"):  # fmt: skip
                require(
                    getattr(self, name) == getattr(type(self), name),
                    f"{option(name)} is for the shards that --checkpoint makes; give that too, or "
                    "leave it out",
                )
            require(
                self.predictions is not None and (self.shards or self.video) is not None,
                "give --predictions and --shards (and --video), or --video and --checkpoint",
            )


def overlay(cfg: OverlayConfig) -> int:
    """Write a film, a sheet and a mesh for every prediction; print where they lie."""
    from datagen.replay.prediction import read_motion

    predictions, shards = cfg.predictions, cfg.shards
    if cfg.checkpoint is not None and cfg.video is not None:
        predictions, shards = predict(cfg.video, cfg.checkpoint, cfg)
    assert predictions is not None
    files = [predictions] if predictions.is_file() else sorted(predictions.glob("*.npz"))
    if not files:
        what = "holds no .npz" if predictions.exists() else "does not exist"
        raise BadInput(f"{predictions} {what}; make predictions with python -m trainer.predict")
    if cfg.video is not None:
        files = of_this(cfg.video, files)
    body = load_body(cfg.body)
    if cfg.checkpoint is not None:
        warn_of_other_body(learned_from(cfg.checkpoint).rest, cfg.checkpoint, body)
    elif shards is not None:
        warn_of_other_body(rest_of(shards), shards, body)
    for path in files[: cfg.people]:
        write(read_motion(path), body, shards, cfg)
    return 0


def of_this(video: Path, files: list[Path]) -> list[Path]:
    """Return a video's predictions, which bear its name; all where none does, as it was renamed.

    datagen.ingest names a track by its video's stem, with the folder's before it and the person's
    rank behind it where these are needed to tell two apart.
    """
    stems = (video.stem, f"{video.resolve().parent.name}_{video.stem}")
    mine = [file for file in files if file.stem in stems]
    mine = mine or [file for file in files if re.sub(r"_\d+$", "", file.stem) in stems]
    if mine and len(mine) < len(files):
        print(f"left out: {count(len(files) - len(mine), 'prediction')} of other videos")
    return mine or files


def predict(video: Path, checkpoint: Path, cfg: OverlayConfig) -> tuple[Path, Path]:
    """Make the shards and the predictions of a video with the other doors; return their folders."""
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
         "--out", str(predictions)],
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


def load_body(path: Path | None) -> Body:
    """Return the neutral body, or the only one there is."""
    from datagen.bodies.smpl.model import load_bodies

    bodies = load_bodies(path)
    return bodies.get("neutral") or next(iter(bodies.values()))


def rest_of(shards: Path) -> np.ndarray:
    """Return the rest joints [24,3] of the body of some shards."""
    from datagen.output.layout import Layout

    try:
        with np.load(Layout(shards).body) as body:
            return rest_joints(body)
    except FileNotFoundError:
        raise BadInput(f"--shards {shards} holds no body.npz, so it is no data set") from None
    except (OSError, KeyError, ValueError) as error:
        raise BadInput(
            f"{shards} has no readable body.npz ({error}); make the data set again"
        ) from None


def warn_of_other_body(joints: np.ndarray, of: Path, body: Body) -> None:
    """Say so if the body that is drawn is not the one of a network or shards, by its joints."""
    far = 100 * np.linalg.norm(joints - body.rest_joints(), axis=1).max()
    if far > 0.5:
        print(
            f"note: the joints of the body drawn lie up to {far:.1f} cm from those of the body in "
            f"{of}; give the latter with --body"
        )


def write(motion: Motion, body: Body, shards: Path | None, cfg: OverlayConfig) -> None:
    """Write one prediction's film, sheet and mesh."""
    from datagen.replay import gltf, pictures
    from datagen.replay.video_writer import film
    from datagen.replay.views import columns_of, contact_sheet, show

    if cfg.video is not None:
        under = pictures.of_video(motion, cfg.video, cfg.tallest)
    else:
        assert shards is not None
        under = pictures.of_records(motion, shards)
    path = cfg.out / f"{motion.name}.mp4"
    chosen, kept = columns_of(len(motion)), {}
    frames = show(motion, body, under, degrees=cfg.degrees, opacity=cfg.opacity)
    with film(path, motion.fps) as growing:
        for t, shown in enumerate(tqdm(frames, motion.name, len(motion), unit="frame")):
            growing.add(shown.both)
            if t in chosen:
                kept[t] = shown
    print(f"{path}: {count(len(motion), 'frame')}, {growing.codec}")
    picture = contact_sheet(motion, under, kept)
    with whole(path.with_suffix(".png")) as temporary:
        ok, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        assert ok
        temporary.write_bytes(data.tobytes())
    print(path.with_suffix(".png"))
    with whole(path.with_suffix(".glb")) as temporary:
        temporary.write_bytes(gltf.of_motion(body, motion))
    print(path.with_suffix(".glb"))


def main(args: list[str] | None = None) -> int:
    """Show with command line `args` and return the exit status."""
    return command.run(OverlayConfig, overlay, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
