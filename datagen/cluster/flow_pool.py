"""Actors that estimate flow for all shard tasks, each with a GPU or a fraction of one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from datagen.cluster.options import ClusterConfig
from datagen.flow.options import FlowConfig

RESENDS = 3  # times that Ray resends a clip to an actor that died and was restarted
PATIENCE = 300.0
"""Seconds until a waiting clip is sent to another actor, because an actor whose node is gone may
never return. Time in an actor's queue counts, so there should be an actor for about every 20
workers."""


class FlowActor:
    """An estimator in its own process."""

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
    """Sends clips to actors; picklable, so that every task can have it."""

    actors: tuple[Any, ...]
    gpus: float = 0.0
    """GPUs of all actors together."""
    refined: bool = False
    """Whether the calling task refines what an actor returns: DIS takes a core, of which there are
    many, and would keep the GPU waiting."""

    def __call__(self, frames: np.ndarray) -> Callable[[], np.ndarray]:
        """Send a clip to one of the actors; return a function that waits for its flow."""
        import ray
        import ray.exceptions

        content = ray.put(frames)
        order = random.sample(self.actors, len(self.actors))  # any actor
        sent = order[0].estimate.remote(content)

        def wait() -> np.ndarray:
            nonlocal sent
            for following in order[1:]:
                try:
                    return ray.get(sent, timeout=PATIENCE)
                except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                    sent = following.estimate.remote(content)
            return ray.get(sent, timeout=PATIENCE)

        if not self.refined:
            return wait
        from datagen.flow.dis import search

        return lambda: search(frames, wait())


def share(cfg: ClusterConfig, flow: FlowConfig, gpus: float) -> float:
    """Return the GPUs per actor on a cluster with `gpus` GPUs; 0 means the CPU."""
    if cfg.flow_gpus is not None:
        return cfg.flow_gpus
    return 1.0 if gpus and flow.flow != "dis" else 0.0


def count(cfg: ClusterConfig, flow: FlowConfig, gpus: float) -> int:
    """Return the number of actors on a cluster with `gpus` GPUs; 0: each task has its own flow."""
    if cfg.flow_actors is not None:
        return cfg.flow_actors
    each = share(cfg, flow, gpus)
    # At least one if GPUs were requested: its demand makes an autoscaler add a GPU.
    return max(1, int(gpus / each)) if each else 0


def start(flow: FlowConfig, each: float) -> Any:
    """Start an actor with `each` GPUs; if it dies, Ray restarts it on any node with room."""
    import ray

    options = {"num_cpus": 0, "num_gpus": each, "max_restarts": -1, "max_task_retries": RESENDS}
    actor = ray.remote(**options)(FlowActor)
    return actor.remote(flow.network, "cuda" if each else "cpu")
