"""A rank's endless batches: like `trainer.data.loader.Loader`, but drawn instead of read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from trainer.data.endless.clips import EndlessClips, seeded
from trainer.data.loader import AHEAD, Delivered


class EndlessLoader:
    """Batches of endless clips on the host, with a position that a checkpoint can keep.

    Batch i of a rank depends only on (seed, rank, i), so any number of threads may prefetch.
    """

    def __init__(
        self,
        clips: EndlessClips,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        workers: int = 0,
        position: dict[str, object] | None = None,
    ) -> None:
        self.clips, self.batch_size = clips, batch_size
        self.seed, self.rank, self.workers = seed, rank, workers
        self.batches = 0
        if position is not None:
            taken = position["batches"]
            assert isinstance(taken, int)
            self.batches = taken

    def __iter__(self) -> Iterator[Delivered]:
        if not self.workers:
            while True:
                delivered = self.make(self.batches)
                self.batches += 1
                yield delivered
        threads = ThreadPoolExecutor(self.workers, "loader")
        ahead: deque[Future[Delivered]] = deque()
        try:
            while True:
                while len(ahead) < AHEAD * self.workers:
                    ahead.append(threads.submit(self.make, self.batches + len(ahead)))
                delivered = ahead.popleft().result()
                self.batches += 1
                yield delivered
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def make(self, number: int) -> Delivered:
        """Return batch `number`."""
        batch = self.clips.draw(self.batch_size, seeded(self.seed, self.rank, number))
        seen = (number + 1) * self.batch_size / len(self.clips.postures.begin)
        return Delivered(batch, [""] * self.batch_size, seen, 0, [])

    def position(self) -> dict[str, object]:
        """Return the position as plain numbers."""
        return {"batches": self.batches}
