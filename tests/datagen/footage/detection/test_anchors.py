"""Boxes of the person detector: where anchors lie, what a box decodes to, who is suppressed."""

import numpy as np
import pytest

from datagen.footage.detection.anchors import anchors, decode, overlap, suppress


def test_anchors_lie_in_the_middle_of_the_cells_row_by_row():
    found = anchors()
    assert found.shape == (2254, 2)
    assert found[:2] == pytest.approx(np.full((2, 2), 0.5 / 28))
    assert found[2] == pytest.approx([1.5 / 28, 0.5 / 28])
    assert found[2 * 28] == pytest.approx([0.5 / 28, 1.5 / 28])
    coarse = found[2 * 28**2 :]
    assert coarse[0] == pytest.approx([0.5 / 14, 0.5 / 14])
    assert found[-6:] == pytest.approx(np.tile([6.5 / 7, 6.5 / 7], (6, 1)))


def test_a_box_decodes_about_its_anchor():
    raw, logits = np.zeros((2254, 12), np.float32), np.full((2254, 1), -100, np.float32)
    here = anchors()[700]
    logits[700] = np.log(3)  # a score of 3/4
    raw[700] = [22.4, -11.2, 44.8, 22.4, *np.arange(8) * 2.24]
    people, scores = decode(raw, logits)
    assert scores == pytest.approx([0.75])
    centre = here + np.array([0.1, -0.05])
    assert people[0, 0] == pytest.approx(centre - [0.1, 0.05])
    assert people[0, 1] == pytest.approx(centre + np.array([0.1, 0.05]))
    assert people[0, 2:] == pytest.approx(here + np.arange(8).reshape(4, 2) / 100)


def test_what_is_unsure_or_turned_inside_out_is_no_person():
    raw, logits = np.zeros((2254, 12), np.float32), np.full((2254, 1), -1000, np.float32)
    logits[:3] = [[-0.001], [0.001], [5]]
    raw[2, 2] = -1
    people, scores = decode(raw, logits)
    assert len(people) == 1 and scores == pytest.approx([0.5], abs=1e-3)


def box(x: float, y: float, side: float = 0.2) -> np.ndarray:
    """Return a person whose box begins at (x, y)."""
    return np.array([[x, y], [x + side, y + side]] + [[x, y]] * 4)


def test_what_overlaps_the_surest_is_averaged_by_score():
    people = np.stack([box(0.5, 0.5), box(0.1, 0.1), box(0.54, 0.5), box(0.1, 0.8)])
    kept, scores = suppress(people, np.array([0.6, 0.8, 0.9, 0.7]))
    assert scores == pytest.approx([0.9, 0.8, 0.7])
    assert kept[0, 2, 0] == pytest.approx((0.9 * 0.54 + 0.6 * 0.5) / 1.5)
    assert kept[1:] == pytest.approx(people[[1, 3]])


def test_nobody_stays_nobody():
    kept, scores = suppress(np.zeros((0, 6, 2)), np.zeros(0))
    assert kept.shape == (0, 6, 2) and len(scores) == 0


def test_overlap_is_intersection_over_union():
    boxes = np.stack([box(0, 0), box(0.1, 0), box(0.2, 0), box(0.5, 0.5), box(0.3, 0.3, 0)])
    assert overlap(boxes, box(0, 0)) == pytest.approx([1, 1 / 3, 0, 0, 0])
    assert overlap(boxes[4:], boxes[4]) == pytest.approx([0])
