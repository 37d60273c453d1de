"""HDF5 files: new ones are built in memory and written at once; arrays are checked before
reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5l  # type: ignore[attr-defined]

from datagen.common.files import whole
from datagen.common.sizes import checked_count, checked_unpacked

FORMAT = ("v110", "v110")
"""Fixed file format, so that equal contents give equal bytes with any version of HDF5. Its metadata
have checksums."""
DAMAGED = (
    OSError, KeyError, ValueError, TypeError, IndexError, RuntimeError, AttributeError,
    OverflowError, MemoryError,
)  # fmt: skip
"""Exceptions that h5py and numpy raise on damaged files."""
MOST = 1 << 28
"""Most bytes read at once: the pictures of 31 frames of 1,600 x 1,600; a window's, coded, have some
400,000."""
PACKED = 1 << 20
"""Most bytes of a compressed chunk: HDF5 decompresses it before checking its size, at most 1 GB."""
DEFLATE = 1
FILTERS = frozenset((DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))
"""Filters that our files use, each once: a chunk compressed twice can expand a million times."""
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


def part(group: Any, name: str) -> Any:
    """Return what a group holds under a name. KeyError if nothing, ValueError if it lies in another
    file, or somewhere else in this one."""
    # `name in group` and `group.get` would open the other file
    if group.id.links.get_info(name.encode()).type != h5l.TYPE_HARD:
        raise ValueError(f"{name} is in another file, or a link")
    return group[name]


def read_array(group: Any, name: str, rows: slice | None = None, most: int = MOST) -> np.ndarray:
    """Return a group's array of numbers, or some of its rows.

    Raises KeyError if there is none of the name, ValueError if it lies in another file, holds no
    real numbers, has more than `most` bytes or is not packed as ours are.
    """
    array = part(group, name)
    if not isinstance(array, h5py.Dataset) or array.is_virtual or array.external:
        raise ValueError(f"{name} is not an array, or lies in another file")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} must be numbers, it is {array.dtype!s:.40}")
    size = array.dtype.itemsize
    if rows is None:
        start, stop = 0, checked_count(name, array.shape[:1], most)
    else:
        start, stop, _ = rows.indices(checked_count(name, array.shape[:1], 1 << 40))
        stop = max(start, stop)
    if array.ndim:
        checked_count(name, (size, stop - start, *array.shape[1:]), most)
    _require_packing(array, name, start, stop, most)
    return array[()] if rows is None else array[start:stop]


def _require_packing(array: h5py.Dataset, name: str, start: int, stop: int, most: int) -> None:
    """Raise ValueError if an array's chunks, those of rows [start, stop) where they are packed,
    pass through other filters than ours or are larger than any of ours."""
    if array.chunks is None:
        checked_unpacked(name, array.nbytes, array.id.get_storage_size())
        return
    checked_count(name, (array.dtype.itemsize, *array.chunks), most)
    properties = array.id.get_create_plist()
    filters = [properties.get_filter(place)[0] for place in range(properties.get_nfilters())]
    if not FILTERS.issuperset(filters) or len(set(filters)) < len(filters):
        raise ValueError(f"{name} is packed by {filters!s:.60}, which is not read")
    if DEFLATE in filters and array.id.get_storage_size() > PACKED:
        ends = (stop, *array.shape[1:])
        begins = (start // array.chunks[0] * array.chunks[0], *[0] * (array.ndim - 1))
        for corner in product(*map(range, begins, ends, array.chunks)):
            packed = array.id.get_chunk_info_by_coord(corner).size
            checked_count(f"a chunk of {name}", (packed,), PACKED)
