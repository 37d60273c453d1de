"""Wall time by stage."""

from __future__ import annotations

import time
from collections import defaultdict


class Stopwatch:
    """Measures wall time by stage in `seconds`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap, or since the start, to the stage."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now

    def rounded(self, digits: int = 4) -> dict[str, float]:
        """Return the seconds of each stage, rounded for a manifest."""
        return {stage: round(value, digits) for stage, value in self.seconds.items()}
