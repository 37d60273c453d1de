"""Wall time by stage."""

from __future__ import annotations

import time
from collections import defaultdict


class Stopwatch:
    """Adds the time since the last lap to a stage's `seconds`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap, or since the start, as the stage's."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now

    def rounded(self, digits: int = 4) -> dict[str, float]:
        """Return the seconds of each stage, rounded for a manifest."""
        return {stage: round(value, digits) for stage, value in self.seconds.items()}
