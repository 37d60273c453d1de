"""Rotated squares of a picture: where a network looks, and back from its view to the picture.

Pictures' coordinates run from edge to edge here, as MediaPipe's do: the first pixel covers 0 to 1.
"""

# K points

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Num, UInt8

MARGIN = 1.25
"""Sides of a person's crop over its circle's diameter; that of the landmark network's training."""


OVERLAP = 1.3
"""Sides of all windows over what they cover, at least."""


@dataclass(frozen=True)
class Roi:
    """A square region of interest."""

    x: float
    """Centre, pixels."""
    y: float
    side: float
    """Pixels."""
    angle: float = 0.0
    """Radians from the picture's axes to the square's, clockwise as the picture is seen."""

    def scaled(self, factor: float) -> Roi:
        """Return the same square, larger."""
        return replace(self, side=self.side * factor)


def whole(width: int, height: int) -> Roi:
    """Return the smallest square that holds a whole picture in its middle (a letterbox)."""
    return Roi(width / 2, height / 2, float(max(width, height)))


def windows(width: int, height: int) -> list[Roi]:
    """Return squares as high as a picture is, or as wide, which cover its long side and overlap.

    A person is larger in them than in the whole picture, and may be alone. None if the picture is
    nearly square.
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
    """Return which boxes [N,2,2] (first and last corner) keep away from a window's edges, bool [N].

    Half a box away, except from those that are the picture's edges too.
    """
    room = (boxes[:, 1] - boxes[:, 0]) / 2
    low = np.array([window.x, window.y]) - window.side / 2
    high = low + window.side
    below = (boxes[:, 0] - room >= low) | (low <= 0)
    above = (boxes[:, 1] + room <= high) | (high >= [width, height])
    return np.all(below & above, axis=1)


def circumscribed(centre: Num[np.ndarray, " 2"], top: Num[np.ndarray, " 2"]) -> Roi:
    """Return the square around the circle about `centre` through `top` [2], upright at `top`.

    Both networks describe a person so: the middle of the hips, and a point above the head that
    is how far the body reaches and which way is up.
    """
    x, y = (float(v) for v in top - centre)
    angle = np.pi / 2 - np.arctan2(-y, x)
    angle -= 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi))
    return Roi(float(centre[0]), float(centre[1]), 2 * float(np.hypot(x, y)), float(angle))


def view(
    picture: UInt8[np.ndarray, "h w 3"], roi: Roi, side: int, border: int
) -> UInt8[np.ndarray, "side side 3"]:
    """Return uint8 [side,side,3], what a region shows; `border` is OpenCV's mode beyond the edge.

    Corners go to corners as in MediaPipe, so that its networks see what they are used to: between
    pixel centres lies a shift of half a pixel of the larger picture. Positions are rounded to 1/32
    pixel like those of warpPerspective in OpenCV 3 and 4: that of OpenCV 5 differs by a grey level,
    which the crops' feedback turns into pixels.
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
    """Return points [...,2] of the unit square, which the region fills, in the picture's pixels."""
    centre = np.array([roi.x, roi.y])
    return centre + rotate(np.asarray(points) - 0.5, roi.angle) * roi.side


def rotate(points: Num[np.ndarray, "*batch 2"], angle: float) -> Float[np.ndarray, "*batch 2"]:
    """Return points [...,2] turned by an angle, clockwise where y points down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])
