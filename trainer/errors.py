"""Errors that are not bugs: bad input, a stop by a signal."""

from __future__ import annotations

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk, a quota or a limit on files answers when there is no room."""
LONGEST = 1000
"""Letters of a sentence about a file, which may quote from it."""


class BadInput(Exception):
    """A file or value of the user's cannot be used; the message is one sentence with the reason.

    Not a ValueError: tyro would catch that while it builds a config and frame it. What a file puts
    into it is cut to LONGEST letters, and cannot steer a terminal.
    """

    def __init__(self, message: str) -> None:
        shown = "".join(c if c.isprintable() or c == "\n" else "?" for c in message[:LONGEST])
        super().__init__(shown + (" …" if len(message) > LONGEST else ""))


class Stopped(KeyboardInterrupt):
    """A signal ended the program cleanly; the message is how to continue."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason)
        self.status = 128 + number


def disk_fault(error: BaseException, folder: object) -> str:
    """Return a sentence if an error comes from a full or read-only disk, a file that is gone or
    too many open files, else "".

    Packages that write through our files (torch.save) raise errors of their own, which follow it.
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
