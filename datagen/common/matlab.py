"""Numeric arrays in MATLAB files of version 5, as scipy.io also writes them (SURREAL's labels).

scipy's own reader crashes the process on some damaged files. Here, sizes are checked before memory
is allocated. Format: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from datagen.common.sizes import checked_count

MOST = 1 << 24
"""Most numbers in one array: SURREAL's largest, a mask, has 76,800."""
UNPACKED = 1 << 27
"""Most bytes of a decompressed array."""
MATRIX, COMPRESSED = 14, 15
STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
"""Element types in the file."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8",
           15: "u8"}  # fmt: skip
"""Numeric array classes; text, cells, structures and sparse arrays are skipped."""
COMPLEX, LOGICAL = 0x0800, 0x0200


def read_matlab(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return those of the named real numeric arrays that exist, in their MATLAB shapes.

    Raises ValueError if the file is damaged or of another version, OSError if it cannot be read.
    """
    data = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:128]))
    if order is None:
        raise ValueError("it is not a MATLAB file of version 5")
    found = {}
    for kind, content in _elements(data[128:], order):
        if kind == COMPRESSED:
            ((kind, content),) = list(_elements(_unpacked(content), order))[:1] or [(0, content)]
        if kind == MATRIX:
            name, array = _matrix(content, order, names)
            if array is not None:
                found[name] = array
    return found


def _unpacked(content: memoryview) -> memoryview:
    reader = zlib.decompressobj()
    try:
        data = reader.decompress(content, UNPACKED)
    except zlib.error as error:
        raise ValueError(f"an array cannot be decompressed ({error})") from None
    if reader.unconsumed_tail or not reader.eof:  # the checksum is at the end
        raise ValueError("an array is truncated, or larger than any of SURREAL's")
    return memoryview(data)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, content) of the data elements; all but compressed ones are padded to 8 bytes."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small element: size and content are in its tag
            kind, size, begin, step = kind & 0xFFFF, kind >> 16, at + 4, 8
        else:
            begin, step = at + 8, 8 + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if size > len(data) - begin or (step == 8 and size > 4 and begin == at + 4):
            raise ValueError("an array is truncated")
        yield kind, data[begin : begin + size]
        at += step


def _matrix(
    content: memoryview, order: str, names: Collection[str]
) -> tuple[str, np.ndarray | None]:
    """Return an array's name, and the array if it is numeric and one of `names`."""
    parts = _elements(content, order)
    flags, lengths, name = (_numbers(*next(parts, (0, content)), order) for _ in range(3))
    text = name.astype(np.uint8).tobytes().decode("latin1")
    kind = CLASSES.get(int(flags[0]) & 0xFF) if len(flags) else None
    if text not in names or kind is None or int(flags[0]) & COMPLEX:
        return text, None
    shape = [int(length) for length in lengths]
    count = checked_count(text, shape, MOST)
    values = _numbers(*next(parts, (0, content)), order)
    if len(values) != count:
        raise ValueError(f"{text} has {len(values)} numbers for shape {shape}")
    return text, values.astype(kind).reshape(shape, order="F")


def _numbers(kind: int, content: memoryview, order: str) -> np.ndarray:
    if kind not in STORED:
        raise ValueError(f"an array has elements of the unknown type {kind}")
    dtype = np.dtype(STORED[kind]).newbyteorder(order)  # type: ignore[arg-type]
    return np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
