"""A process that runs tasks one after the other, and that another process's death cannot block.

Each worker has its own pipe to the driver. `concurrent.futures` has one queue for all, and a worker
that is killed while waiting on it never releases the queue's lock.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from datagen.cluster import threads
from datagen.cluster.outcome import GRACE, RECYCLE, Outcome, Task, attempt

SPAWN = multiprocessing.get_context("spawn")  # OpenGL and torch do not support fork


class Worker:
    """A new process; it ends when its driver releases it or dies."""

    def __init__(self) -> None:
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that its death closes the pipe
        self._tasks = 0

    def send(self, task: Task) -> None:
        """Send it a task. Raises OSError if it is dead."""
        self._tasks += 1
        self.connection.send(task)

    def outcome(self, task: Task) -> Outcome:
        """Wait for the outcome of its task."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):  # possibly in the middle of its answer
            self.process.join()
            code = self.process.exitcode or 0
            why = f"signal {-code}" if code < 0 else f"exit status {code}"
            return Outcome(task, reason=f"its worker died: {why}")

    @property
    def done(self) -> bool:
        """Whether it takes no more tasks, because it is dead or due for replacement."""
        return self._tasks >= RECYCLE or not self.process.is_alive()


def end(workers: Sequence[Worker]) -> None:
    """End the workers: each removes its unfinished file, or is killed after a while."""
    until = time.monotonic() + GRACE
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(max(0, until - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


def _serve(connection: Connection) -> None:
    """Run incoming tasks until the driver closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C
    threading.Thread(target=_follow_driver, daemon=True).start()
    threads.pin()
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_run(task))


def _follow_driver() -> None:
    """End this process soon after the driver: cleanly, or by force if it does not respond."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    wait([driver.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)


def _run(task: Task) -> Outcome:
    """Run a task; SIGTERM ends it cleanly. A worker that is idle or already ending just dies."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        return attempt(task)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)
