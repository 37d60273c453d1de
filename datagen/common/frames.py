"""A video's frames, subsampled to about the network's 30 frames per second."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Integer, UInt8

from datagen.common.errors import BadInput, near
from datagen.common.video import open_video

RATE = 30.0
"""Frames per second that the network was trained on."""


def frame_times(path: Path) -> Float64[np.ndarray, " n"]:
    """Return the time of every decodable frame, float64 [N] seconds, by decoding the whole video.

    Frame counts and rates in containers are often wrong, and phones record at uneven intervals. AVI
    and MPEG may repeat time stamps or have none: a frame that is not later than its predecessor
    is placed at the median spacing after it; without time stamps, all follow the container's rate.

    Raises:
        BadInput: no frame decodes.
    """
    try:
        known = path.stat()
        return _frame_times(path.resolve(), known.st_mtime_ns, known.st_size)
    except OSError:
        raise BadInput(f"{path} does not exist or cannot be read{near(path)}") from None


@lru_cache(maxsize=64)
def _frame_times(path: Path, *_: int) -> np.ndarray:
    """Return a file's frame times; the other arguments (change time, size) are cache keys."""
    times = _cleaned(path)
    times.flags.writeable = False
    return times


def _cleaned(path: Path) -> np.ndarray:
    reader = open_video(path)
    times = []
    while reader.grab():
        times.append(reader.time())
    rate = reader.rate()
    rate = rate if 1 <= rate <= 1000 else RATE
    reader.release()
    steps = np.diff(times)
    later = (steps > 0) & np.isfinite(steps)
    if len(steps) and not 1e-3 <= np.median(steps[later] if later.any() else 0) <= 10:
        return np.arange(len(times)) / rate  # implausible for a camera
    if later.all():
        return np.array(times)
    if later.mean() < 0.5:
        return np.arange(len(times)) / rate
    steps[~later] = np.median(steps[later])
    return np.cumsum([times[0], *steps])


def thin(times: Float[np.ndarray, " n"]) -> tuple[Integer[np.ndarray, " m"], float]:
    """Return the numbers of the frames to use and their mean rate, at most about 30 fps.

    Every n-th frame is used, with n chosen so that the rate is closest to 30: 60 → 30, 50 → 25.
    Slower video keeps all frames: repeated frames would show no motion, unlike any training clip,
    whereas a person at 24 fps merely seems to move faster. With uneven spacing, a frame is used if
    it comes at least n median spacings (less half a spacing, for jitter) and at least three
    quarters of 1/30 s after the last one used, so only segments with a high rate are subsampled.
    """
    if len(times) < 2:
        return np.arange(len(times)), RATE
    spacing = float(np.median(np.diff(times)))
    few = max(1, int(1 / (spacing * RATE)))
    step = min(few + 1, few, key=lambda n: round(abs(1 / (n * spacing) - RATE), 6))
    least = max((step - 0.5) * spacing, 0.75 / RATE - 1e-9)
    used = [0]
    for number, time in enumerate(times):
        if number and time - times[used[-1]] >= least:
            used.append(number)
    if len(used) < 2:  # a few frames of a fast camera
        return np.array(used), RATE
    return np.array(used), (len(used) - 1) / (times[used[-1]] - times[0])


def read_frames(path: Path, wanted: Iterable[int]) -> Generator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the wanted frames (ascending numbers) as uint8 [H,W,3] RGB, one at a time.

    Rotation flags are applied. Raises BadInput if the video ends early or its frame size changes.
    """
    reader = open_video(path)
    position, shape = -1, None
    try:
        for number in wanted:
            while position < number:
                if not reader.grab():
                    raise BadInput(f"{path} ends at frame {position + 1}, not {number}; convert it")
                position += 1
            frame = reader.picture()
            if shape is not None and frame.shape != shape:
                raise BadInput(f"{path} changes its frame size at frame {number}; convert it")
            shape = frame.shape
            yield frame
    finally:
        reader.release()


def frame_size(path: Path) -> tuple[int, int]:
    """Return the width and height of the frames as read, with the rotation flag applied."""
    frames = read_frames(path, [0])
    height, width = next(frames).shape[:2]
    frames.close()
    return width, height
