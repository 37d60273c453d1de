"""A compact descriptor of a person's appearance: the colours of trunk and thighs.

These are clothes, whose colour stays constant between frames when positions are ambiguous.
"""

# K points, N samples

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

SHOULDERS, HIPS, KNEES = (11, 12), (23, 24), (25, 26)
SEEN = 0.5
"""Lowest visibility of the joints between which a colour is sampled."""
STEPS = np.linspace(0.2, 0.8, 7)
"""Relative sample positions between two joints; not at the ends, next to bare skin."""


def appearance(
    picture: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "33 3"]
) -> Float32[np.ndarray, " 6"]:
    """Return float32 [6], the colours of trunk and thighs in CIELAB; NaN if not seen.

    Args:
        picture: uint8 [H,W,3] RGB.
        points: [33,3] x, y in pixels and visibility.
    """
    points = np.asarray(points, np.float64)
    ends = points[list(SHOULDERS)], points[list(HIPS)], points[list(KNEES)]
    shoulders, hips, knees = (end[:, :2] for end in ends)
    sides = shoulders + STEPS[:, None, None] * (hips - shoulders)  # [7,2,2] down either side
    trunk = sides[:, :1] + STEPS[:, None] * (sides[:, 1:] - sides[:, :1])
    thighs = hips + STEPS[:, None, None] * (knees - hips)
    colours = []
    for places, joints in ((trunk, ends[0:2]), (thighs, ends[1:3])):
        seen = min(end[:, 2].min() for end in joints) >= SEEN
        colours.append(_colour(picture, places.reshape(-1, 2)) if seen else np.full(3, np.nan))
    return np.concatenate(colours).astype(np.float32)


def _colour(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the median CIELAB colour [3] at places [N,2] of a picture; NaN if all are outside."""
    height, width = picture.shape[:2]
    x, y = np.rint(places).astype(np.int64).T
    shown = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not shown.any():
        return np.full(3, np.nan)
    samples = picture[y[shown], x[shown]][None].astype(np.float32) / 255
    return np.median(cv2.cvtColor(samples, cv2.COLOR_RGB2LAB)[0], axis=0)
