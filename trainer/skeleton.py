"""The evaluation joints' bones, drawn on matplotlib's axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BONES = (
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("right_hip", "left_hip"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("right_wrist", "right_elbow"),
    ("right_elbow", "right_shoulder"), ("right_shoulder", "left_shoulder"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("neck", "head_top"),
    ("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"),
)  # fmt: skip
"""Lines between evaluation joints, by the ends of their names."""
LEFT, RIGHT, MIDDLE, TRUE = "#d1495b", "#2e86ab", "#555555", "#bbbbbb"


def draw_skeleton(axes: Axes, points: np.ndarray, names: Sequence[str], true: bool = False) -> None:
    """Draw the bones between points [E,2]: true ones wide and grey, predicted ones by side."""
    index = {name.removeprefix("lsp_"): i for i, name in enumerate(names)}
    for a, b in BONES:
        if a not in index or b not in index:
            continue
        sides = {a.split("_")[0], b.split("_")[0]}
        shade = LEFT if sides == {"left"} else RIGHT if sides == {"right"} else MIDDLE
        axes.plot(
            *points[[index[a], index[b]]].T,
            color=TRUE if true else shade,
            lw=3.5 if true else 1.6,
            solid_capstyle="round",
        )
