"""Train, validation and test splits that share no subject and no video."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

from datagen.common.errors import BadInput

Split = Literal["train", "val", "test", "all"]
HELD_OUT = 0.1  # share of the groups in val; test has the same share


def drawn(names: Iterable[str], limit: int | None) -> set[str]:
    """Return at most `limit` names, drawn uniformly; all of them if `limit` is None."""
    return set(_shuffled(names)[:limit])


def in_split(groups: Iterable[str], split: Split, what: str) -> set[str]:
    """Return the groups (subjects, videos) that belong to `split`.

    Groups are sorted by the SHA-256 of their names; the first tenth is test, the second val, the
    rest train. With fewer than three groups, all are train.

    Raises BadInput if the split is empty; `what` names the groups in its message.
    """
    ordered = _shuffled(groups)
    held = max(1, round(HELD_OUT * len(ordered))) if len(ordered) >= 3 else 0
    parts: dict[str, list[str]] = {
        "test": ordered[:held],
        "val": ordered[held : 2 * held],
        "train": ordered[2 * held :],
        "all": ordered,
    }
    if not parts[split]:
        raise BadInput(
            f"--split {split} is empty: {len(ordered)} {what} are too few to split three ways; "
            "add more or use --split all"
        )
    return set(parts[split])


def _shuffled(names: Iterable[str]) -> list[str]:
    """Return the distinct names, sorted by their SHA-256."""
    return sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
