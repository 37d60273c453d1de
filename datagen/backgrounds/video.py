"""Stretches of a video file, covering a frame of the asked size, read with OpenCV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from datagen.errors import BadInput

SUFFIXES = frozenset(
    f".{s}" for s in (*"3gp avi flv m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv".split(),)
)


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video; rotation flags are obeyed. BadInput if OpenCV cannot read it."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise BadInput(f"{path} cannot be read as a video; leave it out or convert it to MP4")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def count_frames(path: Path) -> int:
    """Return the number of frames that decode: containers' own counts are often wrong."""
    capture = open_video(path)
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def frames_per_second(path: Path) -> float:
    """Return the frame rate the container claims, 0 where it claims none."""
    capture = open_video(path)
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    return rate if np.isfinite(rate) else 0.0


def cover(frame: np.ndarray, width: int, height: int, place: float) -> np.ndarray:
    """Resize to cover width x height keeping the shape, then cut it out.

    frame uint8 [h,w,3]; `place` in [0,1] says where along the longer side the cut lies.
    """
    old_height, old_width = frame.shape[:2]
    scale = max(width / old_width, height / old_height)
    size = (max(width, round(old_width * scale)), max(height, round(old_height * scale)))
    if size != (old_width, old_height):
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        frame = cv2.resize(frame, size, interpolation=interpolation)
    left, top = round(place * (size[0] - width)), round(place * (size[1] - height))
    return frame[top : top + height, left : left + width]


def read_stretches(
    path: Path,
    stretches: Iterable[tuple[int, int]],
    width: int,
    height: int,
    places: Iterable[float],
) -> Iterator[np.ndarray]:
    """Yield uint8 [n,height,width,3] RGB for each (start, n), ascending and disjoint, in one pass.

    Frames are decoded in order, never sought: seeking lands on key frames. A stretch is shorter
    than asked if the video ends within it.
    """
    capture = open_video(path)
    position = 0
    try:
        for (start, count), place in zip(stretches, places, strict=True):
            while position < start and capture.grab():
                position += 1
            frames = []
            while position < start + count:
                read, frame = capture.read()
                if not read:
                    break
                position += 1
                if frame.ndim == 2 or frame.shape[2] != 3:
                    code = cv2.COLOR_GRAY2BGR if frame.ndim == 2 else cv2.COLOR_BGRA2BGR
                    frame = cv2.cvtColor(frame, code)
                frames.append(cover(frame, width, height, place)[..., ::-1])
            yield np.ascontiguousarray(frames, dtype=np.uint8).reshape(-1, height, width, 3)
    finally:
        capture.release()
