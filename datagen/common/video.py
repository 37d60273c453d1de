"""Reads segments of a video file, scaled and cropped to a given size.

OpenCV reads the file if it can, otherwise PyAV: OpenCV's own FFmpeg has no decoder for AV1, which
video sites use today. If a file has several videos, the largest is read. Every encoded frame counts
once, whatever time a variable frame rate gives it. The file's rotation flag is applied, and pixels
are made square.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from datagen.common.containers import MOST, open_container
from datagen.common.digests import file_digests
from datagen.common.errors import BadInput
from datagen.common.sizes import checked_count
from datagen.common.stills import PICTURES, PictureReader, pictures_in

# A damaged video is reported in one sentence; OpenCV and FFmpeg would add lines without its name.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
SUFFIXES = frozenset(
    f".{s}" for s in (*"3gp avi flv m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv".split(),)
)


def media_sha256(path: Path) -> str:
    """Return the SHA-256 of a video or picture or, for a folder, that of its pictures' digests."""
    if not path.is_dir():
        return file_digests([path])[0]
    each = "".join(file_digests(pictures_in(path)))
    return hashlib.sha256(each.encode()).hexdigest()


@runtime_checkable
class Reader(Protocol):
    """Reads a file's frames one after the other."""

    def grab(self) -> bool:
        """Go to the next frame; False at the end or at damage that ends the stream."""
        ...

    def picture(self) -> np.ndarray:
        """Return the frame, uint8 [h,w,3] RGB, upright."""
        ...

    def time(self) -> float:
        """Return the frame's presentation time, seconds; 0 if the file does not give it."""
        ...

    def rate(self) -> float:
        """Return the declared frames per second; 0 if there are none."""
        ...

    def enlarged(self) -> tuple[float, float]:
        """Return the factors by which stored pixels are enlarged along x and y."""
        ...

    def release(self) -> None: ...


class OpenCVReader:
    """OpenCV's FFmpeg, which converts grey, alpha and high bit depths and applies rotation."""

    def __init__(self, path: Path) -> None:
        # Without a named backend, OpenCV would read a numbered file as a picture sequence.
        self.capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)

    def grab(self) -> bool:
        return self.capture.grab()

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        return cv2.cvtColor(self.capture.retrieve()[1], cv2.COLOR_BGR2RGB)

    def time(self) -> float:
        return self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def rate(self) -> float:
        return self.capture.get(cv2.CAP_PROP_FPS)

    def enlarged(self) -> tuple[float, float]:
        return 1.0, 1.0

    def release(self) -> None:
        self.capture.release()


class PyAVReader:
    """PyAV, whose FFmpeg has all decoders, for one of the file's video streams.

    Non-square pixels are made square by enlarging their shorter side. Raises BadInput if there is
    no such stream.
    """

    def __init__(self, path: Path, place: int = 0) -> None:
        from av.error import FFmpegError

        try:
            self.container = open_container(path)
            self.stream = self.container.streams.video[place]
            self.stream.codec_context.options = {"max_pixels": str(MOST)}
            self.frames = self.container.decode(self.stream)
        except (FFmpegError, IndexError, AttributeError) as error:  # the last without a decoder
            why = getattr(error, "strerror", None) or "it has no pictures"
            raise unreadable(path, str(why)) from error
        aspect = pixel_aspect(self.stream)
        self.scale = (max(1.0, aspect), max(1.0, 1 / aspect))
        self.damage = FFmpegError

    def grab(self) -> bool:
        try:
            self.frame = next(self.frames, None)
        except self.damage:
            return False
        return self.frame is not None

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        assert self.frame is not None
        image = self.frame.to_ndarray(format="rgb24")
        if self.scale != (1, 1):
            size = [round(n * s) for n, s in zip(image.shape[1::-1], self.scale, strict=True)]
            image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(np.rot90(image, round(self.frame.rotation / 90)))

    def time(self) -> float:
        return (self.frame.time if self.frame is not None else None) or 0.0

    def rate(self) -> float:
        return float(self.stream.average_rate or 0)

    def enlarged(self) -> tuple[float, float]:
        assert self.frame is not None
        across, down = self.scale
        return (down, across) if round(self.frame.rotation / 90) % 2 else (across, down)

    def release(self) -> None:
        self.container.close()


