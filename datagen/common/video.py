"""Reading stretches of a video file, scaled and cut to a given size.

OpenCV reads the file where it can, PyAV where it cannot: OpenCV's own FFmpeg has no AV1 decoder,
which is what video sites deliver today. Frames count as they are coded, each once, whatever times
a variable frame rate gives them; the picture is turned by the file's rotation flag.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from datagen.common.errors import BadInput

# A damaged video is named in one sentence; OpenCV and FFmpeg would add lines that name no file.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
SUFFIXES = frozenset(
    f".{s}" for s in (*"3gp avi flv m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv".split(),)
)


class Reader(Protocol):
    """Frames of a file, one after the other."""

    def grab(self) -> bool:
        """Go to the next frame; False at the end, and at damage that ends the stream."""
        ...

    def picture(self) -> np.ndarray:
        """Return the frame, uint8 [h,w,3] RGB, upright."""
        ...

    def time(self) -> float:
        """Return when the frame is shown, seconds; 0 where the file does not give it."""
        ...

    def rate(self) -> float:
        """Return the frames a second that the file declares; 0 where it does not."""
        ...

    def release(self) -> None: ...


class OpenCVReader:
    """OpenCV's FFmpeg. It converts grey, alpha and deep pictures itself and obeys rotation."""

    def __init__(self, path: Path) -> None:
        # Without a named backend OpenCV would take a numbered file for one of a picture sequence.
        self.capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)

    def grab(self) -> bool:
        return self.capture.grab()

    def picture(self) -> np.ndarray:
        return cv2.cvtColor(self.capture.retrieve()[1], cv2.COLOR_BGR2RGB)

    def time(self) -> float:
        return self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def rate(self) -> float:
        return self.capture.get(cv2.CAP_PROP_FPS)

    def release(self) -> None:
        self.capture.release()


class PyAVReader:
    """PyAV, whose FFmpeg has every decoder. BadInput if it finds no video either."""

    def __init__(self, path: Path) -> None:
        import av
        from av.error import FFmpegError

        try:
            self.container = av.open(str(path))
            self.frames = self.container.decode(self.container.streams.video[0])
        except (FFmpegError, IndexError) as error:
            why = getattr(error, "strerror", None) or "it has no pictures"
            raise BadInput(
                f"{path} cannot be read as a video ({why}); omit it or convert it to MP4"
            ) from error
        self.damage = FFmpegError

    def grab(self) -> bool:
        try:
            self.frame = next(self.frames, None)
        except self.damage:
            return False
        return self.frame is not None

    def picture(self) -> np.ndarray:
        assert self.frame is not None
        image = self.frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(image, round(self.frame.rotation / 90)))

    def time(self) -> float:
        return (self.frame.time if self.frame is not None else None) or 0.0

    def rate(self) -> float:
        return float(self.container.streams.video[0].average_rate or 0)

    def release(self) -> None:
        self.container.close()


def open_video(path: Path) -> Reader:
    """Open a video. BadInput if neither OpenCV nor PyAV reads a frame of it."""
    for kind in (OpenCVReader, PyAVReader):
        reader = kind(path)
        readable = reader.grab()
        reader.release()
        if readable:
            return kind(path)
    raise BadInput(f"{path} cannot be read as a video; omit it or convert it to MP4")


def count_frames(path: Path) -> int:
    """Return the number of frames that decode: containers' own counts are often wrong."""
    reader = open_video(path)
    count = 0
    while reader.grab():
        count += 1
    reader.release()
    return count


def cover(frame: np.ndarray, width: int, height: int, place: float) -> np.ndarray:
    """Resize to cover width x height keeping the shape, then cut it out.

    frame uint8 [h,w,3]; `place` in [0,1] is the position of the cut along the longer side.
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
    reader = open_video(path)
    position = 0
    try:
        for (start, count), place in zip(stretches, places, strict=True):
            while position < start and reader.grab():
                position += 1
            frames = []
            while position < start + count and reader.grab():
                position += 1
                frames.append(cover(reader.picture(), width, height, place))
            yield np.ascontiguousarray(frames, dtype=np.uint8).reshape(-1, height, width, 3)
    finally:
        reader.release()
