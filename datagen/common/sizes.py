"""Sizes that a file claims, checked before memory is taken for them.

The one place that decides it, for readers of every format: a few bytes can claim, or unpack to,
more than a machine has.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

DEFLATE = 1032
"""Bytes that one byte of deflate can at most unpack to (zlib's technical notes)."""


def checked_count(what: str, shape: Iterable[Any], most: int) -> int:
    """Return how many elements a claimed shape has.

    Raises ValueError if a length is no whole number, is negative, or if there are more than `most`,
    the largest that `what` can mean.
    """
    lengths, count = list(shape), 1
    for length in lengths:
        if not isinstance(length, Integral) or isinstance(length, bool) or length < 0:
            raise ValueError(f"{what} has a damaged size, {lengths!s:.80}")
        count *= int(length)
        if max(count, int(length)) > most:
            raise ValueError(f"{what} claims {lengths!s:.80} elements, at most {most} are read")
    return count


def checked_unpacked(what: str, unpacked: int, packed: int) -> int:
    """Return the bytes that deflate is claimed to unpack to.

    Raises ValueError if `packed` bytes cannot hold so many.
    """
    if not 0 <= unpacked <= DEFLATE * packed + DEFLATE:
        raise ValueError(f"{what} claims {unpacked} bytes in {packed}; it is damaged")
    return unpacked
