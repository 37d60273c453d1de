"""Shared by all option dataclasses: types, validation, conversion back to a command line."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from datagen.common.errors import BadOption
from datagen.common.files import place

Folder = Annotated[
    Path,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH|URL",
        instance_from_str=lambda words: place(words[0]),
        is_instance=lambda value: hasattr(value, "joinpath"),
        str_from_instance=lambda path: [str(path)],
    ),
]
"""An option that takes a folder, or the URL of one that fsspec knows."""


def require(ok: bool, rule: str) -> None:
    """Raise BadOption(rule) unless ok: the one way configs refuse a value."""
    if not ok:
        raise BadOption(rule)


def option(name: str) -> str:
    """Return a field's name as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


def arguments(options: Any) -> list[str]:
    """Return the command line that gives a stage's options: what differs from the default."""
    words: list[str] = []
    for name in (item.name for item in fields(options)):
        value = getattr(options, name)
        if value == getattr(type(options)(), name):
            continue
        if isinstance(value, bool):
            words.append(option(name if value else f"no_{name}"))
        else:
            words += [option(name), *map(str, value if isinstance(value, tuple) else (value,))]
    return words
