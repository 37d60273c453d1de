"""Histograms and moments: numpy's, within a bin."""

import numpy as np
import pytest

from datagen.report.histogram import Histogram, Moments


def test_a_histogram_agrees_with_numpy():
    values = np.random.default_rng(0).normal(5, 2, 10_000)
    histogram = Histogram(np.linspace(0, 10, 101))
    for value in values:
        histogram.add(value)
    assert histogram.mean == pytest.approx(values.mean())
    assert histogram.counts.sum() == 10_000
    for share in (0.1, 0.5, 0.9):
        assert histogram.quantile(share) == pytest.approx(np.quantile(values, share), abs=0.05)
    inside = np.histogram(np.clip(values, 0, 9.999), histogram.edges)[0]
    assert np.array_equal(histogram.counts, inside)


def test_moments_agree_with_numpy():
    rows = np.random.default_rng(0).normal(1, 3, (50, 10))
    moments = Moments()
    for row in rows:
        moments.add(row)
    assert np.allclose(moments.mean, rows.mean(0))
    assert np.allclose(moments.deviation, rows.std(0))
