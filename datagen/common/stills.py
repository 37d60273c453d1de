"""Reads pictures as a video: a single one as one frame, a folder as numbered frames."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from datagen.common import pictures
from datagen.common.errors import BadInput

PICTURES = frozenset(f".{s}" for s in "bmp jpeg jpg png tif tiff webp".split())
PICTURE_RATE = 30.0
"""Frames per second of a folder of pictures, unless its `fps.txt` gives another rate."""


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture, judged by its suffix."""
    return path.is_file() and path.suffix.lower() in PICTURES


def pictures_in(folder: Path) -> list[Path]:
    """Return a folder's pictures, sorted by the numbers in their names."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    return sorted(found, key=lambda path: [
        (part.isdecimal(), int(part) if part.isdecimal() else part)
        for part in re.split(r"(\d+)", path.name)
    ])  # fmt: skip


def _rate_of(path: Path) -> float:
    """Return the frames per second of a folder of pictures."""
    file = path / "fps.txt"
    if not file.is_file():
        return PICTURE_RATE
    try:
        rate = float(file.read_text())
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise BadInput(f"{file} must hold a number of frames per second; correct or remove it")
    return rate


class PictureReader:
    """A picture as a video of one frame, or a folder's pictures as numbered frames."""

    def __init__(self, path: Path) -> None:
        self.paths = pictures_in(path) if path.is_dir() else [path]
        self.at = -1
        self.fps = _rate_of(path)

    def grab(self) -> bool:
        self.at += 1
        if self.at >= len(self.paths):
            return False
        # Applies the EXIF orientation, as every viewer does.
        try:
            self.image = pictures.read(self.paths[self.at])
        except (OSError, ValueError):
            self.image = None
        return self.image is not None

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        assert self.image is not None
        return cv2.cvtColor(self.image, cv2.COLOR_BGR2RGB)

    def time(self) -> float:
        return self.at / self.fps

    def rate(self) -> float:
        return self.fps

    def enlarged(self) -> tuple[float, float]:
        return 1.0, 1.0

    def release(self) -> None: ...
