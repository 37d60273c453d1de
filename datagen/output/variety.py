"""Counts the distinct motions, minutes, people and scenes in the clips of a data set.

A million clips of three motions count as three motions. A clip shows a segment of one motion,
performed by one person (a gender, a shape, clothes), in front of one window of a scene's video.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from datagen.common.cli import count, duration
from datagen.common.record import FPS, Line

MIRRORED = "_mirrored"
"""Suffix of mirrored motions, which do not count as distinct."""


class Held(NamedTuple):
    """Numbers of distinct items in a data set."""

    motions: int
    minutes: float
    """Minutes of motion; frames shown in several clips count once."""
    subjects: int
    """Performers of the motions, kinds of generated ones; 0 if not recorded."""
    people: int
    """Rendered persons."""
    windows: int
    videos: int

    def __str__(self) -> str:
        # The embedded motions that code generated have no performer: each kind counts as one.
        kinds = "kind" if self.subjects == 1 else "kinds"
        performers = f" of {count(self.subjects, 'subject')} or {kinds}" if self.subjects else ""
        return (
            f"{count(self.motions, 'motion')}{performers}, {duration(60 * self.minutes)} without "
            f"repetition; {self.people:,} {'person' if self.people == 1 else 'people'}; "
            f"{count(self.windows, 'window')} of {count(self.videos, 'scene')}"
        )


@dataclass
class Variety:
    """The names of everything shown in some clips."""

    stretches: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """First frames of the segments, by motion."""
    subjects: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    windows: set[str] = field(default_factory=set)

    def add(self, meta: Line) -> None:
        """Add a clip, given its meta.json."""
        motion, shown = meta["person"].removesuffix(MIRRORED), meta["people"]
        self.stretches[motion].add(int(shown.get("start", 0)) + meta["start"])
        self.people.add(f"{meta['person']}/{meta['clip']}")
        self.windows.add(f"{meta['background']}/{meta['window']}")
        if "subject" in shown:
            self.subjects.add(str(shown["subject"]))

    def line(self) -> Line:
        """Return the names, ready for JSON."""
        return {
            "stretches": {
                motion: sorted(first) for motion, first in sorted(self.stretches.items())
            },
            "subjects": sorted(self.subjects),
            "people": sorted(self.people),
            "windows": sorted(self.windows),
        }

    def learn(self, line: Line) -> None:
        """Add the names in another object's `line`."""
        for motion, first in line["stretches"].items():
            self.stretches[motion].update(first)
        self.subjects.update(line["subjects"])
        self.people.update(line["people"])
        self.windows.update(line["windows"])

    def held(self, length: int) -> Held:
        """Return the counts, for clips of `length` frames."""
        frames = sum(_covered(first, length) for first in self.stretches.values())
        videos = {window.rsplit("/", 1)[0] for window in self.windows}
        return Held(
            motions=len(self.stretches),
            minutes=frames / FPS / 60,
            subjects=len(self.subjects),
            people=len(self.people),
            windows=len(self.windows),
            videos=len(videos),
        )


def held(lines: Iterable[Line], length: int) -> Held | None:
    """Return the counts over shards from their manifest lines; None if an older one lacks them."""
    variety = Variety()
    for line in lines:
        if "variety" not in line:
            return None
        variety.learn(line["variety"])
    return variety.held(length)


def _covered(starts: Iterable[int], length: int) -> int:
    """Return the number of frames covered by the segments of `length` frames at `starts`."""
    gaps = np.diff(sorted(starts))
    return length + int(np.minimum(gaps, length).sum())
