"""Colours of clothes, against cv2's own conversion."""

import cv2
import numpy as np
import pytest

from datagen.footage.detection.appearance import appearance

POINTS = np.zeros((33, 3))
POINTS[[11, 12, 23, 24, 25, 26], :2] = [
    (80, 40),
    (40, 40),
    (75, 100),
    (45, 100),
    (78, 150),
    (42, 150),
]
POINTS[:, 2] = 1


def dressed(shirt=(200, 30, 40), trousers=(20, 40, 160)) -> np.ndarray:
    """Return a picture of a shirt and trousers on a green wall, with a few specks on them."""
    picture = np.full((200, 120, 3), (0, 160, 0), np.uint8)
    picture[38:102, 36:84], picture[102:160, 36:84] = shirt, trousers
    picture[::9, ::7] = 255
    return picture


def lab(colour) -> np.ndarray:
    return cv2.cvtColor(np.array([[colour]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]


def test_trunk_and_thighs_have_the_clothes_colours():
    found = appearance(dressed(), POINTS)
    assert found[:3] == pytest.approx(lab((200, 30, 40)), abs=0.01)
    assert found[3:] == pytest.approx(lab((20, 40, 160)), abs=0.01)


def test_what_is_hidden_or_outside_has_no_colour():
    hidden = POINTS.copy()
    hidden[25, 2] = 0.1  # a knee: the trunk is seen still
    found = appearance(dressed(), hidden)
    assert np.isfinite(found[:3]).all() and np.isnan(found[3:]).all()
    assert np.isnan(appearance(dressed(), POINTS + np.array([500, 0, 0]))).all()
