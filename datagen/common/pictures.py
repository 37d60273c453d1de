"""Reads pictures from files, checking their size before decoding pixels."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from datagen.common.sizes import checked_count

MOST = 1 << 27
"""Most pixels of a picture: a panorama of 16,384 x 8,192, 0.4 GB of RGB."""


def decode(
    data: bytes | np.ndarray, flags: int = cv2.IMREAD_COLOR, most: int = MOST
) -> UInt8[np.ndarray, "h w 3"]:
    """Return an encoded picture's pixels uint8 [h,w,3], BGR as in OpenCV.

    Raises ValueError if it cannot be read or has more than `most` pixels.
    """
    from PIL import Image

    data = bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL has its own limit
            with Image.open(io.BytesIO(data)) as picture:
                size = picture.size
    except Exception:  # a dozen types
        raise ValueError("not a readable image") from None
    checked_count("the picture", size, most)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError("not a readable image")
    return pixels


def read(path: Path, flags: int = cv2.IMREAD_COLOR, most: int = MOST) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels of a picture file, as `decode` does. OSError if it cannot be read."""
    return decode(path.read_bytes(), flags, most)
