"""Which estimator a configuration names, loaded once a process."""

from __future__ import annotations

from functools import lru_cache

from datagen.flow.estimator import Estimator
from datagen.flow.options import FlowConfig


@lru_cache(maxsize=1)
def estimator(cfg: FlowConfig) -> Estimator:
    """Return the process's flow estimator; its weights are loaded once."""
    return load_estimator(cfg)


def load_estimator(cfg: FlowConfig, device: str = "cpu") -> Estimator:
    """Return the estimator that `cfg` names, ready on `device` (DIS knows only the CPU).

    Raises:
        BadInput: a checkpoint that is missing, unreadable, unsafe or another network's.
    """
    if cfg.flow == "dis":
        from datagen.flow.dis import Dis

        return Dis()
    from datagen.flow.network import load_network  # imports torch

    return load_network(cfg, device)
