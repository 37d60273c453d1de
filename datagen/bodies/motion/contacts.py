"""A path of the pelvis against the feet that it walks on: its unit and its axes.

A foot that stands stays where it is, so that the body's rotations alone give the way of the
pelvis, in metres and in the body's own world. A path in feet or inches goes the same way at
another size; one whose axes are exchanged goes another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from datagen.bodies.motion.retarget import RATE, forward

_GAPS = (0.1, 0.02)  # seconds over which ways are compared; a rate may be too high by as much
_SHORTEST = 1.0  # seconds of motion at least
_SAMPLES = 3000
_FEET = (7, 8, 10, 11)
_AGREES = 0.8  # correlation of the two ways from which they are one; of who climbs or flies below
_MOVES = 0.01  # metres in a gap at least, RMS: an idle sway shows nothing
_GOES = 0.03  # the same, for axes
_STAYS = 0.15  # path over the feet's way of who stays in place; 0.28 and more in 200 real takes
_TREADS = 0.3  # metres that feet go in a second


@dataclass(frozen=True)
class Ways:
    """How a path agrees with the feet.

    scale: metres that one unit of the path is by the feet, None where they do not show it;
    axes: whether the path has the body's axes, true also where nothing shows it.
    """

    scale: float | None
    axes: bool


def compare(
    rotations: np.ndarray, pelvis: np.ndarray, rate: float, rest: np.ndarray, up: np.ndarray
) -> Ways:
    """Return how the path [N, 3] of the pelvis agrees with local rotations [N, 24, 4].

    rate: frames per second; rest [24, 3] a body's rest joints, metres; up [3] away from ground.
    """
    if len(pelvis) < max(_SHORTEST * rate, 3):
        return Ways(None, True)
    gaps = [max(1, round(gap * rate)) for gap in _GAPS]
    first, *others = (_over(gap, rotations, pelvis, rest, up) for gap in gaps)
    if first.scale is None and first.axes:
        return next((ways for ways in others if ways.scale is not None), first)
    return first


def in_place(rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray) -> bool:
    """Return if feet step or legs bend and the pelvis [N, 3] stays where it is.

    rotations [N, 24, 4] local, at 30 a second; rest as in `compare`.
    """
    count = round(RATE * _SHORTEST)
    if len(pelvis) <= count:
        return False
    feet = forward(rotations, np.zeros_like(pelvis), rest)[:, _FEET]
    standing = np.maximum(feet[1:, :, 1], feet[:-1, :, 1]).argmin(axis=1)
    steps = (feet[:-1] - feet[1:])[np.arange(len(standing)), standing]
    ways = np.cumsum(steps, axis=0), np.diff(pelvis, axis=0).cumsum(axis=0)
    gap = round(RATE * _GAPS[0])
    short = [_rms(way[gap:] - way[:-gap]) for way in ways]
    long = [_rms((way[count - 1 :] - way[: 1 - count])[:, [0, 2]]) for way in ways]
    stays = short[0] > _MOVES and short[1] < _STAYS * short[0]
    return stays or (long[0] > _TREADS and long[1] < _STAYS * long[0])


def _rms(ways: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum(ways**2, axis=1))))


def _over(
    gap: int, rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray, up: np.ndarray
) -> Ways:
    """Return what ways over so many frames show."""
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
    sizes = [_rms(way) for way in (by_feet, by_path)]
    if sizes[0] < _MOVES or sizes[1] < 1e-9:
        return Ways(None, True)
    products = by_feet.T @ by_path / (len(starts) * sizes[0] * sizes[1])
    own, best = float(np.trace(products)), max(float(np.sum(m * products)) for m in _TURNS)
    return Ways(
        scale=sizes[0] / sizes[1] if own > _AGREES else None,
        axes=not (sizes[0] > _GOES and best > _AGREES and own < 0.5 * best),
    )


def _turns() -> list[np.ndarray]:
    """Return all exchanges and reversals of coordinate axes, 48 matrices [3, 3]."""
    return [
        np.eye(3)[list(order)] * signs
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]


_TURNS = _turns()
