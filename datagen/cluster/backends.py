"""Three ways to run the same tasks: here, in processes of this machine, on Ray.

Each is a context manager whose `run` yields outcomes as tasks finish, with a bounded number in
flight; what a task returns never depends on the way.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Protocol, Self

from datagen.cluster import threads
from datagen.cluster.outcome import Outcome, Task, attempt
from datagen.config import ClusterConfig
from datagen.errors import BadInput

TRIES = 3  # attempts at a task whose worker died or that failed for no fault of its input
RECYCLE = 16  # tasks after which a worker process is replaced; OpenGL drivers leak


class Backend(Protocol):
    """Runs tasks; `workers` is how many at a time."""

    workers: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]: ...


def open_backend(cfg: ClusterConfig) -> Backend:
    """Return the backend of the configuration, to be used as a context manager."""
    kinds = {"ray": Ray, "processes": Processes, "serial": Serial}
    return kinds[cfg.backend](cfg)


class Serial:
    """One task after the other in this process: for debugging."""

    def __init__(self, cfg: ClusterConfig) -> None:
        self.workers = 1

    def __enter__(self) -> Self:
        threads.pin()
        return self

    def __exit__(self, *error: object) -> None:
        pass

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
        self.pool.shutdown(cancel_futures=True)

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
            return self.pool.submit(attempt, task)
        except BrokenProcessPool as error:
            future: Future[Outcome] = Future()
            future.set_exception(error)
            return future

    def _renew(self) -> None:
        self.pool.shutdown()
        self.pool = self._pool()

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.workers,
            mp_context=multiprocessing.get_context("spawn"),  # OpenGL and Torch dislike fork
            initializer=threads.pin,
            max_tasks_per_child=RECYCLE,
        )


class Ray:
    """A local Ray, or the cluster that --address, RAY_ADDRESS or a submitted job names."""

    def __init__(self, cfg: ClusterConfig) -> None:
        self.cfg = cfg
        self.workers = 0

    def __enter__(self) -> Self:
        # Without these Ray warns about a future default and asks about usage reports.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray.exceptions

        self.ray, self.errors = ray, ray.exceptions
        joins = self.cfg.address or os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if not joins:
            options |= {"num_cpus": self.cfg.workers, "include_dashboard": False}
        try:
            ray.init(self.cfg.address, runtime_env={"env_vars": threads.VARIABLES}, **options)
        except ConnectionError as error:
            raise BadInput(
                f"no Ray cluster answers at {joins!r} ({error}); start one with `ray start --head`,"
                f" or leave --address away for a local Ray"
            ) from None
        cores = int(ray.cluster_resources().get("CPU", 1))
        self.workers = min(self.cfg.workers or cores, cores)
        self.attempt = ray.remote(num_cpus=1, max_calls=RECYCLE, max_retries=TRIES - 1)(_in_worker)
        return self

    def __exit__(self, *error: object) -> None:
        self.ray.shutdown()

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        def submit(task: Task, tries: int) -> None:
            flight[self.attempt.remote(task)] = (task, tries)

        queue = iter(tasks)
        flight: dict[Any, tuple[Task, int]] = {}
        for task in islice(queue, self.workers):
            submit(task, 1)
        while flight:
            (done,), _ = self.ray.wait(list(flight), num_returns=1)
            task, tries = flight.pop(done)
            try:
                outcome = self.ray.get(done)
            except self.errors.RayError as error:  # the worker or its node died
                outcome = _died(task, error)
            if outcome.worth_retrying and tries < TRIES:
                submit(task, tries + 1)
                continue
            for following in islice(queue, 1):
                submit(following, 1)
            yield outcome


def _in_worker(task: Task) -> Outcome:
    threads.pin()
    return attempt(task)


def _broken(future: Future[Outcome]) -> bool:
    """Return whether the finished (or awaited) task's pool has lost a worker."""
    return isinstance(future.exception(), BrokenProcessPool)


def _result(future: Future[Outcome], task: Task) -> Outcome:
    error = future.exception()
    return future.result() if error is None else _died(task, error)


def _died(task: Task, error: BaseException) -> Outcome:
    last = str(error).strip().splitlines()[-1]
    return Outcome(task, reason=f"its worker died: {type(error).__name__}: {last}")
