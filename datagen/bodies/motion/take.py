"""A performance on its own skeleton, as returned by every reader of captured motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Take:
    """A performance on its own skeleton.

    rest: [K, 3] joint positions in the rest pose; rotations: [N, K, 4] world orientation of each
    joint relative to rest; positions: [N, K, 3] joints in the world, in the unit of rest; times:
    [N] seconds, increasing; roles: SMPL joint → source joint; lead: joints [K, 3] and rotations
    [K, 4] of the first frame, which may be a rest pose, or None.
    """

    rest: np.ndarray
    rotations: np.ndarray
    positions: np.ndarray
    times: np.ndarray
    roles: dict[int, int]
    lead: tuple[np.ndarray, np.ndarray] | None = None
