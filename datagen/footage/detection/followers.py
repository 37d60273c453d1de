"""Tracks people through a video: detected once, then followed from crop to crop.

A frame's landmarks give the person's crop in the next frame. MediaPipe follows one person and runs
its detector on the whole picture only when that person is lost. Here, everybody is followed. Every
few frames the detector looks for further people, not only in the whole picture, where it tends to
find only one person, but also in parts of it, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import cv2
import numpy as np

from datagen.footage.detection import roi
from datagen.footage.detection.pose_detector import PoseDetector, Reading
from datagen.footage.detection.roi import Roi
from datagen.footage.detection.smoothing import RATE, LowPass, OneEuro, visibility_share

LOOK = 5
"""Frames between detector runs, each on another part of the picture; a run takes 8 ms of a core."""
MOST = 8
"""Most people followed at a time; each takes 15 ms per frame."""
SAME = 0.07
"""Mean distance of two readings' points, relative to the person's size, below which they show the
same person: both crops have moved onto the person in front."""
NEAR = 0.15
"""Distance from a followed person, relative to size, below which a detection is that person."""

WITHIN = 0.5
"""Share of a detection's points inside another person's outline above which it is a false
detection on a part of that person."""


@dataclass(frozen=True, eq=False)
class Pose:
    """A person in one frame."""

    points: np.ndarray
    """float64 [33,3] x, y in pixels (centres at whole numbers) and visibility 0 to 1."""
    world: np.ndarray
    """float64 [33,3] the network's 3D joints, metres from the middle of the hips."""


@dataclass
class Follower:
    """One person's filters and next crop, from detection until it is lost."""

    slot: int
    """Its index among the people followed at the time, the first free one."""
    crop: Roi
    reading: Reading | None = None
    """The last frame's reading."""
    _points: OneEuro = field(default_factory=lambda: OneEuro(0.05, 80))
    _visibility: LowPass = field(default_factory=LowPass)
    _circle: OneEuro = field(default_factory=lambda: OneEuro(0.01, 10))
    _world: OneEuro = field(default_factory=lambda: OneEuro(0.1, 40))

    def step(self, reading: Reading, rate: float) -> Pose:
        """Return the smoothed person in a frame and update the next crop.

        rate: reciprocal of the time since the last frame, Hz.
        """
        size = max(roi.circumscribed(*reading.circle).side, 1e-6)
        points = self._points.step(reading.points, size, rate)
        visibility = self._visibility.step(reading.visibility, visibility_share(rate))
        circle = self._circle.step(reading.circle, size, rate)
        self.crop = roi.circumscribed(*circle).scaled(roi.MARGIN)
        self.reading = reading
        # MediaPipe's coordinates run from edge to edge; ours have pixel centres at whole numbers.
        placed = np.concatenate([points - 0.5, visibility[:, None]], 1)
        return Pose(placed, self._world.step(reading.world, rate=rate))


class Followers:
    """All people in a video, frame by frame."""

    def __init__(self, detector: PoseDetector, most: int = MOST) -> None:
        self._detector = detector
        self._most = most
        self._people: list[Follower] = []
        self._frame = -1

    def step(self, picture: np.ndarray, elapsed: float = 1 / RATE) -> dict[int, Pose]:
        """Return the people in the next frame by slot; elapsed: seconds since the last frame.

        A lost person's slot becomes free. The next person detected, possibly the same one, takes
        the first free slot, so a slot alone does not identify a person.
        """
        self._frame += 1
        read = [(one, self._detector.read(picture, one.crop)) for one in self._people]
        seen = _distinct([(one, reading) for one, reading in read if reading is not None])
        height, width = picture.shape[:2]
        views = [roi.whole(width, height), *roi.windows(width, height)]
        if len(seen) < max(len(self._people), 1) or self._frame == 0:
            seen += self._newcomers(picture, views, seen)
        elif self._frame % LOOK == 0:
            turn = self._frame // LOOK % len(views)
            seen += self._newcomers(picture, views[turn : turn + 1], seen)
        self._people = [one for one, _ in seen]
        rate = 1 / max(elapsed, 1e-3)
        return {one.slot: one.step(reading, rate) for one, reading in seen}

    def _newcomers(
        self, picture: np.ndarray, views: list[Roi], seen: list[tuple[Follower, Reading]]
    ) -> list[tuple[Follower, Reading]]:
        """Return people detected in views of a picture, without those already seen."""
        fresh: list[tuple[Follower, Reading]] = []
        for crop in (crop for view in views for crop in self._detector.find(picture, view)):
            known = seen + fresh
            if len(known) >= self._most:
                break
            if any(_near(crop, reading) for _, reading in known):
                continue
            reading = self._detector.read(picture, crop)
            if reading is None or any(_covered(reading, other) > WITHIN for _, other in known):
                continue
            taken = {one.slot for one, _ in known}
            fresh.append((Follower(next(i for i in count() if i not in taken), crop), reading))
        return fresh


def _distinct(seen: list[tuple[Follower, Reading]]) -> list[tuple[Follower, Reading]]:
    """Return the people seen, without those whose crop has drifted onto another person.

    Of two crops that now show the same person, the one that moved less keeps it.
    """
    moved = [0.0 if one.reading is None else _apart(reading, one.reading) for one, reading in seen]
    kept: list[int] = []
    for index in np.argsort(moved, kind="stable"):
        if all(_apart(seen[index][1], seen[other][1]) >= SAME for other in kept):
            kept.append(int(index))
    return [seen[index] for index in sorted(kept)]


def _apart(a: Reading, b: Reading) -> float:
    """Return the mean distance of two readings' points, relative to the larger person's size."""
    size = max(roi.circumscribed(*a.circle).side, roi.circumscribed(*b.circle).side, 1e-6)
    return float(np.linalg.norm(a.points - b.points, axis=1).mean()) / size


def _covered(reading: Reading, other: Reading) -> float:
    """Return the share of a reading's points within the convex hull of another's."""
    hull = cv2.convexHull(other.points.astype(np.float32))
    within = [cv2.pointPolygonTest(hull, (x, y), False) >= 0 for x, y in reading.points.tolist()]
    return float(np.mean(within))


def _near(crop: Roi, reading: Reading) -> bool:
    """Return whether a detected crop shows a person who is already followed."""
    other = roi.circumscribed(*reading.circle)
    far = np.hypot(crop.x - other.x, crop.y - other.y)
    return bool(far < NEAR * max(crop.side / roi.MARGIN, other.side))
