"""The pictures under a predicted body: its video's frames, or the crops that its records hold."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from datagen.clips import crop
from datagen.common.errors import BadInput
from datagen.common.frames import read_frames
from datagen.output import shard
from datagen.output.layout import Layout
from datagen.replay.prediction import PredictedMotion

CROP_SIDE = 448  # pixels at which a stored crop is shown


@dataclass(frozen=True)
class Pictures:
    """The pictures of a motion's frames, all of one even size."""

    width: int
    height: int
    maps: np.ndarray
    """float64 [L,2,3] crop pixels → pixels of the picture."""
    frames: Iterator[np.ndarray]
    """uint8 [H,W,3] RGB, in the motion's order."""
    cropped: bool
    """Whether a picture is the crop and no more."""


def of_video(motion: PredictedMotion, path: Path, max_height: int = 720) -> Pictures:
    """Return the video's frames that a motion names, at most `max_height` pixels high.

    BadInput if its pictures are of another size than those that the prediction was made of.
    """
    first = next(read_frames(path, [0]))
    height, width = first.shape[:2]
    if motion.size != (width, height):
        made = f"a video of {motion.size[0]}x{motion.size[1]}" if motion.size[0] else "no video"
        raise BadInput(
            f"{motion.name} was predicted from {made}, {path} is one of {width}x{height}; give the "
            "video that was ingested, or omit --video and give --shards to see their crops"
        )
    size = even(width * min(1, max_height / height)), even(min(height, max_height))
    scale = np.array([size[0] / width, size[1] / height])
    shrink = np.zeros((2, 3))
    shrink[[0, 1], [0, 1]], shrink[:, 2] = scale, (scale - 1) / 2  # pixel centres are integers
    back = crop.inverse(motion.crop.astype(np.float64))
    maps = shrink[:, :2] @ back
    maps[:, :, 2] += shrink[:, 2]

    def frames() -> Iterator[np.ndarray]:
        for frame in read_frames(path, motion.source.tolist()):
            yield cv2.resize(frame, size, interpolation=cv2.INTER_AREA)

    return Pictures(*size, maps, frames(), cropped=False)


def of_records(motion: PredictedMotion, shards: Path) -> Pictures:
    """Return the crops stored in the records that a motion names, enlarged.

    BadInput if the shards lack them, or are others than the prediction was made of.
    """
    scale = CROP_SIDE / motion.image_size
    map_ = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])

    def frames() -> Iterator[np.ndarray]:
        places = zip(motion.record.tolist(), motion.place.tolist(), strict=True)
        for t, (key, place) in enumerate(places):
            strip, crops = stored_crops(shards, key, motion.image_size)
            if not np.array_equal(crops[place], motion.crop[t]):
                raise BadInput(
                    f"record {key} of {shards} is not what {motion.name} was predicted from; "
                    "give the shards that were predicted, or predict again from these"
                )
            yield cv2.resize(strip[place], (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_CUBIC)

    maps = np.tile(map_, (len(motion), 1, 1))
    return Pictures(CROP_SIDE, CROP_SIDE, maps, frames(), cropped=True)


@lru_cache(maxsize=2)
def stored_crops(shards: Path, key: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the crops uint8 [T,S,S,3] RGB of a record, and their maps [T,2,3]."""
    path = Layout(shards).shard(int(key.partition("_")[0]))
    if not path.exists():
        raise BadInput(f"{path} is not there; point --shards at what the prediction was made of")
    members = _records(path).get(key)
    if members is None:
        raise BadInput(f"{path} has no record {key}; predict again from these shards")
    if "rgb.jpg" not in members:
        raise BadInput(
            f"{path} holds no pictures (--no-rgb); give the video with --video, "
            "or make the shards with pictures"
        )
    strip = cv2.imdecode(np.frombuffer(members["rgb.jpg"], np.uint8), cv2.IMREAD_COLOR)
    if strip is None:
        raise BadInput(f"{path}: the pictures of {key} are damaged; run datagen.verify")
    with np.load(io.BytesIO(members["labels.npz"])) as labels:
        maps = labels["crop"]
    if strip.size != len(maps) * size * size * 3:
        raise BadInput(f"{path}: the pictures of {key} are not of {size} px; predict again")
    return cv2.cvtColor(strip, cv2.COLOR_BGR2RGB).reshape(-1, size, size, 3), maps


@lru_cache(maxsize=1)
def _records(path: Path) -> dict[str, dict[str, bytes]]:
    return shard.read(path)


def even(length: float) -> int:
    """Return the even number nearest to a length, which video codecs ask for."""
    return max(2, 2 * round(length / 2))
