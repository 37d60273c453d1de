"""A library of people or scenes in a run: its sources, its tasks, and the state of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from datagen.cluster.outcome import Task
from datagen.common.files import cached, is_local, read_all, sizes, whole, write_json
from datagen.common.record import Line
from datagen.output.manifest import Manifest

FAILED = "failed"
"""Kind of the line of a source that cannot be used; it gives the `reason`."""

MakeTask = Callable[[Any, Path], Task]
"""Returns the task that makes a source's file under a path."""


class Library:
    """One library (people or scenes): its sources by name, its tasks, what is known of each."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        sources: Iterable[Any],
        make: MakeTask,
        *,
        lists: bool = True,
    ) -> None:
        """`lists`: whether the manifest gets the lines of what is used; a plan writes nothing."""
        self.folder = folder
        self.manifest = manifest
        self._lists = lists
        self.sources = {source.name: source for source in sources}
        self._make = make
        self._known: dict[str, Line] = finished(folder, self.sources)
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
            give_up(self._path(name), self.sources[name], reason)
        self._doubtful.clear()

    def task(self, name: str) -> Task:
        """Return the task that makes the file of source `name`."""
        return self._make(self.sources[name], self._path(name))

    def longest_first(self, names: Iterable[str]) -> list[str]:
        """Return the names in the order that leaves no long task for the end."""
        sources = self.sources
        return sorted(names, key=lambda name: (-effort(sources[name]), name))

    def tried(self) -> int:
        return len(self._known)

    def failures(self) -> int:
        return sum(line.get("kind") == FAILED for line in self._known.values())

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.h5"


def effort(source: Any) -> float:
    """Return a number that grows with the time that a source's task takes."""
    from datagen.bodies.motion import embedded

    return _size(source) or embedded.lengths().get(source.name, 0)


def local_file(folder: Path, name: str) -> Path:
    """Return the library file of a source on this machine; behind a URL, its copy in the cache."""
    path = folder / f"{name}.h5"
    if is_local(path):
        return path
    return cached(path, _line(path)["sha256"])


def finished(folder: Path, sources: Mapping[str, Any]) -> dict[str, Line]:
    """Return the manifest lines of the library files that are whole, by their sources' names.

    The line is in a file beside it, written after it. It holds the size of the source, of all
    files that it was made from, so that a replaced input is made anew. Sources that were given up
    (`give_up`) have a line as well, of kind FAILED.
    """
    found = sizes(folder)
    names = [name for name in sources if f"{name}.json" in found]
    lines: dict[str, Line] = {}
    texts = read_all(folder / f"{name}.json" for name in names)
    for name, text in zip(names, texts, strict=True):
        with suppress(json.JSONDecodeError):
            line = json.loads(text)
            whole = line["kind"] == FAILED or found.get(f"{name}.h5") == line["bytes"]
            if whole and _size(sources[name]) == line["source_bytes"]:
                lines[name] = line
    return lines


def give_up(path: Path, source: Any, reason: str) -> None:
    """Write beside where a library file would be that it is not made, and why.

    For a failure that a later try might not see again: shards that were made without the source
    and those still to come must agree, also after a restart.
    """
    note = path.with_suffix(".json")
    line = {"kind": FAILED, "name": source.name, "source_bytes": _size(source)}
    write_json(note, line | {"reason": f"{reason} (given up; remove {note} to try it again)"})


def add(path: Path, build: Callable[[Path], Line], source: Any) -> Line:
    """Build a library file, then write its line beside it: a file without one is unfinished."""
    if is_local(path):
        line = build(path)
    else:
        with whole(path) as unfinished:
            line = {**build(unfinished), "file": path.name}
    kind = "embedded" if source.path is None else Path(source.path).suffix.lower()
    line = {**line, "source": kind, "source_bytes": _size(source)}
    write_json(path.with_suffix(".json"), line)
    return line


@cache
def _line(path: Path) -> Line:
    return json.loads(path.with_suffix(".json").read_text())


def _size(source: Any) -> int | None:
    """Return the bytes of all files that a source is made from; None if it is embedded."""
    if source.path is None:
        return None
    files = getattr(source, "files", [source.path])  # a sequence of SURREAL's has many
    return sum(Path(file).stat().st_size for file in files)
