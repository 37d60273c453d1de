"""Which estimator a configuration names, loaded once a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from datagen.common.errors import BadInput
from datagen.common.files import sha256
from datagen.common.options import named_object
from datagen.flow.estimator import Estimator, check_frames, pack
from datagen.flow.options import FlowConfig


@lru_cache(maxsize=1)
def estimator(cfg: FlowConfig) -> Estimator:
    """Return the process's flow estimator; its weights are loaded once."""
    return load_estimator(cfg)


def load_estimator(cfg: FlowConfig, device: str = "cpu") -> Estimator:
    """Return the estimator that `cfg` names, ready on `device` (DIS knows only the CPU).

    Raises:
        BadInput: the checkpoint is missing, unreadable, unsafe or another network's.
    """
    if cfg.flow == "dis":
        from datagen.flow.dis import Dis

        return Dis()
    if ":" in cfg.flow:
        return OwnEstimator(cfg.flow, cfg.flow_weights, device)
    from datagen.flow.network import load_network  # imports torch

    network = load_network(cfg, device)
    if not cfg.refined:
        return network
    from datagen.flow.dis import Dis

    return Dis(start=network)


class OwnEstimator:
    """A user's estimator, `--flow module:factory`, with checked results.

    The factory takes the weights' path, or None, and the device, "cpu" or "cuda". It returns a
    callable with an attribute `stride`, which maps frames uint8 [T+1,H,W,3] RGB to the flow from
    each frame to the next, [T,2,ceil(H/stride),ceil(W/stride)], x then y, in pixels of the frames.
    """

    def __init__(self, name: str, weights: Path | None, device: str) -> None:
        self.name = name if weights is None else f"{name}-{sha256(weights)[:8]}"
        self._estimate = named_object(name, "--flow")(weights, device)
        stride = getattr(self._estimate, "stride", None)
        if not isinstance(stride, int) or stride < 1 or not callable(self._estimate):
            raise BadInput(f"--flow {name} must return a callable with an integer `stride`")
        self.stride = stride

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        check_frames(frames)
        flow = np.asarray(self._estimate(frames))
        height, width = (-(-side // self.stride) for side in frames.shape[1:3])
        expected = (len(frames) - 1, 2, height, width)
        if flow.shape != expected:
            raise BadInput(
                f"--flow {self.name} returned {list(flow.shape)} for frames {list(frames.shape)}; "
                f"with its stride of {self.stride} it must be {list(expected)}"
            )
        return pack(flow, self.name)
