"""The paths of a data set's files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from datagen.common.files import sizes

_SHARD = re.compile(r"shard-(\d{6})\.tar")


@dataclass(frozen=True)
class Layout:
    """The folders of one data set, on this machine or at a URL.

    manifests/ and library/ lie beside a folder called `shards`, and inside a folder of any other
    name.
    """

    shards: Path
    shared: Path | None = None
    """A library elsewhere, shared with other data sets."""

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
        """Return the size in bytes of each existing shard file by its number, sorted."""
        files = ((shard_number(name), size) for name, size in sizes(self.shards).items())
        return dict(sorted((number, size) for number, size in files if number is not None))


def shard_name(index: int) -> str:
    """Return the file name of shard `index`: shard-000123.tar."""
    return f"shard-{index:06d}.tar"


def shard_number(name: str) -> int | None:
    """Return the number in a shard's file name, None for any other file name."""
    match = _SHARD.fullmatch(name)
    return int(match[1]) if match else None
