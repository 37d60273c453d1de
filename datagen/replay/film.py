"""Pictures as an mp4 that players and browsers open."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from datagen.errors import BadMachine
from datagen.files import whole

CODECS = (("avc1", "H.264"), ("vp09", "VP9"), ("mp4v", "MPEG-4 part 2"))
"""Tags and names, best first. pip's OpenCV has no H.264 encoder of its own, but takes a machine's;
VP9 plays in browsers too, MPEG-4 part 2 in players only."""


class Film:
    """An mp4 that grows by a picture at a time; made by `film`."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self.codec = ""
        """Name of the codec, known after the first picture."""
        self._writer: cv2.VideoWriter | None = None

    def add(self, picture: np.ndarray) -> None:
        """Append a picture uint8 [H,W,3] RGB; all are of one size, even in both directions."""
        if self._writer is None:
            self._writer = self._start(picture.shape[1], picture.shape[0])
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.release()

    def _start(self, width: int, height: int) -> cv2.VideoWriter:
        for tag, name in CODECS:
            with quiet():  # FFmpeg complains aloud of each codec that it lacks
                fourcc = cv2.VideoWriter.fourcc(*tag)
                writer = cv2.VideoWriter(str(self.path), fourcc, self.fps, (width, height))
            if writer.isOpened():
                self.codec = name
                return writer
        raise BadMachine(
            f"OpenCV {cv2.__version__} can write no mp4 here; "
            "run: pip install --force-reinstall opencv-python-headless"
        )


@contextmanager
def film(path: Path, fps: float) -> Iterator[Film]:
    """Yield the film that will lie at `path`, whole, if the block succeeds."""
    with whole(path) as temporary:
        growing = temporary.with_suffix(".mp4")  # FFmpeg tells the container by the suffix
        writer = Film(growing, fps)
        try:
            yield writer
            writer.close()
            os.replace(growing, temporary)
        finally:
            writer.close()
            growing.unlink(missing_ok=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Send what libraries write to the process's stderr nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
