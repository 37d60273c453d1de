"""Clips for other programs: an IterableDataset of decoded records."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from trainer.data.dataset import DataSet, open_datasets
from trainer.data.loader import sample
from trainer.data.options import store_of
from trainer.data.records import Damaged, decode
from trainer.data.stream import Stream, walk
from trainer.errors import BadInput

USUAL = ("flow", "joints2d", "joints3d", "visibility", "pose", "betas", "occluded", "valid")
"""Default arrays of a clip; flow only where the data set has it."""

Decoded = dict[str, Tensor | str]
"""A clip: `key`, and its arrays by name as docs/record.md describes them."""


def clips(
    shards: str | Path | Sequence[str | Path],
    *,
    arrays: Sequence[str] = USUAL,
    frames: int | None = None,
    shuffle: int = 256,
    seed: int = 0,
    on_damage: str = "skip",
    cache: str | Path | None = None,
    cache_size: str = "200GB",
) -> Clips:
    """Return the clips of shards as a torch IterableDataset; each pass over it is an epoch.

        from trainer.data import clips
        for clip in clips("s3://bucket/shards", arrays=("flow", "joints3d"), frames=16):
            clip["flow"]    # float16 [16, 2, h, w]

    Every clip comes once per epoch, in a new order each time; the ranks of torch.distributed and
    the workers of a DataLoader share the clips. Shards are checked as they are read. BadInput if
    there is no such data set.

    Args:
        shards: as `trainer.fit --shards`: folders, URLs, brace patterns, tars; several are mixed.
        arrays: names of the record's arrays, including `rgb` uint8 [T, 3, S, S], `camera`, `crop`,
        `trans`. frames: length of a random part of each clip. Default: whole clips of their own
        length. shuffle: size of the shuffle buffer, clips; 1 keeps the order of the file.
        on_damage: "skip" names a damaged clip and continues, "stop" raises BadInput.
        cache: folder in which shards of URLs are cached, up to cache_size.
    """
    texts = [shards] if isinstance(shards, str | Path) else list(shards)
    dataset = open_datasets(texts, store=store_of(Path(cache) if cache else None, cache_size))
    if dataset.labels_only:
        raise BadInput(f"{dataset.folder} holds motions, not clips.")
    wanted = set(arrays) - ({"flow"} if dataset.keypoints_only else set())
    stream = Stream(
        dataset=dataset,
        arrays=frozenset(wanted | {"occluded"}),
        frames=frames or 0,
        spacing=1,
        batch_size=1,
        seed=seed,
        shuffle=shuffle,
        on_damage="stop" if on_damage == "stop" else "skip",
    )
    return Clips(stream, frozenset(wanted))


class Clips(IterableDataset[Decoded]):
    """The clips of shards, decoded; `epoch` is the number of the next pass.

    The workers of a DataLoader have copies that are not updated: set `epoch` before each pass, as
    for a DistributedSampler.
    """

    def __init__(self, stream: Stream, wanted: frozenset[str]) -> None:
        self.stream, self.wanted = stream, wanted
        self.epoch = 0

    @property
    def dataset(self) -> DataSet:
        """The metadata: names of the joints, frames per second, the body's file."""
        return self.stream.dataset

    def __iter__(self) -> Iterator[Decoded]:
        rank, world = ranks()
        worker = get_worker_info()
        part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
        consumer, consumers = rank * parts + part, world * parts
        epoch, self.epoch = self.epoch, self.epoch + 1
        for item in walk(self.stream, consumers, consumer, epochs=[epoch]):
            record = item if isinstance(item, Damaged) else item[0]
            try:
                if isinstance(record, Damaged):
                    raise record
                if self.stream.frames:
                    found = sample(self.stream, record, epoch)
                else:
                    found = decode(record, self.stream.arrays, self.dataset)
            except Damaged as error:
                if self.stream.on_damage == "stop":
                    raise BadInput(str(error)) from None
                print(f"skipped: {error}", file=sys.stderr)
                continue
            tensors = {name: torch.from_numpy(np.array(found[name])) for name in self.wanted}
            yield {"key": record.key, **tensors}


def ranks() -> tuple[int, int]:
    """Return this process's rank and the number of ranks, of torch.distributed or torchrun."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
