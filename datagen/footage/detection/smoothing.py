"""Filters that steady points from frame to frame, with MediaPipe's settings.

The One-Euro filter of Casiez, Roussel and Vogel (CHI 2012): a low-pass filter whose cutoff
frequency grows with the speed, so that what rests does not jitter and what moves does not lag.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

RATE = 1e6 / 33333
"""Frames per second that mediapipe.solutions assumes, whatever the video's own."""
VISIBILITY_SHARE = 0.1
"""Weight of a new frame's visibility, at that rate."""


@dataclass
class LowPass:
    """An exponential average of arrays."""

    value: np.ndarray | None = None

    def step(self, new: np.ndarray, share: np.ndarray | float) -> np.ndarray:
        """Return the average after a new value, which has `share` in it; the first is taken."""
        if self.value is None:
            self.value = new
        else:
            self.value = share * new + (1 - share) * self.value
        return self.value


@dataclass
class OneEuro:
    """The filter for an array of values, each on its own."""

    least_cutoff: float
    """Hz at rest."""
    slope: float
    """Hz a unit of speed (object sizes a second)."""
    speed_cutoff: float = 1.0
    """Hz of the filter of the speed itself."""
    _last: np.ndarray | None = None
    _value: LowPass = field(default_factory=LowPass)
    _speed: LowPass = field(default_factory=LowPass)

    def step(self, new: np.ndarray, size: float = 1.0, rate: float = RATE) -> np.ndarray:
        """Return the filtered values after a frame's.

        Args:
            new: values of the frame.
            size: of the object that moves, in the values' unit; speeds are measured in it.
            rate: one over the time since the last frame, Hz.
        """
        moved = np.zeros_like(new) if self._last is None else new - self._last
        self._last = new
        speed = self._speed.step(moved / size * rate, _share(self.speed_cutoff, rate))
        cutoff = self.least_cutoff + self.slope * np.abs(speed)
        return self._value.step(new, _share(cutoff, rate))


def visibility_share(rate: float) -> float:
    """Return the weight of a new frame's visibility at a rate, Hz."""
    return 1 - (1 - VISIBILITY_SHARE) ** (RATE / rate)


def _share(cutoff: np.ndarray | float, rate: float) -> np.ndarray | float:
    """Return the weight of a new value in a low-pass filter of a cutoff frequency, Hz."""
    return 1 / (1 + rate / (2 * np.pi * cutoff))
