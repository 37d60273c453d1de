"""A checksum inside an object of JSON: damage to it is found wherever it is read."""

from __future__ import annotations

import hashlib
import json
from typing import Any

FIELD = "check"
LENGTH = 16


def added(value: dict[str, Any]) -> dict[str, Any]:
    """Return the object with its checksum as the last field."""
    rest = removed(value)
    return {**rest, FIELD: _digest(rest)}


def removed(value: dict[str, Any]) -> dict[str, Any]:
    """Return the object without its checksum."""
    return {name: part for name, part in value.items() if name != FIELD}


def holds(value: Any) -> bool:
    """Return whether this is an object whose checksum is right; older ones have none."""
    if not isinstance(value, dict) or not value:
        return False
    *_, last = value  # by its place, as its name may be what is damaged
    right = value[last] == _digest({name: part for name, part in value.items() if name != last})
    return right if FIELD in value else not right


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:LENGTH]
