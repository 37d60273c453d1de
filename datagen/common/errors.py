"""Errors that are not bugs: bad inputs, invalid options, a machine that cannot run the task."""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from pathlib import Path

LONGEST = 1000
"""Most characters of a message, which may quote from a file."""


class BadInput(ValueError):
    """A file or value of the user's cannot be used.

    The message is one sentence that names the file or value and the remedy. Commands print it
    without a traceback; tasks write it to the quarantine. It is cut to LONGEST characters, and
    non-printable characters are replaced, because it may quote from a file.
    """

    def __init__(self, message: str) -> None:
        shown = "".join(c if c.isprintable() or c == "\n" else "?" for c in message[:LONGEST])
        super().__init__(shown + (" …" if len(message) > LONGEST else ""))


class BadMachine(RuntimeError):
    """This machine lacks something that every task needs.

    The message is one sentence that ends with the remedy. No input is at fault, so the run stops
    instead of quarantining them all.
    """


class BadOption(Exception):
    """Options are out of range or contradict each other; the message gives the rule and the value.

    Not a ValueError, because tyro would catch that while building the options and print it in a
    box.
    """


def near(path: Path) -> str:
    """Return " (do you mean X?)", X the entry of a missing path's folder with the nearest name; ""
    if none is near."""
    names: list[str] = []
    with suppress(OSError):
        names = [] if path.exists() else os.listdir(path.parent)
    # A name without its suffix is the likeliest slip of all.
    bare = [name for name in sorted(names) if name.partition(".")[0] == path.name]
    found = bare or difflib.get_close_matches(path.name, sorted(names), n=1)
    return f" (do you mean {path.with_name(found[0])}?)" if found else ""
