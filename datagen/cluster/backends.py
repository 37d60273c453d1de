"""Three backends for the same tasks: this process, local processes, Ray.

Each is a context manager whose `run` yields outcomes as tasks finish, with a bounded number in
flight. A task's result does not depend on the backend.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, Protocol, Self

from datagen.cluster import threads
from datagen.cluster.options import ClusterConfig
from datagen.cluster.outcome import TRIES, Outcome, Task, attempt
from datagen.cluster.worker import Worker, end
from datagen.flow.estimator import Flow
from datagen.flow.options import FlowConfig


class Backend(Protocol):
    """Runs several tasks at a time; leaving it ends running tasks and removes their files."""

    @property
    def workers(self) -> int:
        """Number of tasks at a time."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def flow(self, cfg: FlowConfig) -> Flow | None:
        """Return the shared flow estimator, None if each task estimates its own flow."""
        ...

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]: ...


def open_backend(cfg: ClusterConfig) -> Backend:
    """Return the configured backend, to be used as a context manager."""
    if cfg.backend == "ray":
        from datagen.cluster.on_ray import Ray

        return Ray(cfg)
    return Processes(cfg) if cfg.backend == "processes" else Serial()


class Serial:
    """One task after the other in this process: for debugging."""

    workers = 1

    def __enter__(self) -> Self:
        threads.pin()
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def flow(self, cfg: FlowConfig) -> None:
        return None

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        return map(attempt, tasks)


class Processes:
    """Worker processes on this machine, without Ray."""

    def __init__(self, cfg: ClusterConfig) -> None:
        self.workers = cfg.workers or os.cpu_count() or 1
        self._idle: list[Worker] = []
        self._busy: dict[Any, tuple[Worker, Task, int]] = {}

    def __enter__(self) -> Self:
        os.environ.update(threads.VARIABLES)  # inherited by the workers
        return self

    def __exit__(self, *error: object) -> None:
        end([*self._idle, *(worker for worker, *_ in self._busy.values())])

    def flow(self, cfg: FlowConfig) -> None:
        return None

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        queue = ((task, 1) for task in tasks)
        again: deque[tuple[Task, int]] = deque()
        while True:
            while len(self._busy) < self.workers:
                following = again.popleft() if again else next(queue, None)
                if following is None:
                    break
                worker = self._send(following[0])
                self._busy[worker.connection] = (worker, *following)
            if not self._busy:
                return
            for connection in wait(list(self._busy)):
                worker, task, tries = self._busy.pop(connection)
                outcome = worker.outcome(task)
                if worker.done:
                    connection.close()  # type: ignore[union-attr]
                else:
                    self._idle.append(worker)
                if outcome.worth_retrying and tries < TRIES:
                    again.append((task, tries + 1))
                else:
                    yield outcome

    def _send(self, task: Task) -> Worker:
        """Send the task to an idle worker, or to a new one; return the worker."""
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.send(task)
            except OSError:  # it died while idle
                worker.process.join()
                continue
            return worker
        worker = Worker()
        with suppress(OSError):  # it has died already; `outcome` will report that
            worker.send(task)
        return worker
