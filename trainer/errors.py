"""The errors that are nobody's programming mistake: a bad input, a stop by a signal."""

from __future__ import annotations


class BadInput(Exception):
    """A file or value of the user's cannot be used; the message is one sentence with the reason.

    Not a ValueError: tyro would catch that while it builds a config and frame it.
    """


class Stopped(KeyboardInterrupt):
    """A signal ended the program cleanly; the message is how to continue."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason)
        self.status = 128 + number
