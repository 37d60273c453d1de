"""An iterator that prefetches in its own thread, so that two stages use two cores."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Full, Queue
from typing import TypeVar

Item = TypeVar("Item")
DEPTH = 2
"""Number of prefetched items."""


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item]:
    """Yield the items of an iterable, produced in a thread; its errors are raised here.

    The thread starts when the first item is requested and ends with this generator.
    """
    made: Queue[tuple[str, object]] = Queue(depth)
    ended = threading.Event()

    def put(kind: str, value: object) -> bool:
        while not ended.is_set():
            try:
                made.put((kind, value), timeout=0.1)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            if all(put("item", item) for item in items):
                put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = made.get()
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            yield value  # type: ignore[misc]
    finally:
        ended.set()
        thread.join()
        if isinstance(items, Generator):
            items.close()
