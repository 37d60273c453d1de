"""Batches from shards: read front to back, shuffled, split, and resumable to the clip.

Every consumer (a worker of a rank) walks its own endless stream of epochs. An epoch is a
permutation of the shards dealt to the consumers, so no clip is seen twice in it; consumers with
fewer clips simply start their next epoch sooner, so uneven shards never leave a rank waiting.
Everything drawn depends on (seed, epoch, clip) alone. Letters: B clips, T frames.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from trainer.errors import BadInput
from trainer.inputs import Batch
from trainer.shards import WHOLE, Damaged, DataSet, Record, decode, members_of, read_shard

TARGETS = frozenset({"joints2d", "joints3d", "visibility"})
"""Labels that the losses and the metrics need."""
PATIENCE = 20
"""Epochs without one readable clip after which a consumer gives up."""


class NothingLeft(Damaged):
    """All shards of a consumer are damaged or empty."""


def wanted_arrays(inputs: str, *, targets: bool = True, parameters: bool = False) -> frozenset[str]:
    """Return the arrays to decode for these inputs, and nothing else.

    targets adds what losses and metrics need, parameters SMPL's pose and betas.
    """
    parts = set(inputs.split("+"))
    arrays = {"occluded", "valid"} | ({"flow", "rgb"} & parts)
    if "keypoints" in parts:
        arrays.add("joints2d")
    if targets:
        arrays |= TARGETS
    return frozenset(arrays | ({"pose", "betas"} if parameters else set()))


class Position(NamedTuple):
    """Where a rank's loader stands: batches taken, and records drawn by each worker."""

    batches: int
    drawn: list[int]


class Delivered(NamedTuple):
    """A batch, with what its worker wants said."""

    batch: Batch
    keys: list[str]
    epoch: float
    drawn: int
    damaged: list[str]


@dataclass(frozen=True)
class Stream:
    """What a consumer reads and how it draws."""

    dataset: DataSet
    arrays: frozenset[str]
    frames: int
    batch_size: int
    seed: int
    shuffle: int
    """Clips held back to be drawn from; 1 keeps the order of the tape."""
    on_damage: Literal["skip", "stop"]


