"""Repairs short capture glitches, in which a joint jumps away and back.

Marker fits sometimes flip (in CMU's salsa takes, a pelvis rotates by 70 degrees within 8 ms). No
body rotates that fast, so such frames are interpolated between their valid neighbours.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import quaternion as quat

TRUNK_SPEED = 25.0  # rad/s; a spinning kick rotates the pelvis at about 15
LIMB_SPEED = 55.0  # rad/s; fast kicks and throws reach about 40
LONGEST = 0.4  # seconds; longer glitches are not repaired
_PAD = 0.025  # seconds before and after a glitch that are also replaced
_MERGE = 0.1  # longest calm in seconds between two jumps of one glitch
_TRUNK = (0, 3, 6, 9, 12, 15)


def bridge(world: dict[int, Float[np.ndarray, "n 4"]], times: Float[np.ndarray, " n"]) -> int:
    """Repair world orientations {SMPL joint: [N, 4]} in place; return the number of
    joint-frames."""
    steps = np.diff(times)
    repaired = 0
    for joint, turns in world.items():
        cosine = np.abs(np.sum(turns[1:] * turns[:-1], axis=1)).clip(0.0, 1.0)
        speed = 2.0 * np.arccos(cosine) / steps
        leaps = np.flatnonzero(speed > (TRUNK_SPEED if joint in _TRUNK else LIMB_SPEED))
        for first, last in _runs(leaps, times):
            # `first` is the last frame before the jump, `last` the first one after it
            before = int(np.searchsorted(times, times[first] - _PAD))
            after = min(int(np.searchsorted(times, times[last] + _PAD)), len(times) - 1)
            if before == 0 or after == len(times) - 1 or times[after] - times[before] > LONGEST:
                continue
            share = (times[before : after + 1] - times[before]) / (times[after] - times[before])
            turns[before : after + 1] = quat.slerp(turns[before], turns[after], share)
            repaired += after - before - 1
    return repaired


def _runs(leaps: np.ndarray, times: np.ndarray) -> list[tuple[int, int]]:
    """Return (frame before, frame after) of each glitch: a jump away and back, close in time.

    A single jump cannot be repaired this way, because the joint does not return.
    """
    runs: list[list[int]] = []
    for leap in leaps.tolist():
        if runs and times[leap] - times[runs[-1][1]] <= _MERGE:
            runs[-1][1] = leap + 1
            runs[-1][2] += 1
        else:
            runs.append([leap, leap + 1, 1])
    return [(first, last) for first, last, count in runs if count > 1]
