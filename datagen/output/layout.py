"""The paths of a data set's files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from datagen.common.files import sizes

_SHARD = re.compile(r"shard-(\d{6})\.tar")


@dataclass(frozen=True)
class Layout:
    """The folders of one data set, on this machine or behind a URL.

    manifests/ and library/ are beside a folder called `shards` and inside any other.
    """

    shards: Path
    shared: Path | None = None
    """A library elsewhere that the data set shares with others."""

    @property
    def root(self) -> Path:
        return self.shards.parent if self.shards.name == "shards" else self.shards

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def library(self) -> Path:
        return self.shared or self.root / "library"

    @property
    def dataset(self) -> Path:
        return self.shards / "dataset.json"

    @property
    def body(self) -> Path:
        return self.shards / "body.npz"

    def body_of(self, gender: str) -> Path:
        return self.shards / f"body-{gender}.npz"

    @property
    def config(self) -> Path:
        return self.manifests / "config.json"

    @property
    def card(self) -> Path:
        return self.shards / "README.md"

    @property
    def croissant(self) -> Path:
        return self.shards / "croissant.json"

    def shard(self, index: int) -> Path:
        return self.shards / shard_name(index)

    def found(self) -> dict[int, int]:
        """Return the bytes of the shard files that exist by their numbers, in order."""
        files = ((shard_number(name), size) for name, size in sizes(self.shards).items())
        return dict(sorted((number, size) for number, size in files if number is not None))


def shard_name(index: int) -> str:
    """Return the file name of shard `index`: shard-000123.tar."""
    return f"shard-{index:06d}.tar"


def shard_number(name: str) -> int | None:
    """Return the number in a shard's file name, None in that of anything else."""
    match = _SHARD.fullmatch(name)
    return int(match[1]) if match else None
