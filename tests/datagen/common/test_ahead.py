"""Working ahead in a thread: the same items, the same errors, and nothing goes on afterwards."""

import threading
import time

import pytest

from datagen.common.ahead import ahead


def threads() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def test_items_come_in_their_order_and_the_thread_ends():
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert threads() == 0


def test_work_is_done_while_the_caller_is_busy():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number

    taken = ahead(items(), depth=2)
    assert next(taken) == 0
    for _ in range(100):
        if len(made) >= 3:
            break
        time.sleep(0.05)
    assert made[:3] == [0, 1, 2] and len(made) < 5  # ahead, but not without end
    taken.close()


def test_an_error_is_the_callers():
    def items():
        yield 1
        raise ValueError("broken at 2")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="broken at 2"):
        next(taken)
    assert threads() == 0


def test_whoever_stops_early_ends_the_source():
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    taken = ahead(items())
    assert next(taken) == 0
    taken.close()
    assert closed == [True] and threads() == 0
