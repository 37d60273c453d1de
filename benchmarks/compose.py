"""Composing a clip directly in the crop, compared with the straightforward way.

    python benchmarks/compose.py

The straightforward way composites every whole frame in floating point (with the person shifted and
the occluder enlarged), then cuts and resizes the crop, so it resamples twice. Ours warps each layer
once. Both draw the same clips of embedded people and scenes on one core. Also printed: the
difference of the two pictures, and how much sharper ours is.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from datagen.backgrounds.library import build_background, read_background
from datagen.backgrounds.options import BackgroundsConfig
from datagen.backgrounds.sources import find_videos
from datagen.bodies.library import build_person
from datagen.bodies.motion.sources import find_motions
from datagen.bodies.options import BodiesConfig
from datagen.bodies.storage import read_person
from datagen.clips import compose as room
from datagen.clips.compositing import Layers, composite
from datagen.clips.options import ClipsConfig
from datagen.common.seeds import generator

CLIPS = 40
Draw = Callable[[Layers, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def straightforward(layers: Layers, maps: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Do the work of `datagen.clips.compositing.composite`: first whole frames, then the crop."""
    height, width = layers.scene.shape[1:3]
    crops = np.empty((len(maps), size, size, 3), np.uint8)
    covers = np.zeros((len(maps), size, size), np.uint8)
    for t, crop in enumerate(maps):
        shift = np.array([[1, 0, layers.offsets[t, 0]], [0, 1, layers.offsets[t, 1]]])
        person = cv2.warpAffine(layers.rgb[t].astype(np.float32), shift, (width, height))
        alpha = cv2.warpAffine(layers.mask[t].astype(np.float32), shift, (width, height))
        shown = np.ones((height, width), np.float32)
        if layers.occluder is not None:
            shown = (layers.occluder[t] == 0).astype(np.float32)
            covers[t] = cv2.warpAffine(
                layers.occluder[t], crop, (size, size), borderMode=cv2.BORDER_REPLICATE
            )
        whole = person * shown[..., None] + layers.scene[t] * (1 - alpha * shown)[..., None]
        whole = np.rint(whole).astype(np.uint8)
        crops[t] = cv2.warpAffine(whole, crop, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return crops, covers


@contextmanager
def drawing_with(draw: Draw) -> Iterator[None]:
    """Let `compose` draw with another function."""
    ours = room.composite
    room.composite = draw
    yield
    room.composite = ours


def pairs(folder: Path, cfg: ClipsConfig) -> list[tuple]:
    """Return people and scenes of a small library made of embedded assets."""
    frames = cfg.clip_length + 1
    motions = {source.name: source for source in find_motions(None)}
    made = []
    for name, scene in zip(("walk", "kick", "cartwheel"), find_videos(None), strict=False):
        person, background = folder / f"{name}.h5", folder / f"{scene.name}.h5"
        clips = build_person(motions[name], BodiesConfig(), 0, person)["clips"]
        windows = build_background(
            scene,
            BackgroundsConfig(windows_per_video=1),
            frames=frames,
            width=320,
            height=240,
            seed=0,
            path=background,
        )["windows"]
        clip = next(i for i, line in enumerate(clips) if line["frames"] >= frames)
        for window in range(len(windows)):
            made.append((read_person(person, clip, 0, frames), read_background(background, window)))
    return made


def sharpness(frames: np.ndarray) -> float:
    """Return the mean squared difference of neighbouring pixels."""
    return float(np.mean(np.diff(frames.astype(np.float32), axis=2) ** 2))


def main() -> None:
    cv2.setNumThreads(1)
    cfg = ClipsConfig(occluder_sampling="touching")
    with tempfile.TemporaryDirectory() as folder:
        worlds = pairs(Path(folder), cfg)
    spent: dict[str, list[float]] = {"ours": [], "baseline": []}
    differences, ratios = [], []
    for k in range(CLIPS):
        person, background = worlds[k % len(worlds)]
        frames = {}
        for name, draw in (("ours", composite), ("baseline", straightforward)):
            with drawing_with(draw):
                began = time.process_time()
                clip = room.compose(person, background, cfg, generator(0, k))
                spent[name].append((time.process_time() - began) * 1000)
            frames[name] = clip.frames
        differences.append(np.abs(frames["ours"].astype(int) - frames["baseline"]).mean())
        ratios.append(sharpness(frames["ours"]) / sharpness(frames["baseline"]))
    ours, baseline = (float(np.median(spent[name][2:])) for name in ("ours", "baseline"))
    print(f"{CLIPS} clips of {cfg.clip_length} frames at {cfg.image_size} px, one core")
    print(f"directly in the crop       {ours:6.1f} ms per clip (median)")
    print(f"whole frames, then crop    {baseline:6.1f} ms per clip")
    print(f"mean difference            {np.mean(differences):6.2f} of 255 grey levels")
    print(f"gradient energy kept       {np.mean(ratios):6.2f} times the straightforward way's")
    result = {
        "name": "Composing a clip (against whole frames, then the crop)",
        "ours": round(ours, 1),
        "baseline": round(baseline, 1),
        "ratio": round(baseline / ours, 2),
        "unit": "ms of one core per 31-frame clip",
        "mean_difference": round(float(np.mean(differences)), 2),
        "sharpness_ratio": round(float(np.mean(ratios)), 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
