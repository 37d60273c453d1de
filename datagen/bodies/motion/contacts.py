"""Compares the pelvis's path with the foot contacts, to check its unit and its axes.

A foot on the ground does not move, so the body's rotations alone determine the pelvis's path, in
metres and in the body's own world. A path in feet or inches has the same shape at another scale; a
path with permuted axes has another shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from datagen.bodies.motion.retarget import RATE, forward

_GAPS = (0.1, 0.02)  # seconds over which displacements are compared; tolerates a wrong frame rate
_SHORTEST = 1.0  # least duration in seconds
_SAMPLES = 3000
_FEET = (7, 8, 10, 11)
_AGREES = 0.8  # least correlation of agreeing paths; it is lower for climbing or flying
_MOVES = 0.01  # least RMS displacement in a gap, metres: idle sway is not informative
_GOES = 0.03  # the same, for axes
_STAYS = 0.15  # largest ratio of path to foot motion in place; at least 0.28 in 200 real takes
_TREADS = 0.3  # least foot motion in a second, metres


@dataclass(frozen=True)
class Ways:
    """Agreement of a path with the foot contacts.

    scale: metres per unit of the path according to the feet, None if undetermined; axes: whether
    the path has the body's axes, also true if undetermined.
    """

    scale: float | None
    axes: bool


def compare(
    rotations: np.ndarray, pelvis: np.ndarray, rate: float, rest: np.ndarray, up: np.ndarray
) -> Ways:
    """Return how the pelvis's path [N, 3] agrees with local rotations [N, 24, 4].

    rate: frames per second; rest: [24, 3] a body's rest joints, metres; up: [3] away from the
    ground.
    """
    if len(pelvis) < max(_SHORTEST * rate, 3):
        return Ways(None, True)
    gaps = [max(1, round(gap * rate)) for gap in _GAPS]
    first, *others = (_over(gap, rotations, pelvis, rest, up) for gap in gaps)
    if first.scale is None and first.axes:
        return next((ways for ways in others if ways.scale is not None), first)
    return first


def in_place(rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray) -> bool:
    """Return whether feet step or legs bend while the pelvis [N, 3] does not move.

    rotations: [N, 24, 4] local, at 30 fps; rest: as in `compare`.
    """
    count = round(RATE * _SHORTEST)
    if len(pelvis) <= count:
        return False
    feet = forward(rotations, np.zeros_like(pelvis), rest)[:, _FEET]
    standing = np.maximum(feet[1:, :, 1], feet[:-1, :, 1]).argmin(axis=1)
    steps = (feet[:-1] - feet[1:])[np.arange(len(standing)), standing]
    ways = np.cumsum(steps, axis=0), np.diff(pelvis, axis=0).cumsum(axis=0)
    gap = round(RATE * _GAPS[0])
    short = [rms(way[gap:] - way[:-gap]) for way in ways]
    long = [rms((way[count - 1 :] - way[: 1 - count])[:, [0, 2]]) for way in ways]
    stays = short[0] > _MOVES and short[1] < _STAYS * short[0]
    return stays or (long[0] > _TREADS and long[1] < _STAYS * long[0])


def rms(ways: np.ndarray) -> float:
    """Return the root of the mean squared length of ways [..., 3]."""
    return float(np.sqrt(np.mean(np.sum(ways**2, axis=1))))


def _over(
    gap: int, rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray, up: np.ndarray
) -> Ways:
    """Return the agreement of displacements over `gap` frames."""
    count = len(pelvis) - gap
    starts = np.unique(np.linspace(0, count - 1, min(count, _SAMPLES)).round().astype(int))
    here, there = (
        forward(rotations[frames], np.zeros((len(frames), 3)), rest)[:, _FEET]
        for frames in (starts, starts + gap)
    )
    standing = np.maximum(here @ up, there @ up).argmin(axis=1)
    each = np.arange(len(starts))
    by_feet = (here - there)[each, standing]
    by_path = pelvis[starts + gap] - pelvis[starts]
    sizes = [rms(way) for way in (by_feet, by_path)]
    if sizes[0] < _MOVES or sizes[1] < 1e-9:
        return Ways(None, True)
    products = by_feet.T @ by_path / (len(starts) * sizes[0] * sizes[1])
    own, best = float(np.trace(products)), max(float(np.sum(m * products)) for m in _TURNS)
    return Ways(
        scale=sizes[0] / sizes[1] if own > _AGREES else None,
        axes=not (sizes[0] > _GOES and best > _AGREES and own < 0.5 * best),
    )


def _turns() -> list[np.ndarray]:
    """Return all permutations and reflections of coordinate axes, 48 matrices [3, 3]."""
    return [
        np.eye(3)[list(order)] * signs
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]


_TURNS = _turns()
