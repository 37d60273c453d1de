"""A checksum inside a JSON object, so that damage is detected on every read."""

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
    """Return whether this is an object with a correct checksum; older objects have none."""
    if not isinstance(value, dict) or not value:
        return False
    *_, last = value  # by position, because the field's name may be damaged
    right = value[last] == _digest({name: part for name, part in value.items() if name != last})
    return right if FIELD in value else not right


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:LENGTH]
