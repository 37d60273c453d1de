"""Atomic file writes, and reading JSON lines up to the last complete one."""

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
    """Open a file for writing that gets its name only when complete: flush, fsync, rename.

    A program killed at any moment leaves the former file or the new one, never a partial one. After
    an exception the former file is unchanged; a full disk gives BadInput. The temporary file has a
    unique name and is locked; those that killed writers left for this path are removed first.
    """
    start = f".{path.name[:50]}."  # file names have at most 255 bytes
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
    """Remove temporary files with this prefix that no process is writing."""
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
    """Write a value as indented JSON, atomically."""
    with write_atomic(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def json_lines(data: bytes) -> list[dict[str, Any]]:
    """Return the values of the lines of a .jsonl file.

    A line without a final newline, or that is not a JSON object, is left out: a program that was
    killed, or is still writing, leaves a truncated line.
    """
    lines = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
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
