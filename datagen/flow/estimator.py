"""The common interface of all flow estimators: frames in, flow out.

Synthetic shards and real footage use the same estimator, so the network sees one kind of flow. The
estimator's own coarse grid is stored; the trainer upsamples it bilinearly (align_corners=False), as
FlowNetS does in its last step.
"""

# T+1 frames give T fields, S side of the crop, h = w = ceil(S / stride)

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from datagen.common.errors import BadInput

Flow = Callable[[np.ndarray], Callable[[], np.ndarray]]
"""Starts the estimate for a clip's frames and returns a function that waits for the flow, so that
another process can work while the next clip is made."""


@runtime_checkable
class Estimator(Protocol):
    """Optical flow of a clip."""

    name: str
    stride: int

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return the flow from every frame to the next.

        Args:
            frames: uint8 [T+1,S,S,3] RGB (any height and width are accepted).

        Returns:
            float16 [T,2,h,w], x then y, in pixels of the frames; cell (i,j) covers the pixels
            [i·stride, (i+1)·stride) × [j·stride, (j+1)·stride).

        Raises:
            BadInput: the frames have another type or shape.
        """
        ...


def check_frames(frames: np.ndarray) -> None:
    """Raise BadInput unless frames are uint8 [T+1,H,W,3], at least two, of at least 16 px."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        kind = getattr(frames, "dtype", type(frames).__name__)
        raise BadInput(f"Flow needs uint8 RGB frames, got {kind}: scale them to 0..255 first.")
    if frames.ndim != 4 or frames.shape[3] != 3:
        raise BadInput(f"Flow needs frames [T+1,H,W,3], got {list(frames.shape)}.")
    if frames.shape[0] < 2 or min(frames.shape[1:3]) < 16:
        raise BadInput(
            f"Flow needs at least two frames of 16 px or more, got {list(frames.shape)}."
        )


def pack(flow: np.ndarray, name: str) -> np.ndarray:
    """Return flow [T,2,h,w] as finite float16.

    Raises:
        BadInput: the flow has NaN or infinity, which only damaged weights cause.
    """
    if not np.isfinite(flow).all():
        raise BadInput(f"{name} gave NaN or infinite flow: its weights are damaged, load others.")
    limit = float(np.finfo(np.float16).max)
    return np.clip(flow, -limit, limit).astype(np.float16)
