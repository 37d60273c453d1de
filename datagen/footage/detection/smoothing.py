"""Filters that smooth points over time, with MediaPipe's settings.

The One-Euro filter of Casiez, Roussel and Vogel (CHI 2012): a low-pass filter whose cutoff
frequency grows with the speed, so resting points do not jitter and moving ones do not lag.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

RATE = 1e6 / 33333
"""Frames per second that mediapipe.solutions assumes for any video."""
VISIBILITY_SHARE = 0.1
"""Weight of a new frame's visibility at RATE."""


@dataclass
class LowPass:
    """An exponential average of arrays."""

    value: np.ndarray | None = None

    def step(self, new: np.ndarray, share: np.ndarray | float) -> np.ndarray:
        """Return the average after a new value with weight `share`; the first value is taken as
        is."""
        if self.value is None:
            self.value = new
        else:
            self.value = share * new + (1 - share) * self.value
        return self.value


@dataclass
class OneEuro:
    """The filter for an array of values, each filtered independently."""

    least_cutoff: float
    """Cutoff frequency at rest, Hz."""
    slope: float
    """Hz per unit of speed (object sizes per second)."""
    speed_cutoff: float = 1.0
    """Cutoff frequency of the speed's own filter, Hz."""
    _last: np.ndarray | None = None
    _value: LowPass = field(default_factory=LowPass)
    _speed: LowPass = field(default_factory=LowPass)

    def step(self, new: np.ndarray, size: float = 1.0, rate: float = RATE) -> np.ndarray:
        """Return the filtered values after a new frame.

        Args:
            new: values of the frame.
            size: size of the moving object in the values' unit; the unit of speeds.
            rate: reciprocal of the time since the last frame, Hz.
        """
        moved = np.zeros_like(new) if self._last is None else new - self._last
        self._last = new
        speed = self._speed.step(moved / size * rate, _share(self.speed_cutoff, rate))
        cutoff = self.least_cutoff + self.slope * np.abs(speed)
        return self._value.step(new, _share(cutoff, rate))


def visibility_share(rate: float) -> float:
    """Return the weight of a new frame's visibility at a frame rate in Hz."""
    return 1 - (1 - VISIBILITY_SHARE) ** (RATE / rate)


def _share(cutoff: np.ndarray | float, rate: float) -> np.ndarray | float:
    """Return the weight of a new value in a low-pass filter with a cutoff frequency in Hz."""
    return 1 / (1 + rate / (2 * np.pi * cutoff))
