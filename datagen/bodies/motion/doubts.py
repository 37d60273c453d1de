"""Notes for the user on probable errors in a motion, which do not lead to its rejection.

Letters: N frames at 30 fps.
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
    """Return notes on probable errors in a file's motion, "" if it seems correct.

    rotations: [N, 24, 4] local; pelvis: [N, 3] with y up, metres; rest: [24, 3] the body's rest
    joints; assumed: the assumed frame rate, None if the file gives one.
    """
    notes = []
    if len(pelvis) < SHORTEST * RATE:
        notes.append(
            f"{path}: lasts {len(pelvis) / RATE:.1f} s, too short to check its unit and frame "
            "rate; give longer takes"
        )
    if convention.rate is None:
        notes.append(_rate_note(path, rotations, pelvis, rest, assumed))
    if convention.unit is not None and path.suffix.lower() == ".npz":
        notes.append(unit_note(path, rotations, pelvis, rest, convention.unit))
    if in_place(rotations, pelvis, rest):
        notes.append(
            f"{path}: its people move on the spot, as on a treadmill; if they did move forward, "
            "export it with the root's motion"
        )
    return "; ".join(filter(None, notes))


def _rate_note(
    path: Path, rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray, assumed: float | None
) -> str:
    """Return a note if the frame rate seems wrong, otherwise ""."""
    factor = tempo.speed_factor(rotations, pelvis, rest)
    if factor is None:
        return ""
    how = "fast" if factor > 1 else "slow"
    times = max(factor, 1 / factor)
    seems = f"{path}: its people move about {times:.1f} times too {how}"
    if assumed is None:
        return f"{seems}; correct its frame rate if that is wrong"
    rate = tempo.nearest_rate(assumed / factor)
    return (
        f"{seems} at the assumed {assumed:g} frames per second, as if recorded at "
        f"{rate:g}; give --motion-rate"
    )
