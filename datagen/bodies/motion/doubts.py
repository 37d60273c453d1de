"""What contradicts a motion that was read: sentences for the user, as nothing is refused for them.

Letters: N frames at 30 a second.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import tempo
from datagen.bodies.motion.contacts import in_place
from datagen.bodies.motion.convention import SHORTEST, Convention, unit_note
from datagen.bodies.motion.retarget import RATE


def doubts(
    path: Path,
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "24 3"],
    convention: Convention,
    assumed: float | None,
) -> str:
    """Return what a user should know of a file's motion, "" if it seems to be right.

    rotations [N, 24, 4] local, pelvis [N, 3] with y up, metres; rest [24, 3] the body's rest
    joints; assumed: the frame rate that was taken for granted, None if the file names one.
    """
    notes = []
    if len(pelvis) < SHORTEST * RATE:
        notes.append(
            f"{path}: lasts {len(pelvis) / RATE:.1f} s, too short to show whether its unit and "
            "frame rate are right; give longer takes"
        )
    if convention.rate is None:
        notes.append(_rate_note(path, rotations, pelvis, rest, assumed))
    if convention.unit is not None and path.suffix.lower() == ".npz":
        notes.append(unit_note(path, rotations, pelvis, rest, convention.unit))
    if in_place(rotations, pelvis, rest):
        notes.append(
            f"{path}: its people move on the spot, as on a treadmill; export it with the root's "
            "motion if they did go"
        )
    return "; ".join(filter(None, notes))


def _rate_note(
    path: Path, rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray, assumed: float | None
) -> str:
    """Return what contradicts a frame rate, "" if nothing does."""
    factor = tempo.speed_factor(rotations, pelvis, rest)
    if factor is None:
        return ""
    how = "fast" if factor > 1 else "slow"
    times = max(factor, 1 / factor)
    seems = f"{path}: its people move some {times:.1f} times too {how}"
    if assumed is None:
        return f"{seems}; correct the frame rate that it names if that is wrong"
    rate = tempo.nearest_rate(assumed / factor)
    return (
        f"{seems} at the {assumed:g} frames per second that are assumed, as if recorded at "
        f"{rate:g}; give --motion-rate"
    )
