"""Ctrl-C and SIGTERM as a flag that a loop polls, so that no step is interrupted midway."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interrupt:
    """As a context, notes the first of each signal in `number`; a second one acts as usual.

    Only the main thread may set handlers. With on=False it does nothing: of several ranks, each
    would stop at another step and wait for the others. An ignored signal stays ignored (nohup).
    """

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.number: int | None = None
        self.former: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM) if self.on else ():
            former = signal.getsignal(number)
            if former in (signal.SIG_IGN, None):
                continue
            try:
                signal.signal(number, self.note)
            except ValueError:  # not the main thread
                break
            self.former[number] = former
        return self

    def note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(number, self.former.pop(number))

    def restore(self) -> None:
        for number, former in self.former.items():
            signal.signal(number, former)
        self.former.clear()

    def __exit__(self, *error: object) -> None:
        self.restore()
