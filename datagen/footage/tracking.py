"""Links detections over frames into tracks, and selects the tracks to keep."""

# T frames, P people per frame, C colour values of an appearance

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from datagen.clips.crop import joint_boxes

GAP = 30
"""Most consecutive frames without a detection within one track."""
REACH = 0.35
"""Largest distance of a person's joints from their last position, relative to the person's size."""
RATE = 30.0
"""Frame rate of the durations given in frames here."""
PATIENCE = 10
"""Frames of absence in which REACH grows by its own amount; a runner moves by 0.06 per frame."""
FEWEST = 3
"""Fewest seen joints of a detection: fewer cannot be distinguished from noise."""
OTHER_CLOTHES = 40.0
"""CIELAB distance of clearly different clothes; light and shade change colours by 10 to 20."""
CLOTHES = 0.3
"""Penalty for different clothes, as a distance relative to the person's size: more than the
distance of two people who cross, less than their usual distance."""
UNSURE = 0.1
"""Score below which a detection is false, relative to the most confident detections."""
TWICE = 3
"""Most frames in which a detector that has found a person anew still follows the former detection.
"""
WARDROBE = 0.05
"""Weight of a new frame in a person's mean appearance."""


@dataclass(eq=False)
class _Person:
    """A track under construction."""

    points: np.ndarray
    """float32 [T,14,3]."""
    last: int
    """Frame of the last detection."""
    look: np.ndarray
    """float64 [C] colours of the clothes, averaged over past frames; NaN while unknown."""
    scores: list[float] = field(default_factory=list)
    """The detector's confidences."""

    def add(self, t: int, pose: np.ndarray, look: np.ndarray, score: float) -> None:
        """Add a detection in frame t."""
        self.points[t], self.last = pose, t
        self.scores.append(score)
        mixed = (1 - WARDROBE) * self.look + WARDROBE * look
        self.look = np.where(np.isnan(self.look), look, np.where(np.isnan(look), self.look, mixed))

    def cost(self, t: int, pose: np.ndarray, look: np.ndarray, elapsed: float) -> float:
        """Return the mismatch of a detection in frame t, relative to the person's size; inf if
        impossible.

        After a gap, a detection in different clothes is another person. elapsed: frames at RATE
        since the last detection.
        """
        far = distance(pose, self.points[self.last])
        missed = t - self.last
        other = unlike(look, self.look)
        if far >= REACH * (1 + max(missed, elapsed) / PATIENCE) or (missed > 1 and other >= 1):
            return np.inf
        return far + CLOTHES * other

    def is_followed_by(self, later: _Person) -> bool:
        """Return whether a track that begins before this one ends is of the same person."""
        shared = np.flatnonzero(self.seen & later.seen)
        return (
            0 < len(shared) <= TWICE
            and later.last > self.last
            and unlike(self.look, later.look) < 1
            and all(distance(self.points[t], later.points[t]) < REACH for t in shared)
        )

    def extend(self, later: _Person) -> None:
        """Add the detections of a track that follows."""
        self.points[later.seen] = later.points[later.seen]
        self.last, self.look = later.last, later.look
        self.scores += later.scores

    @property
    def seen(self) -> np.ndarray:
        """bool [T] the frames with a detection."""
        return np.asarray(self.points[..., 2].any(1))


def link(
    people: Float[np.ndarray, "t p 14 3"],
    looks: Float[np.ndarray, "t p c"] | None = None,
    scores: Float[np.ndarray, "t p"] | None = None,
    times: Float[np.ndarray, " t"] | None = None,
) -> list[Float[np.ndarray, "t 14 3"]]:
    """Return the tracks in detections [T,P,14,3], each [T,14,3] with zeros where it is missed.

    Frame by frame, detections are assigned to the best-matching tracks (Hungarian method on the
    mean distance of the joints seen in both, and on the clothes if known, [T,P,C] CIELAB or NaN);
    unmatched detections start new tracks, and a track that ends in the next frames on the same
    person is continued by it. So two people who cross keep their identities even if one is hidden
    for a while. Tracks are sorted by the sum of their box diagonals times their mean
    score ([T,P] from 0 to 1, the detector's confidence), largest first; those below UNSURE are
    dropped. times: [T] seconds, because people move further between frames at low frame rates.
    Default: 30 fps.
    """
    frames = len(people)
    ticks = np.arange(frames) if times is None else np.asarray(times) * RATE
    scores = np.ones(people.shape[:2]) if scores is None else scores
    looks = np.full((*people.shape[:2], 1), np.nan) if looks is None else looks
    tracks: list[_Person] = []
    for t in range(frames):
        enough = (people[t, ..., 2] > 0).sum(-1) >= FEWEST
        here = np.flatnonzero(enough & (scores[t] >= UNSURE))
        alive = [track for track in tracks if t - track.last <= GAP]
        cost = np.array(
            [
                [
                    track.cost(t, people[t, p], looks[t, p], ticks[t] - ticks[track.last])
                    for track in alive
                ]
                for p in here
            ]
        ).reshape(len(here), len(alive))
        rows, columns = linear_sum_assignment(np.minimum(cost, 1e3))
        owner = {
            row: alive[column]
            for row, column in zip(rows, columns, strict=True)
            if np.isfinite(cost[row, column])
        }
        for row, p in enumerate(here):
            if row not in owner:
                unknown = np.full(looks.shape[2], np.nan)
                owner[row] = _Person(np.zeros((frames, *people.shape[2:]), np.float32), t, unknown)
                tracks.append(owner[row])
            owner[row].add(t, people[t, p], looks[t, p], scores[t, p])
    tracks = _joined(tracks)
    tracks.sort(key=lambda track: size(track.points) * np.mean(track.scores), reverse=True)
    return [track.points for track in tracks]


