"""Pairs people and scenes: independent draws for every clip of every shard.

The paper samples people and videos independently. A clip's draw depends only on (seed, shard, clip)
and on which sources are usable, so any shard can be made alone. Sequences and videos are tried in a
random order until one is usable.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Integer

from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.record import Line
from datagen.common.seeds import generator

Known = Callable[[str], Line | None]
"""Maps a name to its manifest line, or None if it has not been tried yet."""


@dataclass(frozen=True)
class Choice:
    """The sources of one clip: a segment of a person clip and a window of a video."""

    person: str
    clip: int
    start: int
    background: str
    window: int


def starts_in_view(clip: Line, frames: int) -> Integer[np.ndarray, " m"]:
    """Return the start frames of segments that show the person in at least half of their frames.

    Args:
        clip: a person clip's entry in its manifest line; `in_view` lists the [first, stop) runs in
            which the pelvis is in the picture.
        frames: length of the segment.
    """
    seen = np.zeros(clip["frames"], int)
    for first, stop in clip["in_view"]:
        seen[first:stop] = 1
    total = np.concatenate([[0], np.cumsum(seen)])
    return np.flatnonzero(2 * (total[frames:] - total[:-frames]) >= frames)


@dataclass(frozen=True)
class Pairing:
    """Draws people and scenes by name for clips of `frames` frames (T+1)."""

    people: tuple[str, ...]
    scenes: tuple[str, ...]
    frames: int
    seed: int
    _starts: dict[str, tuple[Line, list[np.ndarray]]] = field(default_factory=dict, compare=False)
    """Manifest lines of people used so far, with the valid starts in each of their clips."""
    _met: dict[tuple[int, str], array] = field(default_factory=dict, compare=False)
    """Indices of the names that `missing` found for a shard's clips."""

    def missing(
        self, shard: int, clips: int, person: Known, scene: Known
    ) -> tuple[set[str], set[str]]:
        """Return the names of people and scenes that must be made before the choices can go on."""
        found: list[set[str]] = []
        for names, purpose, known in (
            (self.people, "person", person),
            (self.scenes, "scene", scene),
        ):
            met = [self._first(names, shard, clip, purpose, known) for clip in range(clips)]
            self._met[shard, purpose] = array("I", met)
            found.append({names[index] for index in met if known(names[index]) is None})
        return found[0], found[1]

    def choose(self, shard: int, clip: int, person: Known, scene: Known) -> Choice:
        """Return the clip's choice; all names from `missing` must be known."""
        rng = generator(self.seed, shard, clip, "choice")
        name = self._name(self.people, shard, clip, "person", person)
        starts = self._in_view(name, person(name) or {})
        usable = [index for index, some in enumerate(starts) if len(some)]
        part = usable[rng.integers(len(usable))]
        start = int(starts[part][rng.integers(len(starts[part]))])
        background = self._name(self.scenes, shard, clip, "scene", scene)
        window = int(rng.integers(len((scene(background) or {})["windows"])))
        return Choice(name, part, start, background, window)

    def _name(
        self, names: tuple[str, ...], shard: int, clip: int, purpose: str, known: Known
    ) -> str:
        """Return the first usable name in drawing order."""
        met = self._met.get((shard, purpose), ())
        if clip < len(met) and self._usable(name := names[met[clip]], known(name) or {}):
            return name  # names drawn before it were not usable and still are not
        return names[self._first(names, shard, clip, purpose, known)]

    def _first(
        self, names: tuple[str, ...], shard: int, clip: int, purpose: str, known: Known
    ) -> int:
        """Return the index of the first name in drawing order that is usable or not yet tried."""
        last = ""
        for index in self._drawn(len(names), shard, clip, purpose):
            line = known(names[index])
            if line is None or self._usable(names[index], line):
                return index
            last = f"{names[index]}: {self._fault(line)}"
        what, option = ("motion", "--motions") if purpose == "person" else ("video", "--videos")
        raise BadInput(
            f"none of {count(len(names), what)} is usable for clips of {self.frames} frames; "
            f"the last, {last}; give other files with {option}"
        )

    def _drawn(self, number: int, shard: int, clip: int, purpose: str) -> Iterator[int]:
        rng = generator(self.seed, shard, clip, purpose)
        for _ in range(20):  # cheap draws first, which suffice for a few bad files
            yield int(rng.integers(number))
        yield from map(int, rng.permutation(number))

    def _usable(self, name: str, line: Line) -> bool:
        if line.get("kind") == "body":
            return any(map(len, self._in_view(name, line)))
        return line.get("kind") == "background" and bool(line["windows"])

    def _fault(self, line: Line) -> str:
        """Return the reason why a line is not usable."""
        if line.get("kind") == "body":
            longest = max((clip["frames"] for clip in line["clips"]), default=0)
            short = longest < self.frames
            return f"has {longest} frames" if short else "its person is outside the picture"
        return line.get("reason", "has no window")

    def _in_view(self, name: str, person: Line) -> list[np.ndarray]:
        kept = self._starts.get(name)
        if kept is None or kept[0] is not person:
            kept = person, [starts_in_view(clip, self.frames) for clip in person["clips"]]
            self._starts[name] = kept
        return kept[1]
