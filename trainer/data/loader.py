"""Batches from shards: read front to back, shuffled, split, and resumable to the clip.

`trainer.data.stream` gives the order; a clip's random part depends only on (seed, epoch, clip).
Letters: B clips, T frames.
"""

from __future__ import annotations

import itertools
import sys
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from trainer.common.cli import count
from trainer.data.dataset import DataSet
from trainer.data.inputs import Batch
from trainer.data.records import WHOLE, Damaged, Record, decode, members_of, read_shard
from trainer.data.stream import FETCH, PATIENCE, NothingLeft, Stream, walk
from trainer.errors import BadInput

TARGETS = frozenset({"joints2d", "joints3d", "visibility"})
"""Labels that the losses and the metrics need."""
AHEAD = 4
"""Batches that each thread prefetches."""


def wanted_arrays(
    inputs: str, *, rays: bool = False, targets: bool = True, parameters: bool = False
) -> frozenset[str]:
    """Return the arrays to decode for these inputs, and nothing else.

    rays adds the arrays that turn keypoints into rays, targets those that losses and metrics need,
    and parameters SMPL's pose and betas.
    """
    parts = set(inputs.split("+"))
    arrays = {"occluded", "valid"} | ({"flow", "rgb"} & parts)
    if "keypoints" in parts:
        arrays.add("joints2d")
    if rays:
        arrays |= {"crop", "camera"}
    if targets:
        arrays |= TARGETS
    return frozenset(arrays | ({"pose", "betas"} if parameters else set()))


class Delivered(NamedTuple):
    """A batch, with its position in the stream and the damage met before it."""

    batch: Batch
    keys: list[str]
    epoch: float
    drawn: int
    """Clips drawn in this epoch so far."""
    damaged: list[str]


def cut(
    arrays: dict[str, np.ndarray], start: int, frames: int, spacing: int = 1
) -> dict[str, np.ndarray]:
    """Return the part of a clip that starts at `start`, taking every spacing-th frame."""
    chosen = slice(start, start + (frames - 1) * spacing + 1, spacing)
    return {name: value if name in WHOLE else value[chosen] for name, value in arrays.items()}


def collate(samples: list[dict[str, np.ndarray]]) -> Batch:
    """Return samples stacked into tensors [B, T, ...]."""
    return {
        name: torch.from_numpy(np.stack([sample[name] for sample in samples]))
        for name in samples[0]
    }


def batches(
    stream: Stream, consumer: int, consumers: int, skip: int, first: int = 0
) -> Iterator[Delivered]:
    """Yield a consumer's batches without end, after skipping some records.

    first: the epoch in which to skip them.

    An empty batch is the last: its `damaged` names what stopped the stream.
    """
    samples: list[dict[str, np.ndarray]] = []
    keys: list[str] = []
    damaged: list[str] = []
    drawn = skip
    fruitless: set[int] = set()  # epochs in which clips were drawn but none was usable
    for item in walk(stream, consumers, consumer, skip, itertools.count(first)):
        try:
            if isinstance(item, Damaged):
                raise item
            record, epoch, drawn = item
            try:
                if isinstance(record, Damaged):
                    raise record
                samples.append(sample(stream, record, epoch))
            except Damaged as error:
                fruitless.add(epoch)
                if len(fruitless) > PATIENCE:
                    raise NothingLeft(
                        f"{stream.dataset.folder}: no clip could be used in {PATIENCE} epochs, "
                        f"the last because: {error}"
                    ) from None
                raise
            fruitless.clear()
        except Damaged as error:
            damaged.append(str(error))
            if stream.on_damage == "stop" or isinstance(error, NothingLeft):
                yield Delivered({}, [], 0, drawn, damaged)
                return
            continue
        keys.append(record.key)
        if len(samples) == stream.batch_size:
            yield Delivered(collate(samples), keys, epoch, drawn, damaged)
            samples, keys, damaged = [], [], []


