"""HDF5 files: new ones are built in memory and written at once; arrays are checked before
reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datagen.common.files import whole
from datagen.common.sizes import checked_count

FORMAT = ("v110", "v110")
"""Fixed file format, so that equal contents give equal bytes with any version of HDF5. Its metadata
have checksums."""
DAMAGED = (
    OSError, KeyError, ValueError, TypeError, IndexError, RuntimeError, AttributeError,
    OverflowError, MemoryError,
)  # fmt: skip
"""Exceptions that h5py and numpy raise on damaged files."""
MOST = 1 << 27
"""Most numbers read at once; the encoded pictures of a window have about 400,000."""
CHECKS = "fletcher32"
"""Checksum filter of all data, verified by HDF5 on reading; recorded in the manifest line."""


def text(value: str) -> np.bytes_:
    """Return a text as a fixed-length attribute: only these are covered by metadata checksums."""
    return np.bytes_(value.encode())


def read_text(value: Any) -> str:
    """Return the text of an attribute of fixed length or, in older files, of variable length."""
    return bytes(value).decode() if isinstance(value, bytes) else str(value)


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """Yield an empty HDF5 file; it is written to `path` only if the block succeeds.

    It is built in memory, because HDF5 1.14 crashes the process if the disk is full on closing.
    """
    with whole(path) as temporary:
        with h5py.File(
            str(temporary), "w", driver="core", backing_store=False, libver=FORMAT
        ) as file:
            yield file
            file.flush()
            image = file.id.get_file_image()
        temporary.write_bytes(image)


def read_array(group: Any, name: str, rows: slice | None = None) -> np.ndarray:
    """Return a numeric array of a group, or some of its rows.

    Raises KeyError if there is no such array, ValueError if it lies in another file, is not of real
    numbers or is larger than any array that this program writes.
    """
    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise ValueError(f"{name} is in another file")
    array = group[name]
    if not isinstance(array, h5py.Dataset) or array.is_virtual or array.external:
        raise ValueError(f"{name} is not an array, or lies in another file")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} must be numbers, it is {array.dtype!s:.40}")
    checked_count(name, array.chunks or (), MOST)
    if rows is None:
        checked_count(name, array.shape, MOST)
        return array[()]
    start, stop, _ = rows.indices(checked_count(name, array.shape[:1], 1 << 40))
    checked_count(name, (max(0, stop - start), *array.shape[1:]), MOST)
    return array[start:stop]
