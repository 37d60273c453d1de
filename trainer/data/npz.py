"""Arrays in the bytes of .npy and .npz files, as views of them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from functools import lru_cache

import numpy as np

from trainer.common.sizes import checked_count, checked_unpacked

_ENTRY = struct.Struct("<I6xH4xIIIHHH8xI")
"""Signature, method, CRC, sizes, lengths of name, extra and comment, offset of the local header."""


def npy_array(data: bytes | memoryview) -> np.ndarray:
    """Return the array of an .npy file, a read-only view of its bytes."""
    if bytes(data[:8]) != b"\x93NUMPY\x01\x00":
        raise ValueError("not an .npy file of version 1.0")
    begin = 10 + int.from_bytes(data[8:10], "little")
    shape, dtype = _npy_header(bytes(data[:begin]))
    checked_count("the array", shape, len(data))
    return np.frombuffer(data, dtype, offset=begin).reshape(shape)


@lru_cache(maxsize=256)
def _npy_header(header: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """Return (shape, dtype) of an .npy header; cached, as a data set has only a dozen."""
    stream = io.BytesIO(header)
    np.lib.format.read_magic(stream)
    try:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # numpy uses Python's parser, which may raise anything
        raise ValueError(f"a broken .npy header: {error}") from None
    if dtype.hasobject or fortran:
        raise ValueError(f"an array of {dtype} in this memory order is not read")
    return shape, dtype


LARGEST = 1 << 26
"""Most bytes that a compressed array may unpack to: 20 times a minute of 38 joints."""


def npz_arrays(
    data: bytes,
    names: frozenset[str],
    optional: set[str] | None = None,
    *,
    verified: bool = False,
) -> dict[str, np.ndarray]:
    """Return the named arrays of an .npz file; KeyError for missing ones that are required.

    Uncompressed arrays (np.savez) are views of the bytes, found by the archive's directory and
    checked by its checksums: `zipfile` takes several times as long for a clip's labels.
    verified: the bytes have already been checked as a whole, so the archive's checksums are
    skipped.
    """
    wanted = {f"{name}.npy".encode(): name for name in names}
    out: dict[str, np.ndarray] = {}
    end = data.rfind(b"PK\x05\x06")
    if end < 0:
        raise ValueError("an .npz file without a directory")
    count, _, at = struct.unpack_from("<HII", data, end + 10)
    view = memoryview(data)
    for _ in range(count):
        (signature, method, crc, packed, size, name_length, extra, comment, place) = (
            _ENTRY.unpack_from(data, at)
        )
        if signature != 0x02014B50:
            raise ValueError("an .npz file with a broken directory")
        name = wanted.get(data[at + 46 : at + 46 + name_length])
        at += 46 + name_length + extra + comment
        if name is None:
            continue
        if name in out:
            raise ValueError(f"an .npz file with two {name}")
        if method:
            out[name] = npy_array(_unpacked(data, f"{name}.npy", size, packed))
            continue
        skip = struct.unpack_from("<HH", data, place + 26)
        begin = place + 30 + sum(skip)
        content = view[begin : begin + size]
        if packed != size or (not verified and zlib.crc32(content) != crc):
            raise ValueError(f"{name} does not match its checksum")
        out[name] = npy_array(content)
    missing = names - out.keys() - (optional or set())
    if missing:
        raise KeyError(", ".join(sorted(missing)))
    return out


def _unpacked(data: bytes, name: str, size: int, packed: int) -> bytes:
    """Return a compressed member of an .npz file, given the sizes that its directory claims."""
    if checked_unpacked(name, size, packed) > LARGEST:
        raise ValueError(f"{name} claims {size} bytes, at most {LARGEST} are read")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.getinfo(name).file_size > LARGEST:
            raise ValueError(f"{name} has a damaged size")
        return archive.read(name)
