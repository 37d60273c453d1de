"""Hand positions and elbow directions shared by the acts, and helpers.

Hands are in arm lengths from the shoulder as (out, up, forward), see `puppet.NEUTRAL`; elbow poles
give the direction of the elbow in the same axes.
"""

from __future__ import annotations

import numpy as np

Controls = dict[str, np.ndarray]

HANG = (0.16, -0.95, 0.1)
FRONT = (0.0, -0.05, 0.96)
SIDE = (0.97, 0.0, 0.05)
UP = (0.14, 0.96, 0.06)
HIPS = (0.22, -0.66, 0.08)
CHEST = (-0.16, -0.3, 0.42)
CHIN = (-0.24, 0.08, 0.34)
EAR = (-0.06, 0.3, 0.14)
GUARD = (-0.12, -0.06, 0.4)

BACK = (0.45, -0.5, -0.75)  # elbow poles
DOWN = (0.35, -0.95, -0.1)
OUT = (1.0, -0.2, -0.35)
FLAT = (0.05, -0.3, -1.0)


def vary(rng: np.random.Generator, spread: float = 0.2) -> float:
    """Return a factor around 1 for a performer's pace."""
    return float(rng.uniform(1 - spread, 1 + spread))
