"""Manifests: append-only JSON lines, one for each finished or failed item.

Each line ends with its own checksum.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from datagen.common import checksum
from datagen.common.files import is_local, make_folder, read_all, sizes, whole, writing
from datagen.common.record import Line
from datagen.output.layout import Layout

_MARK = f'"{checksum.FIELD}":'.encode()


class Manifest:
    """One .jsonl file. An incomplete last line is ignored and overwritten, a damaged line ignored.

    Lines of older releases have no checksum. They precede those that have one: a later line without
    a checksum has lost it, and is damaged.

    Files at a URL cannot be appended to: every line becomes a small file in the folder
    `NAME.jsonl.parts` beside it, and `join` merges them into the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = path.with_name(f"{path.name}.parts")

    def lines(self) -> list[Line]:
        """Return every intact line, oldest first; none if the file does not exist."""
        return [line for _, line in self._parsed() if line is not None]

    def damaged(self) -> int:
        """Return the number of damaged lines."""
        torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        lines = self._parsed()
        return torn + sum(line is None or text != _text(line, text) for text, line in lines)

    def latest(self, key: str) -> dict[Any, Line]:
        """Return the newest line for each value of `key`."""
        kinds = (int, str)  # a damaged line may hold anything
        return {line[key]: line for line in self.lines() if isinstance(line.get(key), kinds)}

    def checked(self) -> list[Line]:
        """Return the intact lines that have a checksum."""
        return [line for text, line in self._parsed() if line is not None and _MARK in text]

    def append(self, line: Line) -> None:
        """Append a line and flush it to disk."""
        text = _text(checksum.added(line)) + b"\n"
        if not is_local(self.path):
            # Names sort by time; the random suffix prevents collisions of two writers.
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.jsonl"
            with whole(self._parts / name) as temporary:
                temporary.write_bytes(text)
            return
        make_folder(self.path.parent)
        with writing(self.path.parent), open(self.path, "a+b") as file:
            with suppress(OSError):  # without locks, only one launch appends
                fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.seek(0)
                    end = file.read().rfind(b"\n") + 1
                    file.truncate(end)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), end)
                raise

    def join(self) -> None:
        """Merge the parts into the file; a kill half-way leaves harmless duplicate lines."""
        if self._texts()[1]:
            self.clean()

    def clean(self) -> None:
        """Rewrite the file without damaged lines; nothing may append to it meanwhile."""
        _, parts = self._texts()
        texts = [text for text, line in self._parsed() if line is not None]
        with whole(self.path) as temporary:
            temporary.write_bytes(b"".join(text + b"\n" for text in texts))
        for part in parts:
            part.unlink(missing_ok=True)

    def _parsed(self) -> list[tuple[bytes, Line | None]]:
        """Return the text and the object of each complete line; None for a damaged one."""
        found: list[tuple[bytes, Line | None]] = []
        marked = False
        for text in self._texts()[0]:
            line = parsed(text)
            lost = marked and _MARK not in text
            marked |= line is not None and _MARK in text
            found.append((text, None if lost else line))
        return found

    def _texts(self) -> tuple[list[bytes], list[Path]]:
        """Return all complete lines, and the part files that hold some of them."""
        parts: list[Path] = []
        if not is_local(self.path):
            parts = [self._parts / name for name in sorted(sizes(self._parts))]
        data = self.path.read_bytes() if self.path.exists() else b""
        texts = data[: data.rfind(b"\n") + 1] + b"".join(read_all(parts))
        return texts.split(b"\n")[:-1], parts


def parsed(text: bytes) -> Line | None:
    """Return a line's object without its checksum; None for a damaged line, whose shard then counts
    as missing and is made again."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return checksum.removed(line) if checksum.holds(line) else None


def _text(line: Line, like: bytes = b"") -> bytes:
    """Return a line's text; with a checksum if the original text `like` has one."""
    line = checksum.added(line) if _MARK in like else line
    return json.dumps(line, separators=(",", ":")).encode()


def shard_lines(layout: Layout) -> dict[int, Line]:
    """Return the newest manifest line of each shard, by shard number."""
    lines = Manifest(layout.manifests / "shards.jsonl").latest("shard")
    return {index: line for index, line in lines.items() if type(index) is int and index >= 0}


def finished_shards(layout: Layout) -> dict[int, Line]:
    """Return the manifest lines of the shards whose files exist with their recorded size."""
    lines = shard_lines(layout)
    found = layout.found()
    return {
        index: line for index, line in lines.items() if found.get(index, -1) == line.get("bytes")
    }
