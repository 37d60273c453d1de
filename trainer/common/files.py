"""Files written whole or not at all, and JSON lines read up to the last whole one."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trainer.errors import BadInput, disk_fault

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # pyright: ignore[reportAssignmentType]

STALE = 600.0
"""Seconds without a change after which an unlocked temporary file counts as left behind: the locks
of other hosts may not be visible here."""


@contextmanager
def write_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once it is whole: flush, fsync, rename.

    A program killed at any moment leaves the former file or the new one, never half of one. After
    an exception the former file is left as it was; that of a full disk is a BadInput. The temporary
    file has a name that no other writer has and is locked; those of this path that killed writers
    left are removed first.
    """
    start = f".{path.name[:50]}."  # a name of 255 bytes has no room for more
    _sweep(path.parent, start)
    temporary = path.with_name(f"{start}{secrets.token_hex(12)}.tmp")
    try:
        with open(temporary, "xb") as file:
            _lock(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if sentence := disk_fault(error, path.parent):
            raise BadInput(sentence) from None
        raise


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one sentence."""
    try:
        yield
    except OSError as error:
        if sentence := disk_fault(error, folder):
            raise BadInput(sentence) from None
        raise


def _sweep(folder: Path, start: str) -> None:
    """Remove temporary files that begin so and that nobody writes."""
    for left in folder.glob(".*.tmp"):
        if left.name.startswith(start):
            with suppress(FileNotFoundError, PermissionError), open(left, "r+b") as file:
                old = time.time() - os.fstat(file.fileno()).st_mtime > STALE
                if old and _lock(file.fileno()) is not False:
                    left.unlink()


def _lock(file: int) -> bool | None:
    """Lock an open file; False if another writer has it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


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
