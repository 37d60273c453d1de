"""Manifests: append-only JSON lines, one for each thing that is finished or failed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Manifest:
    """One .jsonl file; a line torn by a kill is ignored and overwritten, a damaged one ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[Line]:
        """Return every whole line, oldest first; none if the file does not exist."""
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        parsed = map(_parse, data[: data.rfind(b"\n") + 1].splitlines())
        return [line for line in parsed if line is not None]

    def latest(self, key: str) -> dict[Any, Line]:
        """Return the newest line for each value of `key`."""
        return {line[key]: line for line in self.lines() if key in line}

    def append(self, line: Line) -> None:
        """Add a line and flush it to the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _parse(text: bytes) -> Line | None:
    """Return a line's object, or None for one that bad storage has damaged: what it told of is
    then taken for missing, and made again."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
