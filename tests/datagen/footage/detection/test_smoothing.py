"""Filters against the paper's pseudo-code, value by value."""

import math

import numpy as np
import pytest

from datagen.footage.detection.smoothing import RATE, LowPass, OneEuro, visibility_share


def one_euro(values, size, least, slope, speed_cutoff, rates):
    """Return the filter of Casiez et al. (2012), algorithm 1, of a list of numbers."""

    def alpha(cutoff, rate):
        return 1 / (1 + 1 / (2 * math.pi * cutoff) * rate)

    out, last, speed = [], None, 0.0
    for value, rate in zip(values, rates, strict=True):
        moved = 0.0 if last is None else (value - last) / size * rate
        share = alpha(speed_cutoff, rate)
        speed = moved if last is None else share * moved + (1 - share) * speed
        share = alpha(least + slope * abs(speed), rate)
        out.append(value if last is None else share * value + (1 - share) * out[-1])
        last = value
    return out


@pytest.mark.parametrize(("least", "slope"), [(0.05, 80), (0.01, 10), (0.1, 40)])
def test_every_value_is_filtered_on_its_own(least, slope):
    values = np.random.default_rng(0).normal(100, 20, (30, 4, 2)).cumsum(0)
    found = OneEuro(least, slope)
    rates = np.random.default_rng(1).choice([15.0, 24, RATE, 60], 30)
    got = np.array([found.step(*now) for now in zip(values, [150.0] * 30, rates, strict=True)])
    for k in range(4):
        for axis in range(2):
            expected = one_euro(values[:, k, axis], 150.0, least, slope, 1.0, rates)
            assert got[:, k, axis] == pytest.approx(expected)


def test_rest_is_steadied_and_motion_followed():
    rng = np.random.default_rng(0)
    resting, moving = OneEuro(0.05, 80), OneEuro(0.05, 80)
    noise = rng.normal(0, 0.2, 200)
    still = [resting.step(np.array(100 + n), 500.0) for n in noise]
    assert np.std(still[50:]) < 0.5 * np.std(noise[50:])
    line = np.arange(100) * 20.0
    follow = [moving.step(np.array(x), 500.0) for x in line]
    assert abs(follow[-1] - line[-1]) < 20  # less than a frame behind


def test_the_same_motion_is_filtered_alike_at_other_rates():
    """A hand that swings once a second, filmed at 24 and at 60 frames per second."""
    after = {}
    for rate in (24.0, 60.0):
        filtered = OneEuro(0.05, 80)
        times = np.arange(0, 2, 1 / rate)
        seen = [float(filtered.step(100 * np.sin(2 * np.pi * t), 500.0, rate)) for t in times]
        after[rate] = np.interp(1.5 + np.arange(12) / 24, times, seen)
    lag = np.abs(after[24.0] - 100 * np.sin(2 * np.pi * (1.5 + np.arange(12) / 24))).max()
    assert np.abs(after[24.0] - after[60.0]).max() < 0.5 * lag
    assert visibility_share(RATE) == pytest.approx(0.1)
    twice = 1 - (1 - visibility_share(2 * RATE)) ** 2  # two frames of half the time
    assert twice == pytest.approx(visibility_share(RATE))


def test_low_pass_takes_the_first_value():
    steady = LowPass()
    assert steady.step(np.array(4.0), 0.1) == 4
    assert steady.step(np.array(14.0), 0.1) == pytest.approx(5)