def _joined(tracks: list[_Person]) -> list[_Person]:
    """Return the tracks, in order of their first frames, with a person's parts in one."""
    whole: list[_Person] = []
    for track in sorted(tracks, key=lambda track: int(track.seen.argmax())):
        earlier = next((one for one in whole if one.is_followed_by(track)), None)
        if earlier is None:
            whole.append(track)
        else:
            earlier.extend(track)
    return whole


def distance(a: Float[np.ndarray, "14 3"], b: Float[np.ndarray, "14 3"]) -> float:
    """Return the mean distance of the joints shared by two detections [14,3], relative to their
    size."""
    both = (a[:, 2] > 0) & (b[:, 2] > 0)
    if not both.any():
        return np.inf
    diagonal = max(_diagonal(a), _diagonal(b), 1.0)
    return float(np.linalg.norm(a[both, :2] - b[both, :2], axis=1).mean()) / diagonal


def unlike(a: Float[np.ndarray, " c"], b: Float[np.ndarray, " c"]) -> float:
    """Return the difference of two clothes [C], from 0 to 1 (clearly different); 0 if unknown."""
    apart = [
        float(np.linalg.norm(a[i : i + 3] - b[i : i + 3])) / OTHER_CLOTHES
        for i in range(0, len(a), 3)
        if np.isfinite(a[i : i + 3] - b[i : i + 3]).all()
    ]
    return min(1.0, max(apart, default=0.0))


def size(track: Float[np.ndarray, "t 14 3"]) -> float:
    """Return the size of a track [T,14,3]: the sum of its box diagonals."""
    return float(np.nansum(joint_boxes(track)[:, 2]))


def _diagonal(person: np.ndarray) -> float:
    points = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(points.max(0) - points.min(0)))


def place_of(which: str) -> tuple[float, float] | None:
    """Return x and y from "x,y"; None for any other text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", which)
    return (float(match[1]), float(match[2])) if match else None


def choose(
    tracks: list[Float[np.ndarray, "t 14 3"]], which: str, fewest: int
) -> dict[int, Float[np.ndarray, "t 14 3"]]:
    """Return the selected tracks with at least `fewest` seen frames, by rank (0 is the largest).

    `which`: "largest" of these, "all" of them, a rank among all tracks, or "x,y": the first person
    whose joint box contains that pixel, or the one with the nearest centre if there are several.
    """
    long = {
        rank: track for rank, track in enumerate(tracks) if (track[..., 2].any(1)).sum() >= fewest
    }
    if which == "all":
        return long
    if which == "largest":
        return dict(list(long.items())[:1])
    place = place_of(which)
    rank = int(which) if place is None else _nearest(long, place)
    return {rank: long[rank]} if rank in long else {}


def _nearest(tracks: dict[int, np.ndarray], place: tuple[float, float]) -> int:
    """Return the rank of the track that first contains a pixel; -1 if none does."""
    best = (np.inf, np.inf, -1)
    for rank, track in tracks.items():
        for t in np.flatnonzero(track[..., 2].any(1)):
            points = track[t, track[t, :, 2] > 0, :2]
            low, high = points.min(0), points.max(0)
            if (low <= place).all() and (place <= high).all():
                best = min(best, (t, float(np.linalg.norm((low + high) / 2 - place)), rank))
                break
    return best[2]
