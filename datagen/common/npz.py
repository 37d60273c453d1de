"""Arrays of .npy and .npz files that nobody vouches for: numbers alone, sizes checked first.

numpy.load takes the memory that a header claims, unpacks what a zip holds however large it is, and
raises a dozen kinds of errors for damage; here it is always a ValueError that names what is wrong.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from datagen.common.sizes import checked_count, checked_unpacked

MOST = 1 << 25
"""Numbers of one array, unless the caller knows better: 256 MB of float64."""
HEADER = 1 << 14
"""Bytes that an array's header may have; ours and AMASS's have 128."""
LETTERS = 255
"""Letters of a text in an array."""


class Arrays:
    """The arrays of an open .npz; none is read before it is asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }

    @property
    def names(self) -> set[str]:
        """Names of all arrays."""
        return set(self._infos)

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def read(self, name: str, most: int = MOST, kinds: str = "fiub") -> np.ndarray:
        """Return one array. KeyError if there is none of the name; ValueError if it is damaged, has
        more than `most` elements or none of numpy's `kinds`."""
        info = self._infos[name]
        with _as_value_error(name), self._open(info) as file:
            return _read(file, name, info.file_size, most, kinds)

    def has_objects(self, name: str) -> bool:
        """Return whether an array is of Python objects. KeyError, ValueError as `read`."""
        info = self._infos[name]
        with _as_value_error(name), self._open(info) as file:
            return _header(file, name)[2].hasobject

    def content(self, name: str, most: int = 8 * MOST) -> bytes:
        """Return the bytes of an array's .npy, at most so many. KeyError, ValueError as `read`."""
        info = self._infos[name]
        with _as_value_error(name), self._open(info) as file:
            checked_count(name, (info.file_size,), most)
            return file.read(info.file_size)

    def _open(self, info: zipfile.ZipInfo) -> IO[bytes]:
        if info.flag_bits & 1:
            raise ValueError(f"{info.filename} is encrypted")
        checked_unpacked(info.filename, info.file_size, info.compress_size)
        return self._archive.open(info)


@contextmanager
def open_npz(source: Path | bytes) -> Iterator[Arrays]:
    """Open an .npz. ValueError if it is none, OSError if the file cannot be read."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with _as_value_error("the archive"):
        archive = zipfile.ZipFile(file)
    with archive:
        yield Arrays(archive)


def read_npy(source: Path | bytes, most: int = MOST, kinds: str = "fiub") -> np.ndarray:
    """Return the array of an .npy, as `Arrays.read` does. OSError if it cannot be read."""
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file,
        _as_value_error("the array"),
    ):
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return _read(file, "the array", size, most, kinds)


@contextmanager
def _as_value_error(what: str) -> Iterator[None]:
    """Turn what the libraries raise on damage, errors of a dozen kinds, into ValueError."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except SystemError:  # CPython 3.11's parser trips over threads: not the file's fault
        raise
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(why if what in why else f"{what} is damaged ({why:.120})") from error


def _read(file: IO[bytes], name: str, size: int, most: int, kinds: str) -> np.ndarray:
    """Return the array of an open .npy of `size` bytes."""
    shape, fortran, dtype = _header(file, name)
    if dtype.kind not in kinds or dtype.itemsize > (4 * LETTERS if dtype.kind == "U" else 8):
        wanted = "text" if kinds == "U" else "numbers"
        raise ValueError(f"{name} must be {wanted}, it is {dtype!s:.40}")
    count = checked_count(name, shape, most)
    checked_count(name, (count, dtype.itemsize), max(size, 0))
    flat = np.empty(count, dtype)
    view = flat.view(np.uint8).reshape(-1).data if count and dtype.itemsize else b""
    done = 0
    while done < len(view):
        block = file.read(min(1 << 20, len(view) - done))
        if not block:
            raise ValueError(f"{name} is cut short")
        view[done : done + len(block)] = block  # type: ignore[index]
        done += len(block)
    file.read(1)  # the archive's checksum is looked at where a member ends
    if dtype.kind == "U" and dtype.itemsize:
        letters = flat.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if (letters > sys.maxunicode).any():  # Python cannot hold such a text
            raise ValueError(f"{name} is no text")
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return (shape, whether it is in Fortran's order, element type) of an .npy."""
    start = file.read(8)
    wide = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(start)
    if wide is None:
        raise ValueError(f"{name} is no .npy of version 1 or 2")
    length = file.read(wide)
    header_bytes = int.from_bytes(length, "little")
    if header_bytes > HEADER:
        raise ValueError(f"{name} has a header of {header_bytes} bytes")
    header = io.BytesIO(length + file.read(header_bytes))
    parse = (
        np.lib.format.read_array_header_1_0 if wide == 2 else np.lib.format.read_array_header_2_0
    )
    return parse(header)
