"""Errors that are not bugs: bad input, a stop by a signal."""

from __future__ import annotations

import difflib
import errno
import os
from contextlib import suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exceeded quota and a file size limit."""
LONGEST = 1000
"""Longest error message, characters; a message may quote from a file."""


class BadInput(Exception):
    """A file or value of the user's cannot be used; the message is one sentence with the reason.

    Not a ValueError, which tyro would catch while it builds a config and print in a box. The
    message is cut to LONGEST characters and has no terminal control characters.
    """

    def __init__(self, message: str) -> None:
        shown = "".join(c if c.isprintable() or c == "\n" else "?" for c in message[:LONGEST])
        super().__init__(shown + (" …" if len(message) > LONGEST else ""))


class Stopped(KeyboardInterrupt):
    """A signal ended the program cleanly; the message says how to continue."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason)
        self.status = 128 + number


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


def disk_fault(error: BaseException, folder: object) -> str:
    """Return a sentence if an error comes from a full or read-only disk, a file that is gone or
    too many open files, else "".

    Packages that write through our files (torch.save) raise their own errors, with ours as context.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return f"no space is left in {folder}: free some, then run the same command again"
        if isinstance(cause, OSError) and cause.errno == errno.EROFS:
            return f"{folder} cannot be written: make it writable, then run the same command again"
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return "too many files are open: raise the limit (`ulimit -n 1024`), then run it again"
        if isinstance(cause, FileNotFoundError) and cause.filename:
            return f"{cause.filename} is not there, or has been removed; run the same command again"
        cause = cause.__context__
    return ""
