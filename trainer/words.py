"""Numbers and paths in sentences."""

import shlex
from pathlib import Path


def count(number: int, noun: str) -> str:
    """Return a number of things as people say it: 1 shard, 2 shards, 96,000 clips."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def quoted(path: Path) -> str:
    """Return a path as a shell reads it, blanks and all."""
    return shlex.quote(str(path))
