"""Estimates from walking and falling whether a motion has the wrong frame rate.

A wrong or missing frame rate does not affect single poses. But bodies fall with g, and the walk
ratio, step length over cadence, is nearly constant over speeds (Sekiya & Nagasaki 1998), whereas a
wrong rate changes only the cadence. A walk that is played several times too slowly hardly moves, so
it is also tested at correspondingly higher speeds.

Letters: N frames at 30 fps.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from datagen.bodies.motion.retarget import RATE, forward, leg_length, sole_heights

GRAVITY = 9.81
COMMON = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 100.0, 120.0, 150.0, 180.0, 200.0, 240.0, 250.0)
"""Common frame rates of cameras and motion capture."""

_MASS = {
    0: 0.142, 3: 0.1, 6: 0.1, 9: 0.156, 15: 0.081, 1: 0.1, 2: 0.1, 4: 0.047, 5: 0.047, 7: 0.015,
    8: 0.015, 16: 0.028, 17: 0.028, 18: 0.016, 19: 0.016, 20: 0.006, 21: 0.006,
}  # fmt: skip
"""Share of the body's mass at each joint (Winter, Biomechanics, table 4.1)."""

_CLEAR = 0.06  # least height in metres of the body above the floor in flight
_FLIGHT = 4  # least number of frames
_RESIDUE = 0.01  # largest deviation in metres of a fall from a parabola
_FASTEST_FALL = 18.0  # m/s²; flight phases in real takes have 8.5 to 11
_LEG = 0.83  # leg length in metres to which the limits below refer
_GOING = 0.35  # least speed of the pelvis for locomotion, m/s
_LEAST = 20  # fewest frames of locomotion
_STEADY = (0.93, 1.35)  # speed over step length times cadence when walking; lower for dancers,
# higher for runners
_RATIOS = (0.22, 0.52)  # walk ratio, m/(steps/s); 0.26 to 0.47 in 60 real walks
_USUAL = 0.34
_FAR = 2.0  # least metres of a slow walk; swaying, boxing or directing traffic stay in place
_SLOW = (2, 3, 4, 5)  # slow-down factors at which a walk is not recognised as one
_WALKS = (0.25, 0.47)  # walk ratio of motions that look like a walk only when sped up


def speed_factor(
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "24 3"],
) -> float | None:
    """Return the factor by which a motion is too fast, None if its speed is plausible.

    rotations: [N, 24, 4] local; pelvis: [N, 3] metres, y up and soles on y = 0; rest: [24, 3] the
    body's rest joints.
    """
    joints = forward(rotations, pelvis, rest)
    soles = sole_heights(rotations, pelvis, rest).min(axis=(1, 2))
    lowest = np.minimum(soles, joints[..., 1].min(axis=1))
    lowest = lowest - np.quantile(lowest, 0.1)
    fall = _fall(joints, lowest)
    if fall is not None and fall > _FASTEST_FALL:
        return float(np.sqrt(fall / GRAVITY))
    size = leg_length(rest) / _LEG
    goes_far = np.ptp(joints[:, 0, [0, 2]], axis=0).max() > _FAR * size
    ratio = _walk_ratio(joints, lowest, size)
    if ratio is not None:
        seems_right = ratio >= _RATIOS[0] and (ratio <= _RATIOS[1] or not goes_far)
        return None if seems_right else float(_USUAL / ratio)
    for times in _SLOW if goes_far else ():
        ratio = _walk_ratio(joints[::times], lowest[::times], size)
        if ratio is not None and _WALKS[0] <= ratio <= _WALKS[1]:
            return float(_USUAL / ratio) / times
    return None


def nearest_rate(rate: float) -> float:
    """Return the common frame rate with the closest ratio."""
    return min(COMMON, key=lambda usual: abs(np.log(usual / rate)))


def _fall(joints: np.ndarray, lowest: np.ndarray) -> float | None:
    """Return the median acceleration of the centre of mass in free flight, m/s²."""
    places = list(_MASS)
    mass = np.array(list(_MASS.values())) / sum(_MASS.values())
    height = joints[:, places, 1] @ mass
    edges = np.diff(np.pad((lowest > _CLEAR).astype(int), 1))
    found = []
    for first, stop in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        if stop - first < _FLIGHT:
            continue
        times = np.arange(stop - first) / RATE
        curve = np.polyfit(times, height[first:stop], 2)
        if np.abs(np.polyval(curve, times) - height[first:stop]).max() < _RESIDUE:
            found.append(-2.0 * curve[0])
    return float(np.median(found)) if found else None


def _walk_ratio(joints: np.ndarray, lowest: np.ndarray, size: float) -> float | None:
    """Return step length over cadence, m/(steps/s), for a leg of _LEG; None if nobody walks.

    The distance between the ankles along the path oscillates like a sine: its amplitude is the step
    length, its frequency gives the cadence.
    """
    if len(joints) < _LEAST:
        return None
    path = gaussian_filter1d(joints[:, 0], 3.0, axis=0, mode="nearest")[:, [0, 2]]
    velocity = np.gradient(path, axis=0) * RATE
    speed = np.linalg.norm(velocity, axis=1)
    going = speed > _GOING * size
    if going.sum() < _LEAST or np.mean(lowest[going] > _CLEAR) > 0.05:
        return None
    way = velocity / np.maximum(speed, 1e-9)[:, None]
    apart = np.sum((joints[:, 7] - joints[:, 8])[:, [0, 2]] * way, axis=1)
    swing = np.gradient(apart) * RATE
    size_of = [float(np.sqrt(np.mean(values[going] ** 2))) for values in (apart, swing)]
    length, cadence = np.sqrt(2.0) * size_of[0], size_of[1] / max(np.pi * size_of[0], 1e-9)
    steady = float(np.median(speed[going])) / max(length * cadence, 1e-9)
    if length < 0.3 * size or not _STEADY[0] <= steady <= _STEADY[1]:
        return None
    return length / cadence / size
