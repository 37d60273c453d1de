"""Errors that are not bugs: a bad input, an option out of range, a machine that lacks something."""

LONGEST = 1000
"""Letters of a sentence about a file, which may quote from it."""


class BadInput(ValueError):
    """A file or value of the user's cannot be used.

    The message is one sentence that names the file or value and what to do; commands print it
    without a traceback, tasks turn it into a line of the quarantine. What a file puts into it is
    cut to LONGEST letters, and cannot steer a terminal.
    """

    def __init__(self, message: str) -> None:
        shown = "".join(c if c.isprintable() or c == "\n" else "?" for c in message[:LONGEST])
        super().__init__(shown + (" …" if len(message) > LONGEST else ""))


class BadMachine(RuntimeError):
    """This machine lacks something that every task needs.

    The message is one sentence that ends with the command that fixes it. No input is at fault, so
    the run stops instead of putting them all into the quarantine.
    """


class BadOption(Exception):
    """Options are out of range or contradict each other; the message is the rule and the value.

    Not a ValueError: tyro would catch that while it builds the options and frame it.
    """
