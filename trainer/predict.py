"""Predict the people in shards: pose, shape, position and joints in every frame.

    python -m trainer.predict --checkpoint runs/x/best.pt --shards shards/ --out predictions/

One .npz per clip; the pieces of a filmed track are joined into one `<track>.npz`. Motion HMR's
files have these arrays for L frames. The first five are AMASS's, which datagen.launch --motions
reads, and at 30 frames per second Blender's SMPL add-ons (datagen.overlay always writes 30):

    poses [L,156]      SMPL+H axis-angle, fingers straight; the root → a world with z up
    trans [L,3]        metres; x and y of the picture, depth from the camera's scale
    betas [10], gender, mocap_framerate
    pose [L,72], shapes [L,10]      as predicted: root → camera, x right, y down
    camera [L,3]       s, tx, ty of x = s·(X + t) in crop units ([-1, 1] across the crop)
    joints [L,J,3]     metres about the body's origin, camera axes
    joints2d [L,J,2]   their reprojection, crop pixels; keypoints [L,K,3]: the network's input
    K [L,3,3]          the record's camera, source pixels; zeros where unknown
    crop [L,2,3]       source pixels → crop pixels; source [L] number of the frame in its video
    time [L]           seconds after the video's first frame; content: the video's SHA-256
    record, place [L]  each frame's record and position in it; occluded [L]; image_size, size, names

The joint head (`trainer.fit --head joints`) predicts joints, and a body is fitted to them. It adds

    predicted [L,E,3]  the evaluation joints as predicted, metres
    sigma [L,E]        their expected errors, metres
    transl [L,3]       SMPL's translation in the camera's axes: with K, joints2d in true perspective
    gravity [3]        direction of gravity in camera axes; it makes poses and trans upright

A lifter's files have no arrays of the body; their joints are the evaluation joints, about the hips.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from trainer.common import cli
from trainer.common.cli import count, quoted
from trainer.common.device import find_device
from trainer.common.files import write_atomic, write_json
from trainer.errors import BadInput
from trainer.evaluation.inference import Inference, open_inference
from trainer.evaluation.options import RELEASE, PredictConfig
from trainer.evaluation.predictor import GEOMETRY, Predictor
from trainer.evaluation.tracks import tracks
from trainer.model.body import BodyJoints
from trainer.model.checkpoint import load_model


def load(
    checkpoint: str | Path | None = None,
    *,
    device: str = "cpu",
    mirror: bool = True,
    refine: bool = False,
) -> Predictor:
    """Return a network to predict with from Python; see `trainer.evaluation.predictor`.

    Args:
        checkpoint: a last.pt or best.pt of trainer.fit, or a model.safetensors. Default: the one
            that ships.
        device: auto, cpu or cuda.
        mirror: average with the prediction of the mirrored input; takes twice the time.
        refine: fit the joint head's joints to the keypoints before the body.

    Raises:
        BadInput: the file is no checkpoint, or its network predicts no body.
    """
    where = find_device(device)
    path = RELEASE if checkpoint is None else Path(checkpoint)
    model, spec, saved = load_model(path, where)
    if spec.name == "lifter":
        raise BadInput(f"{path} is a lifter, which predicts no body; use trainer.predict")
    if refine and spec.head != "joints":
        raise BadInput(f"refine is for the joint head; {path} has none")
    body = BodyJoints({name: np.asarray(value) for name, value in saved["body"].items()})
    return Predictor(model, spec, body, where, mirror=mirror, refine=refine)


def predict(cfg: PredictConfig) -> int:
    """Write one file per clip or track of footage; return how many."""
    inference = open_inference(cfg, GEOMETRY, truth=False)
    cfg.out.mkdir(parents=True, exist_ok=True)
    claim(cfg, inference)
    written = 0
    for name, arrays in tracks(inference.clips, inference.dataset, inference.body):
        write(cfg.out / f"{name}.npz", arrays)
        written += 1
    print(f"written  {count(written, 'prediction')} to {cfg.out}")
    out, shards = quoted(cfg.out), quoted(cfg.shards)
    print(f"Next: python -m datagen.overlay --predictions {out} --shards {shards}")
    return written


def claim(cfg: PredictConfig, inference: Inference) -> None:
    """Record in the output folder what its predictions are of; BadInput if it holds others.

    The same options overwrite the same files; remaining files of other options would be mistaken
    for these.
    """
    with open(cfg.network, "rb") as file:
        network = hashlib.file_digest(file, "sha256").hexdigest()
    ours = {
        "checkpoint": network, "data": inference.dataset.identity(), "frames": inference.frames,
        "stride": inference.stride, "mirror": cfg.mirror, "refine": cfg.refine,
        "raw_weights": cfg.raw_weights,
    }  # fmt: skip
    path = cfg.out / "predictions.json"
    try:
        theirs = json.loads(path.read_text())
    except (OSError, ValueError):
        theirs = None
    if theirs != ours and any(cfg.out.glob("*.npz")):
        raise BadInput(
            f"{cfg.out} holds predictions of another checkpoint, data set or options; remove "
            "them or choose another --out."
        )
    write_json(path, ours)


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write one prediction atomically."""
    with write_atomic(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def main() -> None:
    """Run the command line."""
    cli.run(PredictConfig, predict, __doc__ or "")


if __name__ == "__main__":
    main()
