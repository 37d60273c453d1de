"""The one error a user's input may cause, and how the doors say it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import tyro

from trainer import helptext

Config = TypeVar("Config")


class BadInput(Exception):
    """A file or value of the user's cannot be used; the message is one sentence that says why.

    Not a ValueError: tyro would catch that while it builds a config and frame it.
    """


class Stopped(KeyboardInterrupt):
    """A signal ended the program in good order; the message says how to go on."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason)
        self.status = 128 + number


def run_door(config: type[Config], main: Callable[[Config], object], description: str) -> None:
    """Parse the command line into config, run main, and print bad input without a traceback.

    Status 2 means that a file or value of the user's is at fault, as in datagen.
    """
    module = sys.modules["__main__"].__spec__
    try:
        if {"-h", "--help"} & set(sys.argv[1:]):
            helptext.fill(config)
        prog = f"python -m {module.name}" if module else None
        main(tyro.cli(config, prog=prog, description=description))
    except BadInput as error:
        refuse(str(error))
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        if not error.filename:
            raise
        refuse(f"{error.filename}: {error.strerror}; name another path")
    except Stopped as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


def refuse(reason: str) -> NoReturn:
    """End the program and say why."""
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(2)
