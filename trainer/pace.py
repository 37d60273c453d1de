"""How fast a run goes, and what of it is waiting for data."""

from __future__ import annotations

from dataclasses import dataclass

MUCH_WAIT = 0.05
"""Share of a step's time spent waiting for data above which a run says so."""


@dataclass
class Pace:
    """How fast the steps since the last report went."""

    clips: int
    """Clips of a step, over all ranks."""
    seconds: float = 0.0
    waited: float = 0.0
    steps: int = 0
    all_seconds: float = 0.0
    all_waited: float = 0.0

    def add(self, seconds: float, waited: float) -> None:
        """Count a step and the part of it spent waiting for data."""
        self.seconds += seconds
        self.waited += waited
        self.steps += 1
        self.all_seconds += seconds
        self.all_waited += waited

    def line(self, workers: int) -> str:
        """Return what is to say of the run's waiting for data."""
        share = self.all_waited / max(self.all_seconds, 1e-9)
        advice = f"; raise --workers (now {workers})" if share > MUCH_WAIT else ""
        return f"{share:.1%} of the time was waiting for data{advice}"

    def take(self) -> dict[str, float]:
        """Return seconds a step, the share of waiting for data and clips/s; begin anew."""
        figures = {
            "seconds": self.seconds / self.steps,
            "data_wait": self.waited / self.seconds,
            "clips_per_second": self.steps * self.clips / self.seconds,
        }
        self.seconds, self.waited, self.steps = 0.0, 0.0, 0
        return figures
