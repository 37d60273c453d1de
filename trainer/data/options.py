"""Data options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from trainer.common.options import at_least, flag, require
from trainer.data.cache import ShardCache, size_in_bytes
from trainer.data.store import Store
from trainer.errors import BadInput


class KeypointErrors(NamedTuple):
    """Simulated detector errors of keypoints; false if there are none."""

    noise: float = 0.0
    drop: float = 0.0
    gaps: float = 0.0

    def __bool__(self) -> bool:
        return any(self)


EXACT = KeypointErrors()
"""No keypoint errors."""


def keypoint_errors(config: object) -> KeypointErrors:
    """Return the keypoint errors of a command's config; BadInput for impossible values."""
    at_least(config, 0, "keypoint_noise")
    for name in ("keypoint_drop", "keypoint_gaps"):
        chance = getattr(config, name)
        require(0 <= chance <= 1, f"{flag(name)} must lie in [0, 1], got {chance}")
    return KeypointErrors(*(getattr(config, f"keypoint_{name}") for name in KeypointErrors._fields))


def require_size(text: str) -> None:
    """Raise BadInput for a --cache-size that is not a size."""
    try:
        size_in_bytes(text)
    except ValueError as error:
        raise BadInput(f"--cache-size: {error}") from None


def store_of(cache: Path | None, cache_size: str) -> Store:
    """Return the store that opens a command's shards; BadInput if its cache cannot be used."""
    return Store(ShardCache(cache.expanduser(), size_in_bytes(cache_size)) if cache else None)
