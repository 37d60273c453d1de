"""A library of people or scenes, as the driver sees it: what it is made from, and what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from datagen.cluster.outcome import Task
from datagen.common.record import Line
from datagen.launcher import tasks
from datagen.launcher.tasks import FAILED
from datagen.output.manifest import Manifest


class Library:
    """One library (people or scenes): its sources by name, its tasks, what is known of each."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        sources: Iterable[Any],
        make: Callable,
        *,
        lists: bool = True,
    ) -> None:
        """`lists`: whether the manifest gets the lines of what is used; a plan writes nothing."""
        self.folder = folder
        self.manifest = manifest
        self._lists = lists
        self.sources = {source.name: source for source in sources}
        self._make = make
        self._known: dict[str, Line] = tasks.finished(folder, self.sources)
        self.reason = ""
        """Why the last failure failed."""
        self._doubtful: dict[str, str] = {}
        """Why sources failed that another try might not find bad."""
        self._listed = {line["name"] for line in manifest.lines()}

    def known(self, name: str) -> Line | None:
        """Return the manifest line of a finished or failed source, None if not tried yet."""
        line = self._known.get(name)
        unlisted = self._lists and name not in self._listed
        if unlisted and line is not None and line.get("kind") != FAILED:
            self._listed.add(name)  # of another run or data set
            self.manifest.append(line)
        return line

    def learn(self, name: str, line: Line) -> None:
        """Remember what came of a source; a finished one gets its line in the manifest."""
        self._known[name] = line
        self.known(name)

    def fail(self, name: str, reason: str, *, bad_input: bool) -> None:
        """Remember that a source cannot be used; not bad_input: its worker died, or worse."""
        self.reason = reason
        self.learn(name, {"kind": FAILED, "reason": reason})
        if not bad_input:
            self._doubtful[name] = reason

    def settle(self) -> None:
        """Leave failed sources out for good, as shards are about to be made without them."""
        for name, reason in sorted(self._doubtful.items()):
            tasks.give_up(self._path(name), self.sources[name], reason)
        self._doubtful.clear()

    def task(self, name: str) -> Task:
        """Return the task that makes the file of source `name`."""
        return self._make(self.sources[name], self._path(name))

    def longest_first(self, names: Iterable[str]) -> list[str]:
        """Return the names in the order that leaves no long task for the end."""
        sources = self.sources
        return sorted(names, key=lambda name: (-tasks.effort(sources[name]), name))

    def tried(self) -> int:
        return len(self._known)

    def failures(self) -> int:
        return sum(line.get("kind") == FAILED for line in self._known.values())

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.h5"
