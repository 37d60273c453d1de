"""Checks of option values, and the spelling of options."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from trainer.errors import BadInput


def require(ok: bool, rule: str) -> None:
    """Raise BadInput(rule) unless ok; all configs refuse values with it."""
    if not ok:
        raise BadInput(rule)


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


def flag(name: str, on: bool = True) -> str:
    """Return a field's name as a command-line option: --batch-size; if off: --no-flip."""
    return f"--{'' if on else 'no-'}{name.replace('_', '-')}"


def at_least(config: object, least: int, *names: str) -> None:
    """Raise BadInput if one of these fields is set and smaller."""
    for name in names:
        value = getattr(config, name)
        rule = f"{flag(name)} must be at least {least}, got {value}"
        require(value is None or value >= least, rule)
