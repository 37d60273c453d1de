"""Decodes the landmark network's raw output into joints."""

# K = 39 points: 33 of the body, 2 that give the next crop, 4 unused ones

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SIDE = 256
"""Side of the network's input in pixels, the unit of its output."""
BODY = slice(0, 33)
CROP = slice(33, 35)
"""The middle of the hips and the point that gives the body's size and direction."""
KERNEL = 9
"""Side in heatmap cells of the neighbourhood that refines a point. The graph's option says 7, but
MediaPipe 0.10.21 uses its default: 9 reproduces its points to 1e-5 cells, 7 only to 0.04."""
LEAST_HEAT = 0.5
"""Lowest peak of a heatmap; below it, the point is not refined."""


def decode(raw: Float[np.ndarray, " k5"]) -> Float[np.ndarray, "k 4"]:
    """Return float64 [K,4] x, y, z in the unit square and visibility 0 to 1, from the output
    [5K]."""
    points = raw.astype(np.float64).reshape(-1, 5)[:, :4]
    return np.concatenate([points[:, :3] / SIDE, logistic(points[:, 3:])], 1)


def refine(
    points: Float[np.ndarray, "k c"], heatmap: Float[np.ndarray, "h w k"]
) -> Float[np.ndarray, "k c"]:
    """Return points [K,2+] in the unit square, moved to the centroid of the heatmap around them.

    Args:
        points: x, y and further columns, which are unchanged.
        heatmap: float [H,W,K] logits.
    """
    height, width = heatmap.shape[:2]
    reach = KERNEL // 2
    out = points.copy()
    cells = np.trunc(points[:, :2] * (width, height)).astype(int)
    for k, (column, row) in enumerate(cells):
        if not (0 <= column < width and 0 <= row < height):
            continue
        left, top = max(0, column - reach), max(0, row - reach)
        heat = logistic(heatmap[top : row + reach + 1, left : column + reach + 1, k].astype(float))
        if heat.max() >= LEAST_HEAT:
            y, x = np.indices(heat.shape)
            total = heat.sum()
            out[k, 0] = ((x + left) * heat).sum() / total / width
            out[k, 1] = ((y + top) * heat).sum() / total / height
    return out


def logistic(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return 1 / (1 + e^−x), without overflow."""
    return 1 / (1 + np.exp(-np.clip(values, -100, 100)))
