"""A few actors that estimate flow for all shard tasks, each with a GPU or a part of one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from datagen.cluster.options import ClusterConfig
from datagen.flow.options import FlowConfig

RESENDS = 3  # times that Ray sends a clip again to an actor that died and was restarted
PATIENCE = 300.0
"""Seconds until a clip that waits is sent to another actor: one whose node is gone may never come
back. The wait in an actor's queue counts, so a fleet needs an actor for each 20 workers or so."""


class FlowActor:
    """One process's estimator."""

    def __init__(self, cfg: FlowConfig, device: str) -> None:
        from datagen.cluster import threads
        from datagen.flow.load import load_estimator

        threads.pin()
        self._estimate = load_estimator(cfg, device)

    def estimate(self, frames: np.ndarray) -> np.ndarray:
        """Return float16 [T,2,h,w] of uint8 [T+1,S,S,3]; see datagen.flow.estimator."""
        return self._estimate(frames)


@dataclass(frozen=True)
class FlowPool:
    """Sends clips to actors; picklable, so that every task can hold it."""

    actors: tuple[Any, ...]
    gpus: float = 0.0
    """GPUs that they hold, all together."""

    def __call__(self, frames: np.ndarray) -> Callable[[], np.ndarray]:
        """Send a clip to one of the actors; return the call that waits for its flow."""
        import ray
        import ray.exceptions

        content = ray.put(frames)
        order = random.sample(self.actors, len(self.actors))  # any will do
        sent = order[0].estimate.remote(content)

        def wait() -> np.ndarray:
            nonlocal sent
            for following in order[1:]:
                try:
                    return ray.get(sent, timeout=PATIENCE)
                except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                    sent = following.estimate.remote(content)
            return ray.get(sent, timeout=PATIENCE)

        return wait


def share(cfg: ClusterConfig, flow: FlowConfig, gpus: float) -> float:
    """Return the GPUs of one actor on a cluster that has `gpus`; 0 is the CPU."""
    if cfg.flow_gpus is not None:
        return cfg.flow_gpus
    return 1.0 if gpus and flow.flow != "dis" else 0.0


def count(cfg: ClusterConfig, flow: FlowConfig, gpus: float) -> int:
    """Return the number of actors on a cluster that has `gpus`; 0: each task does its own flow."""
    if cfg.flow_actors is not None:
        return cfg.flow_actors
    each = share(cfg, flow, gpus)
    # At least one where GPUs were asked for: its demand makes an autoscaler bring a GPU.
    return max(1, int(gpus / each)) if each else 0


def start(flow: FlowConfig, each: float) -> Any:
    """Start an actor with `each` GPUs that Ray restarts wherever there is room when it dies."""
    import ray

    options = {"num_cpus": 0, "num_gpus": each, "max_restarts": -1, "max_task_retries": RESENDS}
    actor = ray.remote(**options)(FlowActor)
    return actor.remote(flow, "cuda" if each else "cpu")
