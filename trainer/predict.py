"""Write a checkpoint's predictions.

python -m trainer.predict --checkpoint runs/x/last.pt --shards shards/ --out predictions/

One `<clip>.npz` a clip, L frames: joints [L,J,3] in metres about the root (camera axes), and from
Motion HMR pose [L,72] (SMPL axis-angle, root → camera), betas [L,10], camera [L,3] (s, tx, ty of
x = s·(X + t) in crop units), joints2d [L,J,2] in crop pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from trainer import rotations
from trainer.config import PredictConfig
from trainer.data import wanted_arrays
from trainer.errors import run_door
from trainer.machine import find_device, native_precision
from trainer.restore import input_spec, load_model
from trainer.shards import open_dataset
from trainer.windows import Judged, predict_clips


def predict(cfg: PredictConfig) -> int:
    """Write a file a clip; return how many."""
    device = find_device(cfg.device)
    dataset = open_dataset(cfg.shards)
    model, spec, _ = load_model(cfg.checkpoint, device, raw_weights=cfg.raw_weights)
    frames = cfg.frames or spec.frames
    clips = predict_clips(
        model,
        dataset,
        input_spec(spec, dataset, cfg.checkpoint),
        wanted_arrays(spec.inputs, targets=False),
        frames=frames,
        stride=cfg.stride or max(1, frames // 2),
        batch_size=cfg.batch_size,
        device=device,
        precision=native_precision(device) if device.type == "cuda" else "fp32",
        max_clips=cfg.max_clips,
        on_damage=cfg.on_damage,
    )
    cfg.out.mkdir(parents=True, exist_ok=True)
    total = min(dataset.clips, cfg.max_clips or dataset.clips)
    count = 0
    for clip in tqdm(clips, total=total, unit="clip", mininterval=1.0):
        write(cfg.out / f"{clip.record.key}.npz", clip, dataset.image_size)
        count += 1
    print(f"written  {count} clips to {cfg.out}")
    return count


def write(path: Path, clip: Judged, size: int) -> None:
    """Write one clip's prediction, whole or not at all."""
    said = clip.prediction
    arrays = {name: value.numpy() for name, value in said.items() if name != "rotations"}
    if "rotations" in said:
        arrays["pose"] = rotations.axis_angle_from_matrix(said["rotations"]).flatten(1).numpy()
    if "joints2d" in said:
        arrays["joints2d"] = ((said["joints2d"] + 1) * size - 1).numpy() / 2
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def main(cfg: PredictConfig) -> None:
    """The door."""
    predict(cfg)


if __name__ == "__main__":
    run_door(PredictConfig, main, __doc__ or "")
