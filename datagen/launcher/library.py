"""A run's library of people or scenes: its sources, their tasks and their state."""

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
"""`kind` of the line of a source that cannot be used; the line gives the `reason`."""

MakeTask = Callable[[Any, Path, str | None], Task]
"""Returns the task that makes a source's file at a path, from inputs with that content digest."""


@dataclass(frozen=True)
class LibraryFile:
    """A finished file and the SHA-256 of its bytes."""

    path: Path
    sha256: str
    checked: bool = True
    """Whether the file has its own checksums, verified on every read."""

    def local(self) -> Path:
        """Return the file on this machine; for a URL, its copy in the cache.

        Raises BadInput for a file without its own checksums that has changed.
        """
        path = cached(self.path, self.sha256)
        if not self.checked:
            _check(path, self.sha256)
        return path


@lru_cache(maxsize=4096)
def _check(path: Path, digest: str) -> None:
    """Raise BadInput unless a file has this SHA-256; each process checks a file once."""
    if path.exists() and sha256(path) != digest:
        raise BadInput(f"{path} has changed since it was made; delete it and run the same command")


class Library:
    """One library (people or scenes): its sources by name, their tasks and their results."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        sources: Iterable[Any],
        make: MakeTask,
        *,
        plans: bool = False,
    ) -> None:
        """`plans`: write nothing, and hash only the sources that already have library files."""
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
        """Reason of the last failure."""
        self._doubtful: dict[str, str] = {}
        """Reasons of failures that another attempt might not see."""
        self._listed = {(line["name"], line.get("sha256")) for line in manifest.lines()}

    def known(self, name: str) -> Line | None:
        """Return the manifest line of a finished or failed source, None if not tried yet."""
        line = self._known.get(name)
        if not self._plans and line is not None and line.get("kind") != FAILED:
            item = (name, line.get("sha256"))
            if item not in self._listed:  # made by another run or data set
                self._listed.add(item)
                self.manifest.append(line)
        return line

    def file(self, name: str) -> LibraryFile:
        """Return the finished file of a source."""
        line = self._known[name]
        return LibraryFile(self._path(name), line["sha256"], checked="checks" in line)

    def learn(self, name: str, line: Line) -> None:
        """Record a source's result; a finished one gets its line in the manifest."""
        self._known[name] = line
        self.known(name)

    def fail(self, name: str, reason: str, *, bad_input: bool) -> None:
        """Record that a source failed; `bad_input` is false if, say, its worker died."""
        self.reason = reason
        self.learn(name, {"kind": FAILED, "reason": reason})
        if not bad_input:
            self._doubtful[name] = reason

    def settle(self) -> None:
        """Exclude failed sources permanently, before shards are made without them."""
        for name, reason in sorted(self._doubtful.items()):
            give_up(self._path(name), name, reason, self._contents[name])
        self._doubtful.clear()

    def task(self, name: str) -> Task:
        """Return the task that makes the file of source `name`."""
        return self._make(self.sources[name], self._path(name), self._contents[name])

    def longest_first(self, names: Iterable[str]) -> list[str]:
        """Return the names sorted so that long tasks start first."""
        sources = self.sources
        return sorted(names, key=lambda name: (-effort(sources[name]), name))

    def tried(self) -> int:
        return len(self._known)

    def failures(self) -> int:
        return sum(line.get("kind") == FAILED for line in self._known.values())

    def _path(self, name: str) -> Path:
        return self.folder / f"{stem(name, self._contents[name])}.h5"


def stem(name: str, content: str | None) -> str:
    """Return the file name of a source in a library, without suffix.

    Inputs with the same name but different content get different files, even if several data sets
    share the library.
    """
    return name if content is None else f"{name}-{content[:12]}"


def with_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the names of sources that may have a file in a library, with any content."""
    stems = {name.removesuffix(".json") for name in sizes(folder)}
    stems |= {stem[:-13] for stem in stems}
    return [name for name in names if name in stems]


def effort(source: Any) -> float:
    """Return a number that grows with the time that a source's task takes."""
    from datagen.bodies.motion import embedded

    return _size(source) or embedded.lengths().get(source.name, 0)


def finished(folder: Path, contents: Mapping[str, str | None]) -> dict[str, Line]:
    """Return the manifest lines of the complete library files, by source name.

    Each line is in a file beside the library file, written after it, and holds the digest of all
    files that it was made from, so a replaced input is processed again. Sources that were given up
    (`give_up`) also have a line, of kind FAILED.

    contents: digests of the sources, by name.
    """
    found = sizes(folder)
    stems = {name: stem(name, content) for name, content in contents.items()}
    names = [name for name in contents if f"{stems[name]}.json" in found]
    lines: dict[str, Line] = {}
    texts = read_all(folder / f"{stems[name]}.json" for name in names)
    for name, text in zip(names, texts, strict=True):
        with suppress(ValueError, RecursionError):  # a damaged line: the file is made again
            line = json.loads(text)
            if not checksum.holds(line) or line.get("content") != contents[name]:
                continue
            size = found.get(f"{stems[name]}.h5")
            if line.get("kind") == FAILED or (size is not None and size == line.get("bytes")):
                lines[name] = checksum.removed(line)
    return lines


def give_up(path: Path, name: str, reason: str, content: str | None) -> None:
    """Record, beside a library file's place, why it will not be made.

    For failures that might not recur: shards already made without the source and those still to
    come must agree, even after a restart.
    """
    note = path.with_suffix(".json")
    line = {"kind": FAILED, "name": name, "content": content}
    line |= {"reason": f"{reason} (given up; remove {note} to try it again)"}
    write_json(note, checksum.added(line))


def add(path: Path, build: Callable[[Path], Line], source: Any, content: str | None = None) -> Line:
    """Build a library file, then write its line beside it; a file without a line is unfinished.

    content: digest of the source's files when the run began. Raises BadInput if it has changed.
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
    files = getattr(source, "files", [source.path])  # a SURREAL sequence has many
    return sum(Path(file).stat().st_size for file in files)
