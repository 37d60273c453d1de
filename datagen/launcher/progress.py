"""One progress bar for a whole run: files of people and scenes, then shards."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from datagen.cluster.outcome import Outcome
from datagen.common.cli import count

Result = TypeVar("Result", bound=Outcome)

GUESS = {"people": 3.0, "scenes": 2.0, "clips": 0.3}
"""Assumed core-seconds of a file or clip until the first of its kind is done."""
LOG_EVERY = 30.0
"""Seconds between progress lines without a terminal (the log of a Ray job)."""


class Progress:
    """Shows finished shards, clips per second, time left and failures over all stages of a run.

    The bar measures time: time spent, plus the estimate of the time left from each stage's pace. It
    stops, and never moves backwards, while that estimate grows.
    """

    def __init__(self, shards: int, clips: int, workers: int) -> None:
        self.clips, self.workers = clips, workers
        self.wanted = {"people": 0, "scenes": 0, "shards": shards}
        self.done = dict.fromkeys(self.wanted, 0)
        self.failed = dict.fromkeys(self.wanted, 0)
        self._spent = dict.fromkeys(self.wanted, 0.0)
        self._share = 0.0
        """Filled part of the bar."""
        self._began = time.perf_counter()
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=1.0,
            mininterval=0.1 if terminal else LOG_EVERY,
            miniters=0,
            delay=1e-9,  # do not draw an empty bar
            dynamic_ncols=terminal,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._show(final=True)
        self._bar.close()

    def expect(self, **more: int) -> None:
        """Add tasks to the expected totals, given by stage: before any of them is followed."""
        for stage, number in more.items():
            self.wanted[stage] += number

    def follow(self, outcomes: Iterable[Result], stage: str) -> Iterator[Result]:
        """Yield a stage's outcomes as they arrive."""
        if not self.wanted[stage]:
            return
        self._show()
        last = time.perf_counter()
        for outcome in outcomes:
            now = time.perf_counter()
            self._spent[stage] += now - last
            self.done[stage] += 1
            self.failed[stage] += outcome.line is None
            self._show()
            yield outcome
            last = now

    def seconds_left(self) -> float:
        """Return the wall time left, estimated from each stage's pace so far."""
        return sum(
            (self.wanted[stage] - self.done[stage]) * self._pace(stage) for stage in self.wanted
        )

    def _pace(self, stage: str) -> float:
        if self.done[stage]:
            return self._spent[stage] / self.done[stage]
        each = GUESS["clips"] * self.clips if stage == "shards" else GUESS[stage]
        return each / max(1, self.workers)

    def _show(self, *, final: bool = False) -> None:
        spent, left = time.perf_counter() - self._began, self.seconds_left()
        parts = [f"{name} {done}/{self.wanted[name]}" for name, done in self.done.items()]
        shown = [text for text, name in zip(parts, self.wanted, strict=True) if self.wanted[name]]
        self._bar.set_description_str(", ".join(shown), refresh=False)
        notes: list[Any] = []
        # This run only: existing clips, failures and the time of the libraries do not count.
        if made := (self.done["shards"] - self.failed["shards"]) * self.clips:
            rate = made / max(self._spent["shards"], 1e-9)
            notes.append(f"{count(made, 'clip')} composed now at {rate:.1f} clips/s")
        notes.append(f"{_clock(spent)} spent" + ("" if final else f", {_clock(left)} left"))
        notes.append(f"{sum(self.failed.values())} failed")
        # The bar's length is time, no count of anything, so no percentage stands beside it.
        self._bar.bar_format = "{desc} |{bar:20}| " + ", ".join(notes)
        self._share = max(self._share, spent / max(spent + left, 1e-9))
        self._bar.total = spent / self._share if self._share else 1.0
        if final:
            self._bar.n = spent  # close() shows it; a log would have the line twice
        else:
            self._bar.update(spent - self._bar.n)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
