"""Files written whole or not at all, and JSON lines read up to the last whole one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def write_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once it is whole: flush, fsync, rename.

    A program killed at any moment leaves the former file or the new one, never half of one. After
    an exception the former file is left as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, whole or not at all."""
    with write_atomic(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def json_lines(data: bytes) -> list[dict[str, Any]]:
    """Return the values of the lines of a .jsonl file.

    A line that ends in no newline is left out, as is any that is not a JSON object: a program that
    was killed, or that is still writing, leaves one cut short.
    """
    lines = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the values of the lines of a .jsonl file, as `json_lines`; none without a file."""
    try:
        return json_lines(path.read_bytes())
    except FileNotFoundError:
        return []
