"""Which person meets which scene: independent draws for every clip of every shard.

The paper samples people and videos independently. A clip's draw is a function of (seed, shard,
clip) and of what is usable, so any shard can be made alone. Sequences and videos are tried in a
drawn order until one is usable: a bad one costs itself only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from datagen.errors import BadInput
from datagen.seeds import generator

Line = dict[str, Any]
Known = Callable[[str], Line | None]
"""Name → its manifest line, or None if it has not been tried yet."""


@dataclass(frozen=True)
class Choice:
    """What one clip is made of: a stretch of a person clip and a window of a video."""

    person: str
    clip: int
    start: int
    background: str
    window: int


def starts_in_view(clip: Line, frames: int) -> np.ndarray:
    """Return the frames at which a stretch may start that shows its person half of the time.

    Args:
        clip: a person clip's part of its manifest line; `in_view` lists the [first, stop) stretches
            in which the pelvis is in the picture.
        frames: length of the stretch.
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

    def missing(
        self, shard: int, clips: int, person: Known, scene: Known
    ) -> tuple[set[str], set[str]]:
        """Return the names of people and scenes to make before the shard's next step is known."""
        people: set[str] = set()
        scenes: set[str] = set()
        for clip in range(clips):
            for names, purpose, known, wanted in (
                (self.people, "person", person, people),
                (self.scenes, "scene", scene, scenes),
            ):
                name = self._first(names, shard, clip, purpose, known)
                if known(name) is None:
                    wanted.add(name)
        return people, scenes

    def choose(self, shard: int, clip: int, person: Known, scene: Known) -> Choice:
        """Return the clip's choice; everything that `missing` names must be known by now."""
        rng = generator(self.seed, shard, clip, "choice")
        name = self._first(self.people, shard, clip, "person", person)
        starts = [starts_in_view(entry, self.frames) for entry in (person(name) or {})["clips"]]
        usable = [index for index, some in enumerate(starts) if len(some)]
        part = usable[rng.integers(len(usable))]
        start = int(rng.choice(starts[part]))
        background = self._first(self.scenes, shard, clip, "scene", scene)
        window = int(rng.integers(len((scene(background) or {})["windows"])))
        return Choice(name, part, start, background, window)

    def _first(
        self, names: tuple[str, ...], shard: int, clip: int, purpose: str, known: Known
    ) -> str:
        """Return the first drawn name that is usable or not yet tried."""
        for name in self._drawn(names, shard, clip, purpose):
            line = known(name)
            if line is None or self._usable(line):
                return name
        what, option = ("motion", "--motions") if purpose == "person" else ("video", "--videos")
        raise BadInput(
            f"none of the {len(names)} {what}s is usable for clips of {self.frames} frames; "
            f"manifests/quarantine.jsonl says why; give other files with {option}"
        )

    def _drawn(self, names: tuple[str, ...], shard: int, clip: int, purpose: str) -> Iterator[str]:
        rng = generator(self.seed, shard, clip, purpose)
        for _ in range(20):  # cheap draws first; a few bad files are met here
            yield names[rng.integers(len(names))]
        yield from (names[index] for index in rng.permutation(len(names)))

    def _usable(self, line: Line) -> bool:
        if line["kind"] == "body":
            return any(len(starts_in_view(clip, self.frames)) for clip in line["clips"])
        return line["kind"] == "background" and bool(line["windows"])
