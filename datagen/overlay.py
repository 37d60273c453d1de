"""See what a checkpoint sees: the body over the video, and the same body turned by 60° beside it.

    python -m datagen.overlay --video clip.mp4
    python -m datagen.overlay --video clip.mp4 --checkpoint runs/x/last.pt
    python -m datagen.overlay --predictions predictions/ --shards shards/ --video clip.mp4

The first takes the network that ships with the trainer. It and the second make the shards and the
predictions, with datagen.ingest and trainer.predict, and leave them in a folder beside the result,
with the crops and the flow that the checkpoint was trained on. Without --video the crops that the
shards hold are shown. One .mp4, a contact sheet .png and an animated mesh .glb (glTF 2.0) for each
person.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from datagen.common import cli
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.files import whole
from datagen.replay.checkpoint import checkpoint_info, rest_joints, shipped
from datagen.replay.options import OverlayConfig
from datagen.replay.predict import predict

if TYPE_CHECKING:
    from datagen.bodies.smpl.model import Body
    from datagen.replay.prediction import PredictedMotion


def overlay(cfg: OverlayConfig) -> int:
    """Write a video, a contact sheet and a mesh for every prediction; print their paths."""
    from datagen.replay.prediction import read_motion

    predictions, shards = cfg.predictions, cfg.shards
    checkpoint = None
    if predictions is None:
        assert cfg.video is not None
        checkpoint = cfg.checkpoint or shipped()
        predictions, shards = predict(cfg.video, checkpoint, cfg)
    files = [predictions] if predictions.is_file() else sorted(predictions.glob("*.npz"))
    if not files:
        what = "holds no .npz" if predictions.exists() else "does not exist"
        raise BadInput(f"{predictions} {what}; make predictions with python -m trainer.predict")
    if cfg.video is not None:
        files = of_this(cfg.video, files)
    body = load_body(cfg.body)
    if checkpoint is not None:
        warn_of_other_body(checkpoint_info(checkpoint).rest, checkpoint, body)
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


def load_body(path: Path | None) -> Body:
    """Return the neutral body, or the only one there is."""
    from datagen.bodies.smpl.model import load_bodies, neutral_or_first

    return neutral_or_first(load_bodies(path))


def rest_of(shards: Path) -> np.ndarray:
    """Return the rest joints [24,3] of the body of some shards."""
    from datagen.output.layout import Layout

    try:
        with np.load(Layout(shards).body) as body:
            return rest_joints(body)
    except FileNotFoundError:
        raise BadInput(f"--shards {shards} holds no body.npz, so it is not a data set") from None
    except (OSError, KeyError, ValueError) as error:
        raise BadInput(
            f"{shards} has no readable body.npz ({error}); make the data set again"
        ) from None


def warn_of_other_body(joints: np.ndarray, of: Path, body: Body) -> None:
    """Print a note if the body drawn is not that of the network or shards, by its joints."""
    far = 100 * np.linalg.norm(joints - body.rest_joints(), axis=1).max()
    if far > 0.5:
        print(
            f"note: the joints of the body drawn lie up to {far:.1f} cm from those of the body in "
            f"{of}; give the latter with --body"
        )


def write(motion: PredictedMotion, body: Body, shards: Path | None, cfg: OverlayConfig) -> None:
    """Write one prediction's video, contact sheet and mesh."""
    from datagen.replay import gltf, pictures
    from datagen.replay.video_writer import film
    from datagen.replay.views import columns_of, contact_sheet, show

    if cfg.video is not None:
        under = pictures.of_video(motion, cfg.video)
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
    return cli.run(OverlayConfig, overlay, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
