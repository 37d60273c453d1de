"""Crops: what they show, against OpenCV's own warp, and the way back into the picture."""

import cv2
import numpy as np
import pytest

from datagen.footage.detection import roi
from datagen.footage.detection.roi import Roi


@pytest.mark.parametrize(
    ("top", "angle"), [((0, -5), 0), ((5, 0), 90), ((-5, 0), -90), ((5, -5), 45), ((-3, 3), -135)]
)
def test_a_crop_stands_upright_at_the_points_side(top, angle):
    found = roi.circumscribed(np.array([10.0, 20.0]), np.array([10.0, 20.0]) + top)
    assert (found.x, found.y) == (10, 20)
    assert np.degrees(found.angle) == pytest.approx(angle)
    assert found.side == pytest.approx(2 * np.hypot(*top))
    # the point lies in the middle of the crop's upper edge
    assert roi.to_picture(np.array([0.5, 0.0]), found) == pytest.approx(
        np.array([10.0, 20.0]) + top
    )


def test_a_letterbox_holds_the_whole_picture():
    frame = roi.whole(320, 240)
    corners = roi.to_picture(np.array([[0, 0], [1, 1], [0.5, 0.125]]), frame)
    assert corners == pytest.approx(np.array([[0, -40], [320, 280], [160, 0]]))


@pytest.mark.parametrize(
    ("size", "number"), [((1920, 1080), 3), ((1080, 1920), 3), ((640, 480), 2)]
)
def test_windows_cover_a_picture_and_overlap(size, number):
    found = roi.windows(*size)
    long = int(size[1] > size[0])
    assert len(found) == number and {one.side for one in found} == {min(size)}
    middles = [(one.x, one.y)[long] for one in found]
    assert middles[0] == min(size) / 2 and middles[-1] == size[long] - min(size) / 2
    assert (np.diff(middles) < 0.9 * min(size)).all()
    assert {(one.x, one.y)[1 - long] for one in found} == {min(size) / 2}


@pytest.mark.parametrize("size", [(320, 320), (320, 300), (1, 1)])
def test_a_square_picture_has_no_windows(size):
    assert roi.windows(*size) == []


def test_who_is_cut_by_a_window_is_left_out_unless_the_picture_ends_there():
    window = Roi(150, 50, 100)  # x from 100 to 200, y from 0 to 100, of 300 x 100
    boxes = np.array(
        [
            [(120, 0), (140, 20)],
            [(105, 40), (125, 60)],
            [(180, 40), (195, 60)],
            [(150, 90), (160, 120)],
        ]
    )
    assert roi.inside(boxes, window, 300, 100).tolist() == [True, False, False, True]
    assert roi.inside(boxes, roi.whole(300, 100), 300, 100).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_view_is_opencvs_warp(seed):
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (180, 240, 3), np.uint8), (0, 0), 3)
    crop = Roi(*rng.uniform([60, 40], [180, 140]), rng.uniform(80, 300), rng.uniform(-3, 3))
    side = 96
    corners = roi.to_picture(np.array([(0, 0), (1, 0), (1, 1), (0, 1)]), crop)
    target = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    for border in (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT):
        warped = cv2.warpPerspective(
            picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border
        )
        found = roi.view(picture, crop, side, border)
        assert found.shape == (side, side, 3) and found.dtype == np.uint8
        far = np.abs(found.astype(int) - warped)
        assert np.mean(far) < 0.5 and np.percentile(far, 99) <= 3


@pytest.mark.parametrize("crop", [Roi(5, 5, 0), Roi(-1e6, 2e7, 1e6, 1), Roi(50, 50, 1e-9, 3)])
def test_a_crop_of_nothing_or_far_away_is_a_picture_all_the_same(crop):
    picture = np.full((100, 100, 3), 7, np.uint8)
    assert (roi.view(picture, crop, 32, cv2.BORDER_REPLICATE) == 7).all()


def test_turned_points_come_back_turned():
    crop = Roi(100, 80, 50, np.radians(30))
    points = np.random.default_rng(0).uniform(0, 1, (5, 2))
    back = roi.rotate(roi.to_picture(points, crop) - [100, 80], -crop.angle) / 50 + 0.5
    assert back == pytest.approx(points)
