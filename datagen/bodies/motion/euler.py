"""Poses given as Euler angles where SMPL's axis-angle vectors belong, seen by sliding feet.

Both are three numbers in radians and nearly equal for small turns. A foot that stands stays where
it is, so the reading under which the feet slide least is the file's own.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.contacts import rms
from datagen.common.errors import BadInput

_ORDERS = tuple(tuple(letters) for letters in ("xyz", "zyx", "zxy", "yxz", "yzx", "xzy"))
_LEGS = (0, 1, 2, 4, 5, 7, 8)
_GAP = 0.1  # seconds
_SAMPLES = 60
_SLIDES = 0.001  # metres in the gap; less is no evidence
_BETTER = 1.6  # times less; of 100 real takes at most 1.3 where the feet tell anything
_TELLS = 0.6  # sliding over the feet's way, under the better reading; above in flips


def refuse_euler(
    path: Path,
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rate: float,
    rest: Float[np.ndarray, "24 3"],
    upright: Float[np.ndarray, " 4"],
) -> None:
    """Raise BadInput if the vectors of a take make better sense as Euler angles.

    rotations [N, 24, 4] local, as made of the vectors and turned by `upright` to y up; pelvis
    [N, 3] metres, at `rate` a second; rest [24, 3] a body's rest joints.
    """
    gap = max(1, round(_GAP * rate))
    count = len(pelvis) - gap
    if count < 2:
        return
    starts = np.unique(np.linspace(0, count - 1, min(count, _SAMPLES)).round().astype(int))
    frames = np.concatenate([starts, starts + gap])
    legs = rotations[frames][:, _LEGS]
    way = pelvis[starts + gap] - pelvis[starts]
    own, _ = _sliding(legs, way, rest)
    if own < _SLIDES:
        return
    vectors = _vectors(legs, upright)
    for letters, fixed, root in product(_ORDERS, (True, False), (True, False)):
        turned = _from_euler(vectors, letters, fixed)
        turned[:, 0] = quat.multiply(upright, turned[:, 0]) if root else legs[:, 0]
        slides, goes = _sliding(turned, way, rest)
        if _BETTER * (slides + 0.5 * _SLIDES) < own and slides < _TELLS * goes:
            raise BadInput(
                f"{path}: its poses seem to be Euler angles: its feet slide "
                f"{own / max(slides, 1e-6):.1f} times less when they are read so; convert them to "
                "axis-angle vectors"
            )


def _sliding(turned: np.ndarray, way: np.ndarray, rest: np.ndarray) -> tuple[float, float]:
    """Return how far the lower feet slide and how far they go about the pelvis, RMS, metres.

    turned [2M, 7, 4] of `_LEGS`: M frames, then those one gap later; way [M, 3] of the pelvis
    between them.
    """
    feet = _feet(turned, rest)
    here, there = feet[: len(way)], feet[len(way) :]
    standing = np.maximum(here[..., 1], there[..., 1]).argmin(axis=1)
    by_feet = (here - there)[np.arange(len(way)), standing]
    return rms(by_feet - way), rms(by_feet)


def _feet(turned: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return ankles and balls of the feet [M, 4, 3] about the pelvis; turned [M, 7, 4]."""
    points = []
    for leg in ((1, 4, 7, 10), (2, 5, 8, 11)):
        world, above, point = turned[:, 0], 0, np.zeros((len(turned), 3))
        for joint in leg:
            point = point + quat.rotate(world, rest[joint] - rest[above])
            if joint in _LEGS:
                world = quat.multiply(world, turned[:, _LEGS.index(joint)])
            above = joint
            points.append(point)
    return np.stack([*points[2:4], *points[6:8]], axis=1)


def _vectors(rotations: np.ndarray, upright: np.ndarray) -> np.ndarray:
    """Return the vectors [M, 7, 3] of a file, of any length up to 2 pi: a turn's sign tells."""
    turns = rotations.copy()
    turns[:, 0] = quat.multiply(quat.inverse(upright), turns[:, 0])
    sine = np.linalg.norm(turns[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, turns[..., 3:])
    return turns[..., :3] * angle / np.maximum(sine, 1e-12)


def _from_euler(vectors: np.ndarray, letters: tuple[str, ...], fixed: bool) -> np.ndarray:
    """Return turns [M, 7, 4] about axes of these letters by the numbers in their order; about
    fixed axes or about the turned ones."""
    turns = np.broadcast_to(quat.IDENTITY, (*vectors.shape[:-1], 4))
    for column, letter in enumerate(letters):
        step = quat.about("xyz".index(letter), vectors[..., column])
        turns = quat.multiply(step, turns) if fixed else quat.multiply(turns, step)
    return np.array(turns)
