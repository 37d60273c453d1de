"""The order in which clips are read: shards are dealt to consumers and clips shuffled.

Every consumer (a thread of a rank) has its own endless stream of epochs. In an epoch, a permutation
of the shards is dealt to the consumers, so no clip occurs twice. Consumers with fewer clips start
their next epoch sooner, so uneven shards never leave a rank waiting. The order depends only on
(seed, epoch, consumer, number of consumers).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainer.data.dataset import DataSet
from trainer.data.records import Damaged, Record, members_of, read_shard

FETCH = 2
"""Shards of URLs that each thread prefetches in addition to the one being read."""
PATIENCE = 20
"""Epochs without a usable clip after which a consumer gives up."""


class NothingLeft(Damaged):
    """All shards of a consumer are damaged or empty."""


@dataclass(frozen=True)
class Stream:
    """What a consumer reads, and how it shuffles."""

    dataset: DataSet
    arrays: frozenset[str]
    frames: int
    spacing: int
    batch_size: int
    seed: int
    shuffle: int
    """Size of the shuffle buffer, clips; 1 keeps the file order."""
    on_damage: Literal["skip", "stop"]


def deal(
    shards: Sequence[int], consumers: int, consumer: int, seed: int, epoch: int
) -> list[tuple[int, int]]:
    """Return the (shard, part) units that this consumer reads in an epoch, in order.

    shards: the epoch's. With fewer shards than consumers, shards are read in parts: part p of n is
    every n-th clip.
    """
    parts = parts_of(shards, consumers)
    units = np.random.default_rng([seed, epoch]).permutation(len(shards) * parts)
    return [(shards[int(u) // parts], int(u) % parts) for u in units[consumer::consumers]]


def parts_of(shards: Sequence[int], consumers: int) -> int:
    """Return the number of parts that each of an epoch's shards is divided into."""
    return -(-consumers // max(1, len(shards)))


def shards_of(dataset: DataSet, seed: int, epoch: int) -> Sequence[int]:
    """Return the shards that an epoch reads: all, or each mixed data set's share by weight.

    Shares cycle through a shuffled order of the data set, so that after some epochs all shards have
    been read equally often.
    """
    if not dataset.parts:
        return range(len(dataset.shards))
    chosen: list[int] = []
    first = 0
    for number, part in enumerate(dataset.parts):
        order = np.random.default_rng([seed, number]).permutation(part.shards)
        begin, end = (math.floor(e * part.shards * part.weight + 1e-9) for e in (epoch, epoch + 1))
        chosen += sorted(first + int(order[place % part.shards]) for place in range(begin, end))
        first += part.shards
    return chosen


class Pool:
    """A shuffle buffer of records; the first `skip` records drawn are not loaded.

    A damaged record is kept and drawn like any other. Otherwise a resumed run, which does not read
    the skipped records, would draw in another order.
    """

    def __init__(self, members: frozenset[str], skip: int) -> None:
        self.members, self.skip = members, skip
        self.drawn = 0
        self.held: list[Record | Damaged] = []

    def add(self, record: Record) -> None:
        """Add a record; Damaged if it lacks a member."""
        record.check(self.members)
        self.held.append(self._loaded(record) if self.drawn >= self.skip else record)

    def draw(self, rng: np.random.Generator) -> Record | Damaged | None:
        """Remove a random record; return it loaded, or its damage, or None if skipped."""
        index = int(rng.integers(len(self.held)))
        self.held[index], self.held[-1] = self.held[-1], self.held[index]
        record = self.held.pop()
        self.drawn += 1
        if self.drawn <= self.skip:
            return None
        return record if isinstance(record, Damaged) else self._loaded(record)

    def _loaded(self, record: Record) -> Record | Damaged:
        try:
            return record.load(self.members)
        except Damaged as error:
            return error


def walk(
    stream: Stream,
    consumers: int,
    consumer: int,
    skip: int = 0,
    epochs: Iterable[int] | None = None,
) -> Iterator[tuple[Record | Damaged, int, int] | Damaged]:
    """Yield (loaded record or its damage, epoch, number drawn in the epoch) in shuffled order.

    The first `skip` records are left out.

    Of skipped records only the headers are read, so resuming is fast. Damaged shards are yielded as
    errors once per epoch. epochs: number of epochs; default: endless.
    """
    pool = Pool(members_of(stream.arrays), skip)
    empty = 0
    for epoch in itertools.count() if epochs is None else epochs:
        rng = np.random.default_rng([stream.seed, epoch, consumer])
        before = pool.drawn
        empty += 1
        for item in epoch_records(stream, consumers, consumer, epoch):
            if isinstance(item, Damaged):
                yield item
                continue
            if item is not None:
                try:
                    pool.add(item)
                except Damaged as error:
                    yield error
                    continue
            empty = 0
            if item is not None and len(pool.held) >= stream.shuffle:
                chosen = pool.draw(rng)
                if chosen is not None:
                    yield chosen, epoch, pool.drawn - before
        while pool.held:
            chosen = pool.draw(rng)
            if chosen is not None:
                yield chosen, epoch, pool.drawn - before
        if empty == PATIENCE:
            folder = stream.dataset.folder
            yield NothingLeft(f"{folder}: no clip could be read in {PATIENCE} epochs")
            return


def epoch_records(
    stream: Stream, consumers: int, consumer: int, epoch: int
) -> Iterator[Record | Damaged | None]:
    """Yield a consumer's unloaded records of an epoch in file order, and damaged shards.

    None stands for a usable record in another part of a shard, which another consumer reads.
    """
    shards, members = stream.dataset.shards, members_of(stream.arrays)
    chosen = shards_of(stream.dataset, stream.seed, epoch)
    parts = parts_of(chosen, consumers)
    units = deal(chosen, consumers, consumer, stream.seed, epoch)
    coming = shards_of(stream.dataset, stream.seed, epoch + 1)
    later = deal(coming, consumers, consumer, stream.seed, epoch + 1)[:FETCH]
    order = [shards[shard].place for shard, _ in [*units, *later]]
    for number, (shard, part) in enumerate(units):
        ahead = order[number + 1 : number + 1 + FETCH]
        try:
            for index, record in enumerate(read_shard(shards[shard], ahead)):
                if index % parts == part:
                    yield record
                elif members <= record.places.keys():
                    yield None
        except Damaged as error:
            yield error