def sample(stream: Stream, record: Record, epoch: int) -> dict[str, np.ndarray]:
    """Return the arrays of a random part of a record; Damaged if it has too few frames."""
    arrays = decode(record, stream.arrays, stream.dataset)
    span = (stream.frames - 1) * stream.spacing + 1
    spare = len(arrays["occluded"]) - span
    if spare < 0:
        raise Damaged(
            f"{record.shard}: clip {record.key} has {len(arrays['occluded'])} frames, "
            f"fewer than {span}"
        )
    rng = np.random.default_rng([stream.seed, epoch, zlib.crc32(record.key.encode())])
    start = int(rng.integers(spare + 1)) if spare else 0
    return cut(arrays, start, stream.frames, stream.spacing)


class Loader:
    """A rank's batches on the host, with a position that a checkpoint can keep.

    Workers are threads: reading, decoding and copying release Python's lock, and batches need not
    pass through shared memory, which costs more than making them (benchmarks/loader.py).
    """

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
        self.stream, self.workers, self.pin = stream, workers, pin
        self.rank, self.world = rank, world
        self.consumers = max(1, workers)
        self.batches = 0
        self.drawn, self.epochs = [0] * self.consumers, [0] * self.consumers
        if position is not None:
            drawn, taken = position["drawn"], position["batches"]
            epochs = position.get("epochs", self.epochs)  # former versions' positions count from 0
            assert isinstance(drawn, list) and isinstance(epochs, list) and isinstance(taken, int)
            if len(drawn) != self.consumers:
                raise BadInput(
                    f"The run to resume read its shards with {count(len(drawn), 'loader thread')}, "
                    f"not {self.consumers}; pass --workers {len(drawn)}."
                )
            self.batches, self.drawn, self.epochs = taken, list(drawn), list(epochs)
        self.reported: set[str] = set()

    def __iter__(self) -> Iterator[Delivered]:
        first, consumers = self.rank * self.consumers, self.world * self.consumers
        sources = [
            batches(self.stream, first + i, consumers, skip, epoch)
            for i, (skip, epoch) in enumerate(zip(self.drawn, self.epochs, strict=True))
        ]
        produced = self.prefetched(sources) if self.workers else sources[0]
        for delivered in produced:
            consumer = self.batches % self.consumers
            self.drawn[consumer], self.epochs[consumer] = delivered.drawn, int(delivered.epoch)
            if not delivered.batch:
                raise BadInput(
                    f"{delivered.damaged[-1]}; make that shard again with datagen.launch."
                )
            for message in delivered.damaged:
                if message not in self.reported:
                    self.reported.add(message)
                    print(f"skipped: {message}", file=sys.stderr)
            self.batches += 1
            yield delivered

    def prefetched(self, sources: list[Iterator[Delivered]]) -> Iterator[Delivered]:
        """Yield the sources' batches in turn; each source is prefetched by its own thread."""

        def make(source: Iterator[Delivered]) -> Delivered:
            delivered = next(source)
            if not self.pin:
                return delivered
            pinned = {name: value.pin_memory() for name, value in delivered.batch.items()}
            return delivered._replace(batch=pinned)

        threads = [ThreadPoolExecutor(1, "loader") for _ in sources]
        turns = itertools.cycle(range(len(sources)))
        for _ in range(self.batches % self.consumers):
            next(turns)
        ahead: deque[Future[Delivered]] = deque()
        try:
            for turn in turns:
                ahead.append(threads[turn].submit(make, sources[turn]))
                if len(ahead) == AHEAD * len(sources):
                    yield ahead.popleft().result()
        finally:
            for thread in threads:
                thread.shutdown(wait=False, cancel_futures=True)

    def position(self) -> dict[str, object]:
        """Return the position in the shards as plain numbers."""
        return {
            "batches": self.batches, "drawn": list(self.drawn), "epochs": list(self.epochs)
        }  # fmt: skip


def read_clips(
    dataset: DataSet, arrays: frozenset[str], extra: frozenset[str] = frozenset()
) -> Iterator[tuple[Record, dict[str, np.ndarray]] | Damaged]:
    """Yield every whole clip once, in the shards' order; damaged clips come as error values.

    extra names further members to load (`meta.json`).
    """
    members = members_of(arrays) | extra
    places = [shard.place for shard in dataset.shards]
    for number, shard in enumerate(dataset.shards):
        try:
            for record in read_shard(shard, places[number + 1 : number + 1 + FETCH]):
                try:
                    yield record, decode(record.load(members), arrays, dataset)
                except Damaged as error:
                    yield error
        except Damaged as error:
            yield error
