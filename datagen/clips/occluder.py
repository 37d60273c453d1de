"""Occlusion: one supervoxel of the scene in front of the person, and periods of total occlusion.

The paper occludes the person with one SLIC superpixel of the video itself, so the occluder moves,
deforms and is lit like the scene. Segments have a fraction of the frame's resolution and are
upscaled with a smooth outline.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Num, Shaped, UInt8


def label_grid(
    mask: Shaped[np.ndarray, "t h w"], offsets: Num[np.ndarray, "t 2"], shape: tuple[int, int]
) -> Bool[np.ndarray, "t h2 w2"]:
    """Return the person's mask on the segments' grid.

    Args:
        mask: bool or uint8 [T,H,W], the person in its own frames.
        offsets: [T,2] the person's offset, pixels.
        shape: (h, w) of the segments.

    Returns:
        bool [T,h,w]: whether the person covers the cell's centre.
    """
    frames, height, width = mask.shape
    rows, columns = shape
    grid = np.empty((frames, rows, columns), np.uint8)
    across, down = width / columns, height / rows
    for t in range(frames):
        # Cell centre → frame pixel → the person's own pixel.
        x, y = (across - 1) / 2 - offsets[t, 0], (down - 1) / 2 - offsets[t, 1]
        back = np.array([[across, 0, x], [0, down, y]])
        cv2.warpAffine(
            mask[t].view(np.uint8),
            back,
            (columns, rows),
            dst=grid[t],
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
    return grid > 0


LARGEST = 0.4
"""Largest share of the volume for an occluder. On fine texture, SLIC may put nearly everything into
one segment, which would hide the whole person and is not an object in front of the scene."""


def choose(
    segments: UInt8[np.ndarray, "t h w"],
    person: Bool[np.ndarray, "t h w"],
    sampling: Literal["mixed", "touching", "uniform"],
    rng: np.random.Generator,
) -> tuple[int, float]:
    """Draw the supervoxel that occludes the person.

    Args:
        segments: uint8 [T,h,w] labels.
        person: bool [T,h,w], from `label_grid`.
        sampling: among the labels that touch the person, among all, or either with even odds.
        rng: random generator.

    Returns:
        its label, -1 if all are too large; the share of the person that it hides over the clip.
    """
    sizes = np.bincount(segments.ravel(), minlength=256)
    hidden = np.bincount(segments[person], minlength=256)
    sizes[sizes > LARGEST * segments.size] = 0
    hidden = np.where(sizes, hidden, 0)
    restrict, draw = rng.random(
        2
    )  # always two draws, so that later draws do not depend on the option
    touching = sampling == "touching" or (sampling == "mixed" and restrict < 0.5)
    labels = np.flatnonzero(hidden if touching and hidden.any() else sizes)
    if not labels.size:
        return -1, 0.0
    label = int(labels[int(draw * len(labels))])
    return label, float(hidden[label] / max(person.sum(), 1))


def outline(
    cells: Bool[np.ndarray, "h w"], width: int, height: int
) -> UInt8[np.ndarray, "{height} {width}"]:
    """Return a segment's cells bool [h,w] as a smooth mask, uint8 [height,width] of 0 and 255."""
    soft = cv2.resize(cells.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.threshold(soft, 127, 255, cv2.THRESH_BINARY)[1]


def total_occlusion(
    frames: int, share: float, longest: int, rng: np.random.Generator
) -> UInt8[np.ndarray, " {frames}"]:
    """Draw the frames in which the person is totally hidden: uint8 [T], 1 where it is.

    With probability `share` there is one period, with length uniform in 1..longest but at most half
    of the clip, and uniform start.
    """
    occluded = np.zeros(frames, np.uint8)
    chance, span, start = rng.random(3)
    if chance < share:
        length = 1 + int(span * min(longest, frames // 2))
        first = int(start * (frames - length + 1))
        occluded[first : first + length] = 1
    return occluded
