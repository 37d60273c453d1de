"""Decodes the person detector's raw output: SSD anchors, decoding, weighted suppression."""

# A anchors, N people

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float

SIDE = 224
"""Side of the network's input in pixels, the unit of its output."""
LAYERS = ((8, 2), (16, 2), (32, 6))
"""(stride in pixels, anchors per cell) of the network's three grids, in the order of its 2,254
boxes."""
LEAST_SCORE = 0.5
"""Lowest confidence of a person (mediapipe.solutions.pose's default)."""
SAME = 0.3
"""Intersection over union above which two boxes show the same person."""


@cache
def anchors() -> Float[np.ndarray, "a 2"]:
    """Return the anchors' centres float64 [A,2] in the unit square; all are as large as the
    input."""
    grids = []
    for stride, each in LAYERS:
        cells = SIDE // stride
        y, x = np.divmod(np.arange(cells * cells), cells)
        grids.append(np.repeat((np.stack([x, y], 1) + 0.5) / cells, each, axis=0))
    return np.concatenate(grids)


def decode(
    raw: Float[np.ndarray, "a 12"], logits: Float[np.ndarray, "a 1"]
) -> tuple[Float[np.ndarray, "n 6 2"], Float[np.ndarray, " n"]]:
    """Return the people's boxes and points [N,6,2] and scores [N] from the network's output.

    Args:
        raw: [A,12] centre, width and height of the face's box, then x, y of four points, in pixels
            relative to the anchor.
        logits: [A,1] scores before the logistic function.

    Returns:
        In the unit square: the box's first and last corner, the middle of the hips, the point that
        gives the body's size and direction, and the same two of the upper body.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits[:, 0].astype(np.float64), -100, 100)))
    pairs = raw.astype(np.float64).reshape(-1, 6, 2) / SIDE
    found = (scores >= LEAST_SCORE) & (pairs[:, 1] >= 0).all(1)
    pairs, here = pairs[found], anchors()[found]
    centre, half = pairs[:, 0] + here, pairs[:, 1] / 2
    points = pairs[:, 2:] + here[:, None]
    corners = np.stack([centre - half, centre + half], 1)
    return np.concatenate([corners, points], 1), scores[found]


def suppress(
    people: Float[np.ndarray, "n 6 2"], scores: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "m 6 2"], Float[np.ndarray, " m"]]:
    """Return one detection per person [N,6,2], the most confident first, and its score [N].

    Overlapping detections are averaged, weighted by score (BlazeFace's non-maximum suppression).
    """
    order = np.argsort(-scores, kind="stable")
    kept, sure = [], []
    while len(order):
        same = overlap(people[order], people[order[0]]) > SAME
        same[0] = True
        weights = scores[order[same]]
        kept.append(np.einsum("n,nkc->kc", weights, people[order[same]]) / weights.sum())
        sure.append(scores[order[0]])
        order = order[~same]
    return np.array(kept).reshape(-1, 6, 2), np.array(sure)


def overlap(
    boxes: Float[np.ndarray, "n _ 2"], box: Float[np.ndarray, "_ 2"]
) -> Float[np.ndarray, " n"]:
    """Return the intersection over union [N] of boxes [N,2+,2] (first and last corner) with one."""
    low, high = np.maximum(boxes[:, 0], box[0]), np.minimum(boxes[:, 1], box[1])
    both = np.clip(high - low, 0, None).prod(1)
    either = (boxes[:, 1] - boxes[:, 0]).prod(1) + (box[1] - box[0]).prod() - both
    return np.where(either > 0, both / np.maximum(either, 1e-12), 0)
