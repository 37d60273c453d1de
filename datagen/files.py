"""Files that are whole or absent: temporary name, flush, rename."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` if the block succeeds.

    The process id in the name keeps two writers of the same file apart; a killed writer leaves
    only a `.tmp` file, which `sweep` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def sweep(folder: Path, age: float = 0) -> None:
    """Remove what killed writers left in `folder`, and have not touched for `age` seconds."""
    for leftover in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # its writer has finished or swept it
            if time.time() - leftover.stat().st_mtime >= age:
                leftover.unlink()


def sha256(path: Path) -> str:
    """Return the file's SHA-256, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