def deal(
    shards: int, consumers: int, consumer: int, seed: int, epoch: int
) -> list[tuple[int, int]]:
    """Return the (shard, part) units of an epoch that this consumer reads, in its order.

    With fewer shards than consumers, shards are read in parts: part p of n is every n-th clip.
    """
    parts = -(-consumers // shards)
    units = np.random.default_rng([seed, epoch]).permutation(shards * parts)
    return [(int(u) // parts, int(u) % parts) for u in units[consumer::consumers]]


def walk(
    stream: Stream, consumers: int, consumer: int, skip: int = 0
) -> Iterator[tuple[Record, int] | Damaged]:
    """Yield (loaded record, epoch) without end, in shuffled order, after skipping some records.

    Skipped records are not read, only passed over by their headers, so a resume is quick.
    Damaged shards are yielded as errors once an epoch.
    """
    shards = stream.dataset.shards
    members = members_of(stream.arrays)
    parts = -(-consumers // len(shards))
    drawn = epoch = empty = 0
    while empty < PATIENCE:
        rng = np.random.default_rng([stream.seed, epoch, consumer])
        held: list[Record] = []
        empty += 1

        def draw(held: list[Record], rng: np.random.Generator) -> Record:
            index = int(rng.integers(len(held)))
            held[index], held[-1] = held[-1], held[index]
            return held.pop()

        for shard, part in deal(len(shards), consumers, consumer, stream.seed, epoch):
            try:
                for index, record in enumerate(read_shard(shards[shard])):
                    if index % parts != part:
                        continue
                    if drawn >= skip:
                        record.load(members)
                    held.append(record)
                    empty = 0
                    if len(held) >= stream.shuffle:
                        drawn += 1
                        chosen = draw(held, rng)
                        if drawn > skip:
                            yield chosen.load(members), epoch
            except Damaged as error:
                yield error
        while held:
            drawn += 1
            chosen = draw(held, rng)
            if drawn > skip:
                try:
                    yield chosen.load(members), epoch
                except Damaged as error:
                    yield error
        epoch += 1
    yield NothingLeft(f"{stream.dataset.folder}: no clip could be read in {PATIENCE} epochs")


def cut(arrays: dict[str, np.ndarray], start: int, frames: int) -> dict[str, np.ndarray]:
    """Return the sub-clip of some frames from start."""
    return {
        name: value if name in WHOLE else value[start : start + frames]
        for name, value in arrays.items()
    }


def collate(samples: list[dict[str, np.ndarray]]) -> Batch:
    """Return samples stacked into tensors [B, T, ...]."""
    return {
        name: torch.from_numpy(np.stack([sample[name] for sample in samples]))
        for name in samples[0]
    }


class Batches(IterableDataset[Delivered]):
    """The endless batches of one rank's workers."""

    def __init__(self, stream: Stream, rank: int, world: int, start: Position | None) -> None:
        self.stream, self.rank, self.world = stream, rank, world
        self.start = start

    def __iter__(self) -> Iterator[Delivered]:
        info = get_worker_info()
        workers, worker = (info.num_workers, info.id) if info else (1, 0)
        skip = 0
        if self.start is not None:
            # A new loader asks worker 0 first; let it be the one whose turn it is.
            worker = (worker + self.start.batches) % workers
            skip = self.start.drawn[worker]
        return self.batches(self.rank * workers + worker, self.world * workers, skip)

    def batches(self, consumer: int, consumers: int, skip: int) -> Iterator[Delivered]:
        stream = self.stream
        samples: list[dict[str, np.ndarray]] = []
        keys: list[str] = []
        damaged: list[str] = []
        drawn = skip
        for item in walk(stream, consumers, consumer, skip):
            if isinstance(item, Damaged):
                damaged.append(str(item))
                if stream.on_damage == "stop" or isinstance(item, NothingLeft):
                    yield Delivered({}, [], 0, drawn, damaged)
                    return
                continue
            record, epoch = item
            drawn += 1
            try:
                arrays = decode(record, stream.arrays, stream.dataset)
                length = len(arrays["occluded"])
                if length < stream.frames:
                    raise Damaged(
                        f"{record.shard}: clip {record.key} has {length} frames, "
                        f"fewer than {stream.frames}"
                    )
            except Damaged as error:
                damaged.append(str(error))
                if stream.on_damage == "stop":
                    yield Delivered({}, [], 0, drawn, damaged)
                    return
                continue
            rng = np.random.default_rng([stream.seed, epoch, zlib.crc32(record.key.encode())])
            start = int(rng.integers(length - stream.frames + 1))
            samples.append(cut(arrays, start, stream.frames))
            keys.append(record.key)
            if len(samples) == stream.batch_size:
                yield Delivered(collate(samples), keys, epoch, drawn, damaged)
                samples, keys, damaged = [], [], []


class Loader:
    """Batches on the host, with a position that a checkpoint can keep."""

    def __init__(
        self,
        stream: Stream,
        *,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        position: dict[str, object] | None = None,
        pin: bool = False,
    ) -> None:
        consumers = max(1, workers)
        start = None
        if position is not None:
            drawn = position["drawn"]
            assert isinstance(drawn, list)
            if len(drawn) != consumers:
                raise BadInput(
                    f"The run to resume read its shards with {len(drawn)} loader workers, "
                    f"not {consumers}; pass --workers {len(drawn) if len(drawn) > 1 else 0}."
                )
            batches = position["batches"]
            assert isinstance(batches, int)
            start = Position(batches, list(drawn))
        self.batches = start.batches if start else 0
        self.drawn = list(start.drawn) if start else [0] * consumers
        self.consumers = consumers
        self.told: set[str] = set()
        self.loader = DataLoader(
            Batches(stream, rank, world, start),
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            prefetch_factor=4 if workers else None,
        )
        self._stream = stream

    def __iter__(self) -> Iterator[Delivered]:
        for delivered in self.loader:
            self.drawn[self.batches % self.consumers] = delivered.drawn
            if not delivered.batch:
                raise BadInput(
                    f"{delivered.damaged[-1]}; make that shard again with datagen.launch."
                )
            for message in delivered.damaged:
                if message not in self.told:
                    self.told.add(message)
                    print(f"skipped: {message}", file=sys.stderr)
            self.batches += 1
            yield delivered

    def position(self) -> dict[str, object]:
        """Return where the loader stands, as plain numbers."""
        return {"batches": self.batches, "drawn": list(self.drawn)}


def read_clips(
    dataset: DataSet, arrays: frozenset[str], extra: frozenset[str] = frozenset()
) -> Iterator[tuple[Record, dict[str, np.ndarray]] | Damaged]:
    """Yield every clip once, in the order of the shards, whole; errors of damaged ones as values.

    extra names further members to load (`meta.json`).
    """
    members = members_of(arrays) | extra
    for shard in dataset.shards:
        try:
            for record in read_shard(shard):
                try:
                    yield record, decode(record.load(members), arrays, dataset)
                except Damaged as error:
                    yield error
        except Damaged as error:
            yield error
