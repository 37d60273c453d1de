"""Random generators keyed by what is made, independent of workers and order."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """Return the generator of (seed, keys): equal keys draw equally on every machine.

    Strings (names, purposes) enter by their SHA-256, so generators of different purposes are
    independent.
    """
    words: list[int] = []
    for key in (seed, *keys):
        words += _words(key)
    # The words that SeedSequence makes of a list of integers, in a third of its time.
    return np.random.default_rng(np.random.SeedSequence(np.array(words, np.uint32)))


@lru_cache(maxsize=1 << 16)
def _words(key: int | str) -> tuple[int, ...]:
    """Return the key as 32-bit words, the lowest first."""
    if isinstance(key, str):
        key = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    words = [key & 0xFFFFFFFF]
    while key := key >> 32:
        words.append(key & 0xFFFFFFFF)
    return tuple(words)
