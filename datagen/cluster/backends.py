"""Three backends for the same tasks: this process, processes of this machine, Ray.

Each is a context manager whose `run` yields outcomes as tasks finish, with a bounded number in
flight; what a task returns never depends on the way.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, Self

from datagen.cluster import threads
from datagen.cluster.options import ClusterConfig
from datagen.cluster.outcome import GRACE, RECYCLE, TRIES, Outcome, Task, attempt
from datagen.flow.estimator import Flow
from datagen.flow.options import FlowConfig


class Backend(Protocol):
    """Runs tasks, some at a time; leaving it ends those that still run, without a trace."""

    @property
    def workers(self) -> int:
        """Tasks at a time."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def flow(self, cfg: FlowConfig) -> Flow | None:
        """Return what estimates flow for all tasks, None if each does it itself."""
        ...

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]: ...


def open_backend(cfg: ClusterConfig) -> Backend:
    """Return the backend of the configuration, to be used as a context manager."""
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
    """A pool of processes on this machine, without Ray."""

    def __init__(self, cfg: ClusterConfig) -> None:
        self.workers = cfg.workers or os.cpu_count() or 1

    def __enter__(self) -> Self:
        os.environ.update(threads.VARIABLES)  # inherited by the workers
        self.pool = self._pool()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0]:
            self._end()
        self.pool.shutdown(cancel_futures=True)

    def flow(self, cfg: FlowConfig) -> None:
        return None

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        queue = ((task, 1) for task in tasks)
        again: deque[tuple[Task, int]] = deque()
        flight: dict[Future[Outcome], tuple[Task, int]] = {}
        while True:
            while len(flight) < self.workers:
                item = again.popleft() if again else next(queue, None)
                if item is None:
                    break
                flight[self._submit(item[0])] = item
            if not flight:
                return
            done, _ = wait(flight, return_when=FIRST_COMPLETED)
            if any(map(_broken, done)):  # a dead worker takes the pool and all in flight with it
                wait(flight)
                done = set(flight)
                self._renew()
            for future in done:
                task, tries = flight.pop(future)
                if _broken(future):
                    yield self._alone(task)
                elif (outcome := future.result()).worth_retrying and tries < TRIES:
                    again.append((task, tries + 1))
                else:
                    yield outcome

    def _alone(self, task: Task) -> Outcome:
        """Run a task that was in flight when a worker died; alone, so that none is blamed for
        another's death."""
        for _ in range(TRIES):
            future = self._submit(task)
            if _broken(future):
                self._renew()
            outcome = _result(future, task)
            if not outcome.worth_retrying:
                break
        return outcome

    def _submit(self, task: Task) -> Future[Outcome]:
        try:
            return self.pool.submit(_run, task)
        except BrokenProcessPool as error:
            future: Future[Outcome] = Future()
            future.set_exception(error)
            return future

    def _end(self) -> None:
        """Stop what runs: each worker removes its unfinished file, or is killed after a while."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + GRACE
        workers = multiprocessing.active_children()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(max(0, until - time.monotonic()))
            worker.kill()

    def _renew(self) -> None:
        self.pool.shutdown()
        self.pool = self._pool()

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.workers,
            mp_context=multiprocessing.get_context("spawn"),  # OpenGL and Torch dislike fork
            initializer=_start,
            max_tasks_per_child=RECYCLE,
        )


def _start() -> None:
    """Prepare a worker: Ctrl-C is the driver's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threads.pin()


def _run(task: Task) -> Outcome:
    """Run a task; SIGTERM ends it tidily. A worker without one, or leaving already, just dies."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        return attempt(task)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _broken(future: Future[Outcome]) -> bool:
    """Return whether the finished (or awaited) task's pool has lost a worker."""
    return isinstance(future.exception(), BrokenProcessPool)


def _result(future: Future[Outcome], task: Task) -> Outcome:
    error = future.exception()
    return future.result() if error is None else _died(task, error)


def _died(task: Task, error: BaseException) -> Outcome:
    last = str(error).strip().splitlines()[-1]
    return Outcome(task, reason=f"its worker died: {type(error).__name__}: {last}")
