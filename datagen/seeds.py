"""Random draws that depend on what is made, never on who makes it or when."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """Return the generator of (seed, keys): equal keys draw equally on every machine.

    Strings (names, purposes) enter by their SHA-256, so generators of different purposes are
    independent.
    """
    words = [seed]
    for key in keys:
        if isinstance(key, str):
            key = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
        words.append(key)
    return np.random.default_rng(words)
