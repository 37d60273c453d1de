"""Middlebury .flo files, the flow format of data sets with ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datagen.common.errors import BadInput

_MAGIC = b"PIEH"


def read_flo(path: Path) -> np.ndarray:
    """Return the flow of a .flo file, float32 [H,W,2] in pixels (x right, y down).

    Raises:
        BadInput: the file is not a whole .flo file.
    """
    data = path.read_bytes()
    if data[:4] != _MAGIC or len(data) < 12:
        raise BadInput(f"{path} is not a .flo file: give a Middlebury flow file.")
    width, height = (int(n) for n in np.frombuffer(data, "<i4", 2, 4))
    if min(width, height) < 1 or len(data) != 12 + 8 * width * height:
        raise BadInput(
            f"{path} has {len(data)} bytes but its header claims {width}x{height} vectors: "
            "download the file again."
        )
    return np.frombuffer(data, "<f4", 2 * width * height, 12).reshape(height, width, 2).copy()
