"""Linking detections from frame to frame, and choosing the tracks to keep."""

# T frames, P people a frame, C colours of an appearance

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from datagen.clips.crop import joint_boxes

GAP = 30
"""Frames that a person may be missed and still be the same one."""
REACH = 0.35
"""How far a person's joints may lie from where they last were, in sizes of the person."""
RATE = 30.0
"""Frames per second that these lengths of time are counted in; slow video has fewer."""
PATIENCE = 10
"""Frames of absence in which that grows by as much again; a runner covers 0.06 a frame."""
FEWEST = 3
"""Seen joints that make a detection: fewer cannot be distinguished from noise."""
OTHER_CLOTHES = 40.0
"""CIELAB distance of clothes that are certainly not the same; light and shade make 10 to 20."""
CLOTHES = 0.3
"""How far away, in sizes of the person, other clothes count as: more than two people who cross are
apart, less than they are otherwise."""
UNSURE = 0.1
"""Share of its surest detections' score below which a detector's finding is a false one."""
WARDROBE = 0.05
"""Share of a frame in what a person is remembered to look like."""


@dataclass(eq=False)
class _Person:
    """A track while it is made."""

    points: np.ndarray
    """float32 [T,14,3]."""
    last: int
    """Frame of the last sight."""
    look: np.ndarray
    """float64 [C] clothes, averaged over the past; NaN while unknown."""
    scores: list[float] = field(default_factory=list)
    """How sure the detector was, each time."""

    def add(self, t: int, pose: np.ndarray, look: np.ndarray, score: float) -> None:
        """Take a detection of frame t."""
        self.points[t], self.last = pose, t
        self.scores.append(score)
        mixed = (1 - WARDROBE) * self.look + WARDROBE * look
        self.look = np.where(np.isnan(self.look), look, np.where(np.isnan(look), self.look, mixed))

    def cost(self, t: int, pose: np.ndarray, look: np.ndarray, elapsed: float) -> float:
        """Return how badly a detection of frame t fits, in sizes of the person; inf if not at all.

        Somebody in other clothes who appears after a gap is somebody else. elapsed: since the last
        sight, frames at RATE.
        """
        far = distance(pose, self.points[self.last])
        missed = t - self.last
        other = unlike(look, self.look)
        if far >= REACH * (1 + max(missed, elapsed) / PATIENCE) or (missed > 1 and other >= 1):
            return np.inf
        return far + CLOTHES * other


def link(
    people: Float[np.ndarray, "t p 14 3"],
    looks: Float[np.ndarray, "t p c"] | None = None,
    scores: Float[np.ndarray, "t p"] | None = None,
    times: Float[np.ndarray, " t"] | None = None,
) -> list[Float[np.ndarray, "t 14 3"]]:
    """Return the tracks in detections [T,P,14,3], each [T,14,3] with zeros where it is missed.

    Frame by frame, detections go to the tracks that they fit best (Hungarian method on the mean
    distance of the joints seen in both, and on the clothes if they are known, [T,P,C] CIELAB or
    NaN); what fits none begins a track. So two who cross stay who they are though one is hidden
    for a while. Largest first: by the sum of a track's box diagonals, times the mean of its scores
    ([T,P] from 0 to 1, how sure the detector is); what is below UNSURE is nobody. times: [T]
    seconds; people go further between the frames of a slow video. Default: 30 a second.
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
    tracks.sort(key=lambda track: size(track.points) * np.mean(track.scores), reverse=True)
    return [track.points for track in tracks]


def distance(a: Float[np.ndarray, "14 3"], b: Float[np.ndarray, "14 3"]) -> float:
    """Return the mean distance of the joints that two detections [14,3] share, in their size."""
    both = (a[:, 2] > 0) & (b[:, 2] > 0)
    if not both.any():
        return np.inf
    diagonal = max(_diagonal(a), _diagonal(b), 1.0)
    return float(np.linalg.norm(a[both, :2] - b[both, :2], axis=1).mean()) / diagonal


def unlike(a: Float[np.ndarray, " c"], b: Float[np.ndarray, " c"]) -> float:
    """Return how different clothes [C] are, from 0 to 1 (certainly others'); 0 if unknown."""
    apart = [
        float(np.linalg.norm(a[i : i + 3] - b[i : i + 3])) / OTHER_CLOTHES
        for i in range(0, len(a), 3)
        if np.isfinite(a[i : i + 3] - b[i : i + 3]).all()
    ]
    return min(1.0, max(apart, default=0.0))


def size(track: Float[np.ndarray, "t 14 3"]) -> float:
    """Return how much of the footage a track [T,14,3] fills: its box diagonals, summed."""
    return float(np.nansum(joint_boxes(track)[:, 2]))


def _diagonal(person: np.ndarray) -> float:
    points = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(points.max(0) - points.min(0)))


def place_of(which: str) -> tuple[float, float] | None:
    """Return x and y of "x,y"; None of anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", which)
    return (float(match[1]), float(match[2])) if match else None


def choose(
    tracks: list[Float[np.ndarray, "t 14 3"]], which: str, fewest: int
) -> dict[int, Float[np.ndarray, "t 14 3"]]:
    """Return the chosen tracks by rank (0 the largest), those of at least `fewest` seen frames.

    `which`: "largest" of these, "all" of them, a rank among all tracks, or "x,y": whoever is seen
    first with that pixel in the box of its joints, the one with the nearest middle if several are.
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
    """Return the rank of the track that is first seen around a pixel; -1 if none ever is."""
    best = (np.inf, np.inf, -1)
    for rank, track in tracks.items():
        for t in np.flatnonzero(track[..., 2].any(1)):
            points = track[t, track[t, :, 2] > 0, :2]
            low, high = points.min(0), points.max(0)
            if (low <= place).all() and (place <= high).all():
                best = min(best, (t, float(np.linalg.norm((low + high) / 2 - place)), rank))
                break
    return best[2]
