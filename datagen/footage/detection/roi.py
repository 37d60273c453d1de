"""Rotated square regions of a picture: cropping them, and mapping points back to the picture.

Picture coordinates run from edge to edge here, as in MediaPipe: the first pixel covers 0 to 1.
"""

# K points

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Num, UInt8

MARGIN = 1.25
"""Side of a person's crop over its circle's diameter, as in the landmark network's training."""


OVERLAP = 1.3
"""Lowest ratio of the windows' total length to the length that they cover."""


@dataclass(frozen=True)
class Roi:
    """A square region of interest."""

    x: float
    """Centre, pixels."""
    y: float
    side: float
    """Pixels."""
    angle: float = 0.0
    """Radians from the picture's axes to the square's, clockwise in the picture."""

    def scaled(self, factor: float) -> Roi:
        """Return the square scaled about its centre."""
        return replace(self, side=self.side * factor)


def whole(width: int, height: int) -> Roi:
    """Return the smallest square with the whole picture at its centre (a letterbox)."""
    return Roi(width / 2, height / 2, float(max(width, height)))


def windows(width: int, height: int) -> list[Roi]:
    """Return overlapping squares, as large as the picture's short side, that cover its long side.

    A person is larger in them than in the whole picture, and may be alone. The list is empty if the
    picture is nearly square.
    """
    side, long = min(width, height), max(width, height)
    if long < 1.1 * side:
        return []
    middles = np.linspace(side / 2, long - side / 2, int(np.ceil(OVERLAP * long / side)))
    return [
        Roi(float(m), side / 2, side) if width > height else Roi(side / 2, float(m), side)
        for m in middles
    ]


def inside(
    boxes: Num[np.ndarray, "n 2 2"], window: Roi, width: int, height: int
) -> Bool[np.ndarray, " n"]:
    """Return which boxes [N,2,2] (first and last corner) keep clear of a window's edges, bool [N].

    The distance must be half a box, except from edges that are also the picture's.
    """
    room = (boxes[:, 1] - boxes[:, 0]) / 2
    low = np.array([window.x, window.y]) - window.side / 2
    high = low + window.side
    below = (boxes[:, 0] - room >= low) | (low <= 0)
    above = (boxes[:, 1] + room <= high) | (high >= [width, height])
    return np.all(below & above, axis=1)


def circumscribed(centre: Num[np.ndarray, " 2"], top: Num[np.ndarray, " 2"]) -> Roi:
    """Return the square around the circle about `centre` through `top` [2], with `top` upwards.

    Both networks describe a person this way: by the middle of the hips, and a point above the head
    that gives the body's extent and direction.
    """
    x, y = (float(v) for v in top - centre)
    angle = np.pi / 2 - np.arctan2(-y, x)
    angle -= 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi))
    return Roi(float(centre[0]), float(centre[1]), 2 * float(np.hypot(x, y)), float(angle))


def view(
    picture: UInt8[np.ndarray, "h w 3"], roi: Roi, side: int, border: int
) -> UInt8[np.ndarray, "side side 3"]:
    """Return a region's content uint8 [side,side,3]; `border` is OpenCV's mode beyond the edge.

    Corners map to corners as in MediaPipe, whose networks were trained this way; pixel centres are
    therefore shifted by half a pixel of the larger picture. Positions are rounded to 1/32 pixel
    like in warpPerspective of OpenCV 3 and 4: OpenCV 5 differs by a grey level, which the feedback
    from crop to crop amplifies to pixels.
    """
    corner, right, below = to_picture(np.array([(0, 0), (1, 0), (0, 1)]), roi)
    cells = np.arange(side)[:, None] * 32 / side
    columns, rows = cells * (right - corner), 32 * corner + cells * (below - corner)
    x, y = (np.rint(columns[:, axis] + rows[:, axis, None]).astype(np.int64) for axis in (0, 1))
    limit = np.iinfo(np.int16)
    whole_pixels = np.stack([x >> 5, y >> 5], -1).clip(limit.min, limit.max).astype(np.int16)
    fractions = ((y & 31) * 32 + (x & 31)).astype(np.uint16)
    return cv2.remap(picture, whole_pixels, fractions, cv2.INTER_LINEAR, borderMode=border)


def to_picture(points: Num[np.ndarray, "*batch 2"], roi: Roi) -> Float[np.ndarray, "*batch 2"]:
    """Return points [...,2] in the region's unit square, converted to the picture's pixels."""
    centre = np.array([roi.x, roi.y])
    return centre + rotate(np.asarray(points) - 0.5, roi.angle) * roi.side


def rotate(points: Num[np.ndarray, "*batch 2"], angle: float) -> Float[np.ndarray, "*batch 2"]:
    """Return points [...,2] rotated by an angle, clockwise with y pointing down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])
