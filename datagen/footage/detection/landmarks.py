"""The landmark network's raw output as joints."""

# K = 39 points: 33 of the body, 2 that give the next crop, 4 of no use here

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SIDE = 256
"""Pixels of the network's picture, the unit of its output."""
BODY = slice(0, 33)
CROP = slice(33, 35)
"""The middle of the hips and the point that gives the body's size and direction."""
KERNEL = 9
"""Cells of the heatmap around a point that refine it. The graph's option is 7; MediaPipe 0.10.21
computes with its default all the same: with 9 its points come out to 1e-5 cells, with 7 to 0.04."""
LEAST_HEAT = 0.5
"""A heatmap that is nowhere surer than that leaves its point as it is."""


def decode(raw: Float[np.ndarray, " k5"]) -> Float[np.ndarray, "k 4"]:
    """Return float64 [K,4] x, y, z in the unit square and visibility 0 to 1, of the output [5K]."""
    points = raw.astype(np.float64).reshape(-1, 5)[:, :4]
    return np.concatenate([points[:, :3] / SIDE, logistic(points[:, 3:])], 1)


def refine(
    points: Float[np.ndarray, "k c"], heatmap: Float[np.ndarray, "h w k"]
) -> Float[np.ndarray, "k c"]:
    """Return points [K,2+] of the unit square, moved to the middle of the heat around them.

    Args:
        points: x, y and whatever else, which stays.
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
