"""The pictures below a predicted body: its video's frames, or its records' crops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from datagen.clips import crop
from datagen.common.ahead import ahead
from datagen.common.errors import BadInput
from datagen.common.frames import frame_size, frame_times, read_frames, thin
from datagen.common.npz import open_npz
from datagen.common.pictures import decode
from datagen.common.stills import PICTURES
from datagen.output import shard
from datagen.output.layout import Layout
from datagen.replay.prediction import PredictedMotion

CROP_SIDE = 448  # displayed side of a stored crop, pixels


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and its frame in the motion."""

    image: np.ndarray
    """uint8 [H,W,3] RGB."""
    place: int | None
    """Index of the motion's frame that it shows; None if the motion does not have it."""
    time: float
    """Seconds after the first picture."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of a motion's frames and the frames around them, all with one even size."""

    width: int
    height: int
    maps: np.ndarray
    """float64 [L,2,3] crop pixels → picture pixels, for the motion's frames."""
    frames: Iterator[Picture]
    """The pictures in order."""
    numbers: np.ndarray
    """int [N] the pictures' frame numbers in their video."""
    cropped: bool = False
    """Whether pictures show only the crop."""
    sound: Path | None = None
    """The file with their sound."""
    single: bool = False
    """Whether it is a single picture, not a video."""


def of_video(motion: PredictedMotion, path: Path, max_height: int = 720) -> Pictures:
    """Return a video's frames, at most `max_height` pixels high and about 30 per second.

    All frames are included, even without the person, so that sound and times match the video.
    Raises BadInput if the video's size differs from that of the prediction.
    """
    width, height = frame_size(path)
    if motion.size != (width, height):
        made = f"a video of {motion.size[0]}x{motion.size[1]}" if motion.size[0] else "no video"
        raise BadInput(
            f"{motion.name} was predicted from {made}, but {path} is one of {width}x{height}; give "
            "the video that was ingested, or omit --video and give --shards to show their crops"
        )
    times = frame_times(path)
    if motion.source.max() >= len(times):
        raise BadInput(
            f"{motion.name} was predicted from a video with at least {motion.source.max() + 1} "
            f"frames, {path} has {len(times)}; give the video that was ingested"
        )
    numbers = np.union1d(thin(times)[0], motion.source)
    places = {int(number): place for place, number in enumerate(motion.source)}
    size = even(width * min(1, max_height / height)), even(min(height, max_height))
    scale = np.array([size[0] / width, size[1] / height])
    shrink = np.zeros((2, 3))
    shrink[[0, 1], [0, 1]], shrink[:, 2] = scale, (scale - 1) / 2  # pixel centres are integers
    back = crop.inverse(motion.crop.astype(np.float64))
    maps = shrink[:, :2] @ back
    maps[:, :, 2] += shrink[:, 2]

    def frames() -> Iterator[Picture]:
        for number, frame in zip(numbers.tolist(), read_frames(path, numbers), strict=True):
            if frame.shape[1::-1] != size:
                frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
            yield Picture(frame, places.get(number), float(times[number] - times[0]))

    still = path.is_dir() or path.suffix.lower() in PICTURES
    return Pictures(
        *size,
        maps,
        ahead(frames()),
        numbers=numbers,
        sound=None if still else path,
        single=still and len(numbers) == 1,
    )


def of_records(motion: PredictedMotion, shards: Path) -> Pictures:
    """Return the crops in the motion's records, enlarged.

    Raises BadInput if the shards lack them, or are not those of the prediction.
    """
    scale = CROP_SIDE / motion.image_size
    map_ = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])

    def frames() -> Iterator[Picture]:
        places = zip(motion.record.tolist(), motion.place.tolist(), strict=True)
        for t, (key, place) in enumerate(places):
            strip, crops = stored_crops(shards, key, motion.image_size)
            if not np.array_equal(crops[place], motion.crop[t]):
                raise BadInput(
                    f"record {key} of {shards} is not the one {motion.name} was predicted from; "
                    "give the shards that were used, or predict again from these"
                )
            side = (CROP_SIDE, CROP_SIDE)
            image = cv2.resize(strip[place], side, interpolation=cv2.INTER_CUBIC)
            yield Picture(image, t, float(motion.times[t] - motion.times[0]))

    maps = np.tile(map_, (len(motion), 1, 1))
    return Pictures(CROP_SIDE, CROP_SIDE, maps, frames(), numbers=motion.source, cropped=True)


@lru_cache(maxsize=2)
def stored_crops(shards: Path, key: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the crops uint8 [T,S,S,3] RGB of a record, and their maps [T,2,3]."""
    path = Layout(shards).shard(int(key.partition("_")[0]))
    if not path.exists():
        raise BadInput(f"{path} does not exist; give the prediction's shards with --shards")
    members = _records(path).get(key)
    if members is None:
        raise BadInput(f"{path} has no record {key}; predict again from these shards")
    if "rgb.jpg" not in members:
        raise BadInput(
            f"{path} holds no pictures (--no-rgb); give the video with --video, "
            "or make the shards with pictures"
        )
    try:
        strip = decode(members["rgb.jpg"])
        with open_npz(members["labels.npz"]) as labels:
            maps = labels.read("crop")
    except (ValueError, KeyError) as error:
        raise BadInput(f"{path}: record {key} is damaged ({error}); run datagen.verify") from None
    if strip.size != len(maps) * size * size * 3:
        raise BadInput(f"{path}: the pictures of {key} are not {size} px large; predict again")
    return cv2.cvtColor(strip, cv2.COLOR_BGR2RGB).reshape(-1, size, size, 3), maps


@lru_cache(maxsize=1)
def _records(path: Path) -> dict[str, dict[str, bytes]]:
    return shard.read(path)


def even(length: float) -> int:
    """Return the even number closest to a length, as video codecs require."""
    return max(2, 2 * round(length / 2))
