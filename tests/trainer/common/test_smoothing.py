"""The banded smoother equals a dense solver, bridges gaps, and has linear cost."""

import numpy as np
import pytest
import torch

from trainer.common.smoothing import smooth


def dense(values: np.ndarray, weight: np.ndarray, stiffness: float) -> np.ndarray:
    """Return the minimiser of the energy by a general least-squares solver."""
    second = np.diff(np.eye(len(values)), 2, axis=0)
    rows = np.concatenate((np.diag(np.sqrt(weight)), np.sqrt(stiffness) * second))
    right = np.concatenate((np.sqrt(weight) * values, np.zeros(len(second))))
    return np.linalg.lstsq(rows, right, rcond=None)[0]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 50])
def test_equals_dense_least_squares(length):
    rng = np.random.default_rng(length)
    values, weight = rng.normal(size=(length, 3)), rng.uniform(0.5, 2, (length, 3))
    if length > 10:
        weight[20:30, 1] = 0
        values[20:30, 1] = np.nan
    found = smooth(torch.from_numpy(values), torch.from_numpy(weight), 7.0).numpy()
    for column in range(3):
        expected = dense(np.nan_to_num(values[:, column]), weight[:, column], 7.0)
        assert np.abs(found[:, column] - expected).max() < 1e-6


def test_gaps_are_bridged_and_unknown_sequences_are_zero():
    line = torch.linspace(0, 9, 10)[:, None].repeat(1, 3)
    weight = torch.ones(10, 3)
    weight[3:8, 0] = 0
    weight[:, 1] = 0
    weight[1:, 2] = 0
    line[5, 0] = torch.nan
    found = smooth(line, weight, 1e3)
    assert (found[:, 0] - torch.linspace(0, 9, 10)).abs().max() < 1e-5
    assert torch.equal(found[:, 1], torch.zeros(10))
    assert found[:, 2].abs().max() < 1e-5, "one known value gives no slope"
