"""Arrays in untrusted .npy and .npz files: numbers only, sizes checked first.

numpy.load allocates the memory that a header claims, decompresses zip members of any size, and
raises a dozen kinds of errors for damaged files. Here, damage always raises a ValueError that names
the problem.
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
"""Default limit of the numbers in one array: 256 MB of float64."""
HEADER = 1 << 14
"""Most bytes of an array's header; ours and AMASS's have 128."""
LETTERS = 255
"""Most characters of a text in an array."""


class Arrays:
    """The arrays of an open .npz, read on demand."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        self._infos = {info.filename.removesuffix(".npy"): info for info in infos}
        if len(self._infos) < len(infos):
            raise ValueError("it holds two arrays of a name")

    @property
    def names(self) -> set[str]:
        """Names of all arrays."""
        return set(self._infos)

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def read(self, name: str, most: int = MOST, kinds: str = "fiub") -> np.ndarray:
        """Return one array. Raises KeyError if it does not exist; ValueError if it is damaged, has
        more than `most` elements or is not of one of numpy's `kinds`."""
        info = self._infos[name]
        with _as_value_error(name), self._open(info) as file:
            return _read(file, name, info.file_size, most, kinds)

    def has_objects(self, name: str) -> bool:
        """Return whether an array holds Python objects. Raises as `read` does."""
        info = self._infos[name]
        with _as_value_error(name), self._open(info) as file:
            return _header(file, name)[2].hasobject

    def content(self, name: str, most: int = 8 * MOST) -> bytes:
        """Return the bytes of an array's .npy, at most `most`. Raises as `read` does."""
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
    """Open an .npz. Raises ValueError if it is not one, OSError if the file cannot be read."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with _as_value_error("the archive"):
        archive = zipfile.ZipFile(file)
    with archive:
        yield Arrays(archive)


def read_npy(source: Path | bytes, most: int = MOST, kinds: str = "fiub") -> np.ndarray:
    """Return the array of an .npy as `Arrays.read` does. Raises OSError if it cannot be read."""
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file,
        _as_value_error("the array"),
    ):
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return _read(file, "the array", size, most, kinds)


@contextmanager
def _as_value_error(what: str) -> Iterator[None]:
    """Turn the many kinds of errors that damaged files cause into ValueError."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except SystemError:  # CPython 3.11's parser is not thread-safe: not the file's fault
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
            raise ValueError(f"{name} is truncated")
        view[done : done + len(block)] = block  # type: ignore[index]
        done += len(block)
    file.read(1)  # the archive's checksum is verified at the end of a member
    if dtype.kind == "U" and dtype.itemsize:
        letters = flat.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if (letters > sys.maxunicode).any():  # not a valid Unicode string
            raise ValueError(f"{name} is not text")
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return (shape, Fortran order, element type) of an .npy."""
    start = file.read(8)
    wide = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(start)
    if wide is None:
        raise ValueError(f"{name} is not an .npy of version 1 or 2")
    length = file.read(wide)
    header_bytes = int.from_bytes(length, "little")
    if header_bytes > HEADER:
        raise ValueError(f"{name} has a header of {header_bytes} bytes")
    header = io.BytesIO(length + file.read(header_bytes))
    parse = (
        np.lib.format.read_array_header_1_0 if wide == 2 else np.lib.format.read_array_header_2_0
    )
    return parse(header)
