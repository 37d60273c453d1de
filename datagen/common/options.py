"""Helpers for all option dataclasses: types, validation, conversion back to a command line."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from datagen.common.errors import BadInput, BadOption
from datagen.common.files import place


def _folder(text: str) -> Path:
    """Return an option's folder; raise BadOption if its URL cannot be opened."""
    try:
        return place(text)
    except BadInput as error:  # a ValueError, of which tyro would drop the message
        raise BadOption(str(error)) from None


Folder = Annotated[
    Path,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH|URL",
        instance_from_str=lambda words: _folder(words[0]),
        is_instance=lambda value: hasattr(value, "joinpath"),
        str_from_instance=lambda path: [str(path)],
    ),
]
"""Type of an option that takes a folder, or its URL as fsspec supports it."""


CODE = "code of "
"""Prefix of the identity's entries for user code, followed by the option's name."""


def require(ok: bool, rule: str) -> None:
    """Raise BadOption(rule) unless ok; all option classes reject values this way."""
    if not ok:
        raise BadOption(rule)


def named_object(name: str, option: str) -> Any:
    """Return the object `module:name` of a module in the working directory or an installed package.

    Only the command line may name code: never pass a name that was read from a file. Raises
    BadInput if the module or the name in it does not exist.
    """
    module, _, attribute = name.partition(":")
    if (here := os.getcwd()) not in sys.path:  # as `python -m` does; processes inherit it
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(
            f"{option} {name} cannot be imported ({error}); give module:name, with a "
            "module in the working directory or an installed package"
        ) from None


def own_code(name: str | None, option: str) -> dict[str, str]:
    """Return the identity's entry for the code `module:name`; {} if `name` is not of that form.

    It is the start of the SHA-256 of the module's own file, not of its imports.
    """
    if name is None or ":" not in name:
        return {}
    named_object(name, option)
    file = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    data = Path(file).read_bytes() if file else b""
    return {f"{CODE}{option}": hashlib.sha256(data).hexdigest()[:16]}


def option(name: str) -> str:
    """Return a field's name as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


def arguments(options: Any) -> list[str]:
    """Return the command line that gives a stage's options: only non-default ones."""
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
