"""Who is who from frame to frame, and which of them to follow."""

# T frames, P people a frame

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from datagen.clips.crop import joint_boxes

GAP = 30
"""Frames that a person may be missed and still be the same one."""
REACH = 0.35
"""How far a person's joints may lie from where they last were, in sizes of the person."""
PATIENCE = 10
"""Frames of absence in which that grows by as much again; a runner covers 0.06 a frame."""
FEWEST = 3
"""Seen joints that make a detection: fewer cannot be told from noise."""


def link(people: np.ndarray) -> list[np.ndarray]:
    """Return the tracks in detections [T,P,14,3], each [T,14,3] with zeros where it is missed.

    Frame by frame, detections go to the tracks whose last sight they fit best (Hungarian method on
    the mean distance of the joints seen in both); what fits none begins a track. Largest first:
    by the sum of a track's box diagonals.
    """
    frames = len(people)
    tracks: list[np.ndarray] = []
    last: list[tuple[int, np.ndarray]] = []
    for t in range(frames):
        here = [person for person in people[t] if (person[:, 2] > 0).sum() >= FEWEST]
        alive = [i for i, (seen, _) in enumerate(last) if t - seen <= GAP]
        cost = np.full((len(here), len(alive)), 1e3)
        for row, person in enumerate(here):
            for column, i in enumerate(alive):
                seen, pose = last[i]
                reach = REACH * (1 + (t - seen) / PATIENCE)
                if (far := distance(person, pose)) < reach:
                    cost[row, column] = far
        rows, columns = linear_sum_assignment(cost)
        owner = {
            int(row): alive[column]
            for row, column in zip(rows, columns, strict=True)
            if cost[row, column] < 1e3
        }
        for row, person in enumerate(here):
            if row not in owner:
                owner[row] = len(tracks)
                tracks.append(np.zeros((frames, *people.shape[2:]), np.float32))
                last.append((t, person))
            tracks[owner[row]][t] = person
            last[owner[row]] = (t, person)
    return sorted(tracks, key=size, reverse=True)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean distance of the joints that two detections [14,3] share, in their size."""
    both = (a[:, 2] > 0) & (b[:, 2] > 0)
    if not both.any():
        return np.inf
    diagonal = max(_diagonal(a), _diagonal(b), 1.0)
    return float(np.linalg.norm(a[both, :2] - b[both, :2], axis=1).mean()) / diagonal


def size(track: np.ndarray) -> float:
    """Return how much of the footage a track [T,14,3] fills: its box diagonals, summed."""
    return float(np.nansum(joint_boxes(track)[:, 2]))


def _diagonal(person: np.ndarray) -> float:
    points = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(points.max(0) - points.min(0)))


def choose(tracks: list[np.ndarray], which: str | int, fewest: int) -> dict[int, np.ndarray]:
    """Return the chosen tracks by rank (0 the largest), those of at least `fewest` seen frames.

    `which`: "largest" of these, "all" of them, or a rank among all tracks.
    """
    long = {
        rank: track for rank, track in enumerate(tracks) if (track[..., 2].any(1)).sum() >= fewest
    }
    if which == "all":
        return long
    if which == "largest":
        return dict(list(long.items())[:1])
    rank = int(which)
    return {rank: long[rank]} if rank in long else {}