def pixel_aspect(stream: Any) -> float:
    """Return a pixel's width over its height in a PyAV stream, 1 if it is square.

    A deviation below 1 % is rounding of the size; a ratio beyond 8 is damage.
    """
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 1 / 8 <= aspect <= 8 and abs(aspect - 1) > 0.01 else 1.0


def _readers(path: Path) -> list[Callable[[Path], Reader]]:
    """Return the readers for a video, in order of preference.

    A file may hold several videos, such as a cover or a preview before the main one; the largest
    moving one is used. OpenCV assumes the first stream and square pixels, so PyAV reads others.
    """
    from av.error import FFmpegError
    from av.stream import Disposition

    if path.is_dir() or path.suffix.lower() in PICTURES:
        return [PictureReader]
    try:
        with open_container(path) as container:
            streams = container.streams.video
            cover = Disposition.attached_pic
            still = [cover in stream.disposition or stream.frames == 1 for stream in streams]
            sizes = [(stream.width or 0) * (stream.height or 0) for stream in streams]
            checked_count("its picture", (max(sizes, default=0),), MOST)
            order = sorted(range(len(streams)), key=lambda place: (still[place], -sizes[place]))
            # one without a size was too large for FFmpeg to look at, which OpenCV would
            plain = all(sizes) and all(pixel_aspect(stream) == 1 for stream in streams)
    except AttributeError:  # PyAV has no decoder
        order, plain = [0], True
    except (FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise unreadable(path, str(why)) from error
    own: list[Callable[[Path], Reader]] = [
        partial(PyAVReader, place=place) for place in order or [0]
    ]
    return [OpenCVReader, *own] if is_text(str(path)) and plain and order[:1] in ([0], []) else own


def is_text(name: str) -> bool:
    """Return whether a file's name is valid text: OpenCV crashes on bytes in another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def open_video(path: Path) -> Reader:
    """Open a video. Raises BadInput if neither OpenCV nor PyAV can read a frame of it."""
    for make in _readers(path):
        reader = make(path)
        readable = reader.grab()
        reader.release()
        if readable:
            return make(path)
    raise unreadable(path)


def unreadable(path: Path, why: str = "") -> BadInput:
    """Return the error for a file that is no video that this program reads."""
    what = f"{path} cannot be read as a video{f' ({why})' if why else ''}"
    if path.suffix.lower() == ".mp4":
        return BadInput(f"{what}; omit it, or give an undamaged copy")
    return BadInput(f"{what}; omit it or convert it to MP4")


def declared_frames(path: Path) -> int:
    """Return the number of frames in a video's header; 0 if it has none."""
    from av.error import FFmpegError

    if path.is_dir() or path.suffix.lower() in PICTURES:
        return 0
    try:
        with open_container(path) as container:
            return max((stream.frames for stream in container.streams.video), default=0)
    except (FFmpegError, OSError):
        return 0


def enlargement(path: Path) -> tuple[float, float]:
    """Return the factors by which stored pixels are enlarged along x and y, 1 and 1 if square.

    Programs that ignore the pixel aspect ratio count in stored pixels.
    """
    reader = open_video(path)
    reader.grab()
    found = reader.enlarged()
    reader.release()
    return found


def cover(
    frame: UInt8[np.ndarray, "h w 3"], width: int, height: int, place: float
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Resize a frame to cover width x height, keeping its aspect ratio, and crop it.

    frame: uint8 [h,w,3]; `place` in [0,1] is the position of the crop along the longer side.
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
    stretches: Iterable[Sequence[int]],
    width: int,
    height: int,
    places: Iterable[float],
) -> Iterator[UInt8[np.ndarray, "n {height} {width} 3"]]:
    """Yield uint8 [n,height,width,3] RGB for each stretch of n frame numbers, in one pass.

    Numbers ascend, also across stretches. Frames are decoded in order, because seeking only reaches
    key frames. A stretch is shorter than requested if the video ends within it.
    """
    reader = open_video(path)
    position = -1
    try:
        for numbers, place in zip(stretches, places, strict=True):
            frames = []
            for number in numbers:
                while position < number and reader.grab():
                    position += 1
                if position < number:
                    break
                frames.append(cover(reader.picture(), width, height, place))
            yield np.ascontiguousarray(frames, dtype=np.uint8).reshape(-1, height, width, 3)
    finally:
        reader.release()
