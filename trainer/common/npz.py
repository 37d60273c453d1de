"""All arrays of an untrusted .npz: numbers and short text, sizes checked first."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from trainer.common.sizes import checked_count, checked_unpacked

LETTERS = 255
"""Most letters of a text."""


def read_npz(
    source: Path | bytes, most: int, names: Collection[str] | None = None, kinds: str = "fiubU"
) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz, those of `names` that it contains or all, of numpy's `kinds`.

    most: bytes of all of them. Raises ValueError if it is damaged, has two of a name or claims
    more, OSError if it cannot be read.
    """
    out: dict[str, np.ndarray] = {}
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if names is not None and name not in names:
                    continue
                if name in out:
                    raise ValueError(f"it has two {name}")
                size = checked_unpacked(name, info.file_size, info.compress_size)
                checked_count(name, (size,), most)
                most -= size
                out[name] = _array(archive.read(info), name, kinds)
    except OSError:
        raise
    except Exception as error:  # zip, deflate, header and memory errors have their own classes
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    return out


def _array(data: bytes, name: str, kinds: str) -> np.ndarray:
    """Return the array of an .npy's bytes."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is no .npy of version 1")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in kinds or dtype.itemsize > (4 * LETTERS if dtype.kind == "U" else 8):
        raise ValueError(f"{name} holds {dtype!s:.40}")
    checked_count(name, (dtype.itemsize, *shape), len(data))
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if dtype.kind == "U" and dtype.itemsize:
        letters = np.ascontiguousarray(array).reshape(-1).astype(dtype.newbyteorder("="))
        if (letters.view(np.uint32) > sys.maxunicode).any():  # Python cannot hold such a text
            raise ValueError(f"{name} is no text")
    return array
