"""Options of stage 5, tar shards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from datagen.common.options import Folder, require
from datagen.common.splits import Split

NUM_SHARDS = 8
"""Default number of shards of a data set."""

_RANGE = re.compile(r"\s*\d{1,6}(-\d{1,6})?\s*")


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """Stage 5: tar shards."""

    num_shards: int | None = None
    """Number of shards in the data set. A larger number in a later run adds the missing ones.
    Default: 8; with --labels-only, one for every --clips-per-shard motions."""
    shards: str | None = None
    """Make only these shards, numbered from 0: 4 is the fifth shard alone; 17,40-59 are 21 shards.
    Default: all."""
    clips_per_shard: int = 64
    """Clips in each shard."""
    out: Folder = Path("shards")
    """Output folder of the shards, or its URL (s3://bucket/data needs `pip install s3fs`, gs://
    needs gcsfs). manifests/ and library/ lie beside the folder if it is called `shards`, otherwise
    inside it."""
    library: Folder | None = None
    """Folder of rendered people and analysed scenes to reuse and extend, such as another data set's
    `library`: people and scenes that both data sets need are then made only once.
    Default: `library`, beside or inside --out."""
    labels_only: bool = False
    """Write only motions: SMPL pose, translation and the direction of gravity of every take,
    without people, scenes, pictures or flow. The trainer views them through virtual cameras. A take
    becomes one record, or several of at most 1,800 frames. This takes seconds and a few MB."""
    rgb: bool = True
    """Store the frames as one JPEG strip per clip; training on flow and keypoints does not need
    them."""
    split: Split = "train"
    """Which subjects and videos to use; splits share no subject and no video."""
    seed: int = 0
    """Seed of all random draws; 0 is a seed like any other."""

    def __post_init__(self) -> None:
        require(
            self.num_shards is None or self.num_shards >= 1,
            f"--num-shards must be at least 1, got {self.num_shards}",
        )
        require(
            1 <= self.clips_per_shard <= 10_000,
            f"--clips-per-shard must lie in [1, 10000], got {self.clips_per_shard}",
        )
        require(self.seed >= 0, f"--seed must not be negative, got {self.seed}")
        require(
            self.shards is None or all(map(_RANGE.fullmatch, self.shards.split(","))),
            f"--shards must be numbers and ranges such as 17,40-59, got {self.shards!r}",
        )
        require(
            all(first <= last for first, last in self._ranges()),
            f"--shards takes ranges with the smaller number first, got {self.shards!r}",
        )

    @property
    def total(self) -> int:
        """Shards in the data set."""
        return NUM_SHARDS if self.num_shards is None else self.num_shards

    def wanted(self) -> list[int]:
        """Return the numbers of the shards to make, sorted."""
        if self.shards is None:
            return list(range(self.total))
        return sorted({i for first, last in self._ranges() for i in range(first, last + 1)})

    def _ranges(self) -> list[tuple[int, int]]:
        """Return the first and last number of each part of --shards."""
        ends = (part.partition("-")[::2] for part in (self.shards or "0").split(","))
        return [(int(first), int(last or first)) for first, last in ends]
