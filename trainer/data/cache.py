"""A cache of shards of URLs on this machine that removes the least recently used."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import uuid
from pathlib import Path

from trainer.data.places import Url
from trainer.errors import BadInput

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
STALE = 3600.0
"""Seconds without a new byte after which a partial shard counts as left by a killed process."""


def size_in_bytes(text: str) -> int:
    """Return the bytes that 200GB, 500 MB or 1T mean; ValueError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text.upper())
    if not found or not float(found[1]):
        raise ValueError(f"{text!r} is no size such as 200GB")
    return int(float(found[1]) * UNITS[found[2]])


class ShardCache:
    """A folder with at most `limit` bytes of shards, each written completely or not at all.

    Any number of processes may use one folder. A shard that another process removes can still be
    read to its end, as an open file exists until it is closed.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for part in folder.glob(".*.part"):
                if _age(part) > STALE:
                    part.unlink(missing_ok=True)
        except OSError as error:
            raise BadInput(f"--cache {folder} cannot be used ({error.strerror}).") from None

    def path(self, url: Url, version: str) -> Path:
        """Return a shard's path in the cache; version distinguishes replaced shards."""
        key = hashlib.sha256(f"{url}\n{version}".encode()).hexdigest()[:24]
        return self.folder / f"{key}.tar"

    def find(self, path: Path) -> bool:
        """Return whether a shard is cached, and mark it as most recently used."""
        try:
            os.utime(path)
        except OSError:
            return False
        return True

    def part(self, path: Path) -> Path:
        """Return a new path for a shard being downloaded."""
        return path.with_name(f".{path.stem}.{uuid.uuid4().hex}.part")

    def keep(self, part: Path, path: Path) -> None:
        """Rename a complete shard, and remove the least recently used beyond the limit."""
        room = self.limit - part.stat().st_size
        if room < 0:
            part.unlink()
            return
        kept = []
        for other in self.folder.glob("*.tar"):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                found = other.stat()
                kept.append((found.st_mtime_ns, found.st_size, other))
        for _, size, other in sorted(kept, reverse=True):
            room -= size
            if room < 0 and other != path:
                other.unlink(missing_ok=True)
        os.replace(part, path)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
