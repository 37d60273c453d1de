"""The one error a user's input may cause."""


class BadInput(ValueError):
    """A file or value of the user's cannot be used.

    The message is one sentence that names the file or value and says what to do; doors print it
    without a traceback, tasks turn it into a line of the quarantine.
    """
