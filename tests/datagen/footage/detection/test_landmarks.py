"""Joints of the landmark network's output, refined by its heatmaps."""

import numpy as np
import pytest

from datagen.footage.detection.landmarks import decode, logistic, refine


def bump(x: float, y: float, height: float = 8.0) -> np.ndarray:
    """Return a heatmap [64,64,1] of logits, hottest at a cell position."""
    row, column = np.indices((64, 64))
    return (height - ((column - x) ** 2 + (row - y) ** 2) * 4)[..., None]


def test_raw_output_is_in_pixels_and_logits():
    raw = np.zeros(195, np.float32)
    raw[5:10] = [128, 64, -32, np.log(4), 9]
    points = decode(raw)
    assert points.shape == (39, 4)
    assert points[1] == pytest.approx([0.5, 0.25, -0.125, 0.8])
    assert points[0] == pytest.approx([0, 0, 0, 0.5])


def test_a_point_moves_to_the_middle_of_the_heat():
    points = np.array([[21.3 / 64, 40.9 / 64, 0.7]])
    found = refine(points, bump(22, 39))
    assert found[0, :2] * 64 == pytest.approx([22, 39], abs=1e-6)
    assert found[0, 2] == 0.7 and points[0, 0] == 21.3 / 64  # the input is left alone


def test_heat_outside_the_window_counts_for_nothing():
    far = refine(np.array([[20 / 64, 20 / 64]]), np.maximum(bump(20, 20), bump(27, 20)))
    assert far[0] * 64 == pytest.approx([20, 20], abs=1e-3)


def test_unsure_heat_leaves_the_point():
    points = np.array([[0.31, 0.52]])
    assert (refine(points, bump(22, 30, -0.1)) == points).all()


@pytest.mark.parametrize("x", [-0.2, 1.0, 7.0, 0.001, 0.999])
@pytest.mark.parametrize("y", [-0.2, 1.0, 7.0, 0.001, 0.999])
def test_points_at_and_beyond_the_edge_stay_finite(x, y):
    found = refine(np.array([[x, y]]), np.full((64, 64, 1), 5.0))
    assert np.isfinite(found).all()
    if not (0 <= x < 1 and 0 <= y < 1):
        assert found[0] == pytest.approx([x, y])


def test_logistic_does_not_overflow():
    with np.errstate(all="raise"):
        assert logistic(np.array([-1e4, 0, 1e4])) == pytest.approx([0, 0.5, 1])
