"""Checks the sizes that a file claims before memory is allocated.

Shared by the readers of all formats: a few bytes can claim, or decompress to, more memory than a
machine has.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

DEFLATE = 1032
"""Most bytes to which one byte of deflate data can decompress (zlib's technical notes)."""


def checked_count(what: str, shape: Iterable[Any], most: int) -> int:
    """Return the number of elements of a claimed shape.

    Raises ValueError if a length is negative or not an integer, or if there are more than `most`
    elements, the largest plausible number for `what`.
    """
    lengths, count = list(shape), 1
    for length in lengths:
        if not isinstance(length, Integral) or isinstance(length, bool) or length < 0:
            raise ValueError(f"{what} has a damaged size, {lengths!s:.80}")
        count *= int(length)
        if max(count, int(length)) > most:
            raise ValueError(f"{what} claims {lengths!s:.80} elements; at most {most} are read")
    return count


def checked_unpacked(what: str, unpacked: int, packed: int) -> int:
    """Return the claimed number of decompressed bytes of deflate data.

    Raises ValueError if `packed` bytes cannot decompress to that many.
    """
    if not 0 <= unpacked <= DEFLATE * packed + DEFLATE:
        raise ValueError(f"{what} claims {unpacked} bytes packed in {packed}; it is damaged")
    return unpacked
