"""Statistics over manifest lines in constant memory: histograms with quantiles, and moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

EXACT = 1000
"""Most distinct values that a histogram stores exactly."""


@dataclass
class Histogram:
    """Counts of values between given edges; values beyond them count in the end bins."""

    edges: np.ndarray
    counts: np.ndarray = field(init=False)
    total: float = 0.0
    weight: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    values: dict[float, float] = field(default_factory=dict)
    """Each value's weight while there are few values, for exact quantiles instead of binned
    ones."""

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.edges) - 1)

    def add(self, value: float, weight: float = 1.0) -> None:
        """Add a value with a weight."""
        place = int(np.searchsorted(self.edges, value, side="right")) - 1
        self.counts[min(max(place, 0), len(self.counts) - 1)] += weight
        self.total += value * weight
        self.weight += weight
        self.low, self.high = min(self.low, value), max(self.high, value)
        if len(self.values) <= EXACT:  # one more value ends the exact mode
            self.values[value] = self.values.get(value, 0.0) + weight

    @property
    def mean(self) -> float:
        return self.total / self.weight if self.weight else float("nan")

    def quantile(self, share: float) -> float:
        """Return the value below which `share` of the weight lies; NaN if the histogram is empty.

        With at most EXACT values it is numpy's quantile (weights as repetitions); otherwise it is
        interpolated within a bin.
        """
        if not self.weight:
            return float("nan")
        if len(self.values) <= EXACT:
            place = share * (self.weight - 1)
            ranked = sorted(self.values)
            ends = np.cumsum([self.values[value] for value in ranked])
            lower, upper = np.searchsorted(ends, [np.floor(place), np.ceil(place)], side="right")
            return float(np.interp(place % 1, [0, 1], [ranked[lower], ranked[upper]]))
        cumulative = np.concatenate([[0.0], np.cumsum(self.counts)])
        value = float(np.interp(share * self.weight, cumulative, np.asarray(self.edges)))
        return min(max(value, self.low), self.high)


@dataclass
class Moments:
    """Mean and standard deviation of each column over many rows."""

    count: int = 0
    sums: np.ndarray = field(default_factory=lambda: np.zeros(0))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def add(self, row: Sequence[float]) -> None:
        """Add a row."""
        values = np.asarray(row, float)
        if not self.count:
            self.sums, self.squares = np.zeros_like(values), np.zeros_like(values)
        self.count += 1
        self.sums += values
        self.squares += values**2

    @property
    def mean(self) -> np.ndarray:
        return self.sums / max(self.count, 1)

    @property
    def deviation(self) -> np.ndarray:
        return np.sqrt(np.maximum(self.squares / max(self.count, 1) - self.mean**2, 0))
