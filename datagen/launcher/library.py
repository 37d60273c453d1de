"""A library of people or scenes in a run: its sources, its tasks, and the state of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from datagen.cluster.outcome import Task
from datagen.common import checksum
from datagen.common.errors import BadInput
from datagen.common.files import cached, is_local, read_all, sha256, sizes, whole, write_json
from datagen.common.record import Line
from datagen.launcher.contents import contents
from datagen.output.manifest import Manifest

FAILED = "failed"
"""Kind of the line of a source that cannot be used; it gives the `reason`."""

MakeTask = Callable[[Any, Path, str | None], Task]
"""Returns the task that makes a source's file under a path, from inputs of that content."""


@dataclass(frozen=True)
class LibraryFile:
    """A finished file and the SHA-256 of its bytes."""

    path: Path
    sha256: str
    checked: bool = True
    """Whether the file's own checksums are verified as it is read."""

    def local(self) -> Path:
        """Return the file on this machine; of one behind a URL, its copy in the cache.

        Raises BadInput for a file without own checksums that has changed.
        """
        path = cached(self.path, self.sha256)
        if not self.checked:
            _check(path, self.sha256)
        return path


@lru_cache(maxsize=4096)
def _check(path: Path, digest: str) -> None:
    """Raise BadInput unless a file has this SHA-256; a process asks once."""
    if path.exists() and sha256(path) != digest:
        raise BadInput(f"{path} has changed since it was made; delete it and run the same command")


class Library:
    """One library (people or scenes): its sources by name, its tasks, what is known of each."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        sources: Iterable[Any],
        make: MakeTask,
        *,
        plans: bool = False,
    ) -> None:
        """`plans`: nothing is written, and of the sources only those are read that have files."""
        self.folder = folder
        self.manifest = manifest
        self._plans = plans
        self.sources = {source.name: source for source in sources}
        there = with_files(folder, self.sources) if plans else self.sources
        read = contents([self.sources[name] for name in there], "inputs")
        self._contents: dict[str, str | None] = {**dict.fromkeys(self.sources), **read}
        self._make = make
        self._known: dict[str, Line] = finished(folder, read)
        self.reason = ""
        """Why the last failure failed."""
        self._doubtful: dict[str, str] = {}
        """Why sources failed that another try might not find bad."""
        self._listed = {(line["name"], line.get("sha256")) for line in manifest.lines()}

    def known(self, name: str) -> Line | None:
        """Return the manifest line of a finished or failed source, None if not tried yet."""
        line = self._known.get(name)
        if not self._plans and line is not None and line.get("kind") != FAILED:
            item = (name, line.get("sha256"))
            if item not in self._listed:  # of another run or data set
                self._listed.add(item)
                self.manifest.append(line)
        return line

    def file(self, name: str) -> LibraryFile:
        """Return the finished file of a source."""
        line = self._known[name]
        return LibraryFile(self._path(name), line["sha256"], checked="checks" in line)

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
            give_up(self._path(name), name, reason, self._contents[name])
        self._doubtful.clear()

    def task(self, name: str) -> Task:
        """Return the task that makes the file of source `name`."""
        return self._make(self.sources[name], self._path(name), self._contents[name])

    def longest_first(self, names: Iterable[str]) -> list[str]:
        """Return the names in the order that leaves no long task for the end."""
        sources = self.sources
        return sorted(names, key=lambda name: (-effort(sources[name]), name))

    def tried(self) -> int:
        return len(self._known)

    def failures(self) -> int:
        return sum(line.get("kind") == FAILED for line in self._known.values())

    def _path(self, name: str) -> Path:
        return self.folder / f"{stem(name, self._contents[name])}.h5"


def stem(name: str, content: str | None) -> str:
    """Return the name of a source's files in a library, without suffix.

    Inputs of one name and other content have each their own, whichever data sets share the library.
    """
    return name if content is None else f"{name}-{content[:12]}"


def with_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the names of sources that may have a file in a library, of whatever content."""
    stems = {name.removesuffix(".json") for name in sizes(folder)}
    stems |= {stem[:-13] for stem in stems}
    return [name for name in names if name in stems]


def effort(source: Any) -> float:
    """Return a number that grows with the time that a source's task takes."""
    from datagen.bodies.motion import embedded

    return _size(source) or embedded.lengths().get(source.name, 0)


def finished(folder: Path, contents: Mapping[str, str | None]) -> dict[str, Line]:
    """Return the manifest lines of the library files that are whole, by their sources' names.

    The line is in a file beside it, written after it, and holds the content of all files that it
    was made from, so that a replaced input is made anew. Sources that were given up (`give_up`)
    have a line as well, of kind FAILED.

    contents: of the sources, by name.
    """
    found = sizes(folder)
    stems = {name: stem(name, content) for name, content in contents.items()}
    names = [name for name in contents if f"{stems[name]}.json" in found]
    lines: dict[str, Line] = {}
    texts = read_all(folder / f"{stems[name]}.json" for name in names)
    for name, text in zip(names, texts, strict=True):
        with suppress(ValueError, RecursionError):  # a damaged line: its file is made again
            line = json.loads(text)
            if not checksum.holds(line) or line.get("content") != contents[name]:
                continue
            size = found.get(f"{stems[name]}.h5")
            if line.get("kind") == FAILED or (size is not None and size == line.get("bytes")):
                lines[name] = checksum.removed(line)
    return lines


def give_up(path: Path, name: str, reason: str, content: str | None) -> None:
    """Write beside where a library file would be that it is not made, and why.

    For a failure that a later try might not see again: shards that were made without the source
    and those still to come must agree, also after a restart.
    """
    note = path.with_suffix(".json")
    line = {"kind": FAILED, "name": name, "content": content}
    line |= {"reason": f"{reason} (given up; remove {note} to try it again)"}
    write_json(note, checksum.added(line))


def add(path: Path, build: Callable[[Path], Line], source: Any, content: str | None = None) -> Line:
    """Build a library file, then write its line beside it: a file without one is unfinished.

    content: what the source's files held when the run began. Raises BadInput if it is other now.
    """
    if is_local(path):
        line = build(path)
    else:
        with whole(path) as unfinished:
            line = {**build(unfinished), "file": path.name}
    now = contents([source], "inputs")[source.name]
    if content not in (None, now):
        if is_local(path):
            path.unlink()
        raise BadInput(f"{source.path} was changed during the run; run the same command again")
    kind = "embedded" if source.path is None else Path(source.path).suffix.lower()
    line = {**line, "source": kind, "content": now}
    write_json(path.with_suffix(".json"), checksum.added(line))
    return line


def _size(source: Any) -> int | None:
    """Return the bytes of all files that a source is made from; None if it is embedded."""
    if source.path is None:
        return None
    files = getattr(source, "files", [source.path])  # a sequence of SURREAL's has many
    return sum(Path(file).stat().st_size for file in files)
