"""Runs tasks on a local Ray, or on the cluster of --address, a submitted job or `ray start`."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from datagen.cluster import flow_pool, ray_address, ray_start, threads
from datagen.cluster.options import ClusterConfig
from datagen.cluster.outcome import GRACE, RECYCLE, TRIES, Outcome, Task, attempt
from datagen.common.errors import BadMachine
from datagen.common.files import CACHE_VARIABLE
from datagen.flow.options import FlowConfig

LOST_NODES = 20  # times that a task may lose its node, which does not count as a failed attempt
LOOK_EVERY = 2.0  # seconds between checks of the cluster's size


@dataclass(frozen=True)
class Try:
    """A task in flight, with the number of its attempt and of its cores."""

    task: Task
    number: int = 1
    lost: int = 0
    cores: int = 1


class Ray:
    """Keeps a bounded number of Ray tasks in flight; the cluster may grow and shrink."""

    def __init__(self, cfg: ClusterConfig) -> None:
        self.cfg = cfg
        self._flight: dict[Any, Try] = {}
        self._actors: list[Any] = []
        self._seen = -LOOK_EVERY

    def __enter__(self) -> Self:
        variables = dict(threads.VARIABLES)
        if CACHE_VARIABLE in os.environ:
            variables[CACHE_VARIABLE] = os.environ[CACHE_VARIABLE]
        ray_start.start(ray_address.joined(self.cfg.address), self.cfg.workers, variables)
        import ray
        import ray.exceptions

        self.ray, self.errors = ray, ray.exceptions
        # Ray's own retries are off: they would count a lost node as a failure of the task.
        self._attempt = ray.remote(max_retries=0, max_calls=RECYCLE)(_in_worker)
        return self

    def __exit__(self, *error: object) -> None:
        for running in self._flight:
            self.ray.cancel(
                running
            )  # raises KeyboardInterrupt in the task, so that its files are removed
        if self._flight:
            self.ray.wait(list(self._flight), num_returns=len(self._flight), timeout=GRACE)
        self.ray.shutdown()

    @property
    def workers(self) -> int:
        """Number of tasks at a time: the cluster's current cores, or fewer if requested."""
        self._look()
        return min(self.cfg.workers or self._cores, self._cores)

    def flow(self, cfg: FlowConfig) -> flow_pool.FlowPool | None:
        """Return flow actors for the cluster's current size, None if tasks estimate their own
        flow."""
        self._look()
        each = flow_pool.share(self.cfg, cfg, self._gpus)
        for _ in range(len(self._actors), flow_pool.count(self.cfg, cfg, self._gpus)):
            self._actors.append(flow_pool.start(cfg, each))
        actors = tuple(self._actors)
        return flow_pool.FlowPool(actors, each * len(actors), cfg.refined) if actors else None

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        queue = map(Try, tasks)
        again: deque[Try] = deque()
        while True:
            while len(self._flight) < self._room():
                following = again.popleft() if again else next(queue, None)
                if following is None:
                    break
                self._flight[self._submit(following)] = following
            if not self._flight:
                return
            self.ray.wait(list(self._flight), num_returns=1, timeout=LOOK_EVERY)
            running = list(self._flight)
            done, _ = self.ray.wait(running, num_returns=len(running), timeout=0)
            for one in done:
                tried = self._flight.pop(one)
                outcome, retry = self._judge(tried, one)
                if retry is None:
                    yield outcome
                else:
                    again.append(retry)

    def _room(self) -> int:
        """Return the number of tasks to keep in flight.

        It slightly exceeds the number of cores, so that tasks start without waiting for this loop
        and an autoscaler adds nodes for waiting tasks, a quarter of the cluster at a time.
        """
        if self.cfg.workers:
            return self.cfg.workers
        return self.workers + max(2, self.workers // 4)

    def _look(self) -> None:
        """Update the cluster's size, if the last check was a while ago."""
        if time.monotonic() - self._seen < LOOK_EVERY:
            return
        self._seen = time.monotonic()
        there = self.ray.cluster_resources()
        self._cores = max(1, int(there.get("CPU", 1)))
        self._gpus = there.get("GPU", 0.0)

    def _submit(self, tried: Try) -> Any:
        return self._attempt.options(num_cpus=tried.cores).remote(tried.task)

    def _judge(self, tried: Try, reference: Any) -> tuple[Outcome, Try | None]:
        """Return the outcome of a finished attempt, and the next attempt if worthwhile."""
        following = replace(tried, number=tried.number + 1)
        try:
            outcome = self.ray.get(reference)
        except self.errors.LocalRayletDiedError as error:  # every other task would fail too
            raise BadMachine(
                "this machine's Ray process (raylet) has ended: run the same command to continue"
            ) from error
        except self.errors.NodeDiedError as error:
            following = replace(tried, lost=tried.lost + 1)
            return _died(tried, error), following if following.lost < LOST_NODES else None
        except (self.errors.RuntimeEnvSetupError, self.errors.TaskUnschedulableError) as error:
            return replace(_died(tried, error), bad_machine=True), None
        except (self.errors.OutOfMemoryError, self.errors.WorkerCrashedError) as error:
            # Perhaps it ran out of memory: the next attempt holds more cores, so fewer tasks run
            # beside it.
            following = replace(following, cores=min(2 * tried.cores, self._widest()))
            outcome = _died(tried, error)
        except self.errors.RayError as error:
            outcome = _died(tried, error)
        again = outcome.worth_retrying and tried.number < TRIES
        return outcome, following if again else None

    def _widest(self) -> int:
        """Return the cores of the largest live node."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        return max([1, *(int(node.get("CPU", 0)) for node in nodes)])


def _in_worker(task: Task) -> Outcome:
    threads.pin()
    return attempt(task)


def _died(tried: Try, error: BaseException) -> Outcome:
    last = str(error).strip().splitlines()[-1]
    return Outcome(tried.task, reason=f"its worker died: {type(error).__name__}: {last}")
