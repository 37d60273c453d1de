"""The one error a user's input may cause, and how the doors say it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

Config = TypeVar("Config")


class BadInput(ValueError):
    """A file or value of the user's cannot be used; the message is one sentence that says why."""


def run_door(config: type[Config], main: Callable[[Config], None], description: str) -> None:
    """Parse the command line into config, run main, and print bad input without a traceback."""
    try:
        main(tyro.cli(config, description=description))
    except ValueError as error:
        if not isinstance(error, BadInput) and error.__traceback__ is not None:
            # A config refuses a value by a plain ValueError from __post_init__; any other
            # ValueError is a bug of ours and keeps its traceback.
            frames = []
            step = error.__traceback__
            while step is not None:
                frames.append(step.tb_frame.f_code.co_name)
                step = step.tb_next
            if "__post_init__" not in frames:
                raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
