"""Views of a prediction, as in the paper's Figure 5: over the picture, and rotated beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from datagen.bodies.smpl.model import Body
from datagen.clips import contact_sheet as sheet
from datagen.clips import crop
from datagen.replay.coverage import label
from datagen.replay.mesh_painter import PAPER, box, draw_box, painter, turned
from datagen.replay.pictures import Pictures
from datagen.replay.prediction import PredictedMotion

AT_ONCE = 50  # frames whose vertices are in memory at a time
CELL = 224  # side of a picture in the contact sheet, pixels


@dataclass(frozen=True)
class Shown:
    """One frame, in all its views; uint8 RGB."""

    plain: np.ndarray
    """[H,W,3] the picture."""
    over: np.ndarray
    """[H,W,3] the picture with the body and the detection's box."""
    aside: np.ndarray
    """[H,H,3] only the body, rotated, at the crop's scale."""
    place: int | None
    """Index of the motion's frame; None if the motion does not have it."""
    time: float
    """Seconds after the first picture."""

    @property
    def both(self) -> UInt8[np.ndarray, "h w 3"]:
        """The two views side by side."""
        return np.concatenate([self.over, self.aside], axis=1)


def show(
    motion: PredictedMotion, body: Body, pictures: Pictures, *, degrees: float, opacity: float
) -> Iterator[Shown]:
    """Yield every picture; the rotated view uses the prediction's own camera."""
    height = pictures.height
    brush = painter(body, max(pictures.width, height), height)
    paper = np.full((height, height, 3), PAPER, np.uint8)
    unit = height / motion.image_size  # crop pixels → pixels of the rotated view
    begin, posed = -AT_ONCE, _BodyViews.of(motion, body, slice(0, 0), degrees)
    for picture in pictures.frames:
        t, plain = picture.place, picture.image
        if t is None:
            text = label(motion, t)
            absent = sheet.caption(plain, text), sheet.caption(paper, text)
            yield Shown(plain, *absent, None, picture.time)
            continue
        if not 0 <= t - begin < AT_ONCE:
            begin, posed = t, _BodyViews.of(motion, body, slice(t, t + AT_ONCE), degrees)
        i = t - begin
        front, side = plain, paper
        if motion.camera[t, 0] > 0:  # a camera with negative scale mirrors, so nothing is shown
            seen = crop.transform(pictures.maps[t : t + 1], posed.seen[i : i + 1])[0]
            front = brush.paint(plain, posed.vertices[i], seen, opacity)
            side = brush.paint(paper, posed.away[i], (posed.seen_away[i] + 0.5) * unit - 0.5)
        front = draw_box(front, box(motion, pictures.maps[t]))
        if text := label(motion, t):
            front = sheet.caption(front, text)
        yield Shown(plain, front, side, t, picture.time)


@dataclass(frozen=True, eq=False)
class _BodyViews:
    """The body in N consecutive frames, as predicted and rotated."""

    vertices: np.ndarray
    """[N,V,3] metres."""
    away: np.ndarray
    seen: np.ndarray
    """[N,V,2] crop pixels."""
    seen_away: np.ndarray

    @classmethod
    def of(cls, motion: PredictedMotion, body: Body, part: slice, degrees: float) -> _BodyViews:
        count = len(motion.pose[part])
        if not count:
            empty = np.zeros((0, 0, 3))
            return cls(empty, empty, empty, empty)
        vertices, joints = body.forward(
            motion.pose[part], motion.shapes[part], np.zeros((count, 3))
        )
        away = turned(vertices, joints, degrees, motion.gravity)
        return cls(vertices, away, motion.in_crop(vertices, part), motion.in_crop(away, part))


def columns_of(length: int, columns: int = 8) -> set[int]:
    """Return the indices of the frames in a contact sheet, evenly spread."""
    return set(sheet.evenly(length, columns))


def contact_sheet(
    motion: PredictedMotion, pictures: Pictures, frames: dict[int, Shown]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a sheet of frames, given by number, as columns: the whole picture (if it is more than
    the crop), the network's input with the frame's number in the video, the body over it, the body
    rotated."""
    rows: list[list[np.ndarray]] = [[], [], [], []]
    scale = CELL / motion.image_size
    for t, shown in frames.items():
        into_cell = crop.inverse(pictures.maps[t : t + 1])[0] * scale
        into_cell[:, 2] += (scale - 1) / 2
        plain, over = (
            cv2.warpAffine(
                picture,
                into_cell,
                (CELL, CELL),
                flags=cv2.INTER_AREA,
                borderMode=cv2.BORDER_CONSTANT,
            )
            for picture in (shown.plain, shown.over)
        )
        for x, y, seen in motion.keypoints[t]:
            if seen and not motion.occluded[t]:
                place = (round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5))
                cv2.circle(plain, place, 3, (30, 30, 30), -1, cv2.LINE_AA)
                cv2.circle(plain, place, 2, (255, 214, 64), -1, cv2.LINE_AA)
        rows[0].append(fit(shown.over))
        rows[1].append(sheet.caption(plain, f"{motion.source[t]}"))
        text = label(motion, t)
        rows[2].append(sheet.caption(over, text) if text else over)
        rows[3].append(fit(shown.aside))
    parts = [sheet.grid(row, len(row)) for row in (rows[1:] if pictures.cropped else rows)]
    gap = np.full((2, parts[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in parts for part in (gap, row)][1:])


def fit(picture: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """Return the picture scaled to fit a cell, on black."""
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    small = cv2.resize(
        picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA
    )
    cell = np.zeros((small.shape[0], CELL, 3), np.uint8)
    left = (CELL - small.shape[1]) // 2
    cell[:, left : left + small.shape[1]] = small
    return cell
