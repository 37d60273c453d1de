"""The person's place in the scene."""

import cv2
import numpy as np
import pytest

from datagen.clips.camera_offset import camera_offsets, inside, place

CAMERA = np.array([[600, 0, 160], [0, 600, 120], [0, 0, 1]], np.float32)


def similarity(angle=0.0, scale=1.0, shift=(0.0, 0.0), about=(160, 120)):
    matrix = cv2.getRotationMatrix2D(about, angle, scale)
    matrix[:, 2] += shift
    return np.vstack([matrix, [0, 0, 1]])


def test_pan_moves_the_person_by_the_pan():
    motion = np.stack([similarity(shift=(2 * t, -t)) for t in range(10)])
    pelvis = np.tile([150.0, 130], (10, 1))
    offsets, moved = place(pelvis, motion, 320, 240)
    assert np.allclose(offsets, [(2 * t, -t) for t in range(10)]) and not moved


@pytest.mark.parametrize("angle, scale", [(10, 1), (0, 1.2), (-5, 0.9)])
def test_zoom_and_roll_are_taken_at_the_persons_place(angle, scale):
    matrix = similarity(angle, scale)
    spot = np.array([200.0, 60])
    offset = camera_offsets(matrix[None], spot)[0]
    assert np.allclose(spot + offset, cv2.perspectiveTransform(spot[None, None], matrix)[0, 0])


def test_a_wide_lens_pans_by_its_perspective():
    """Against OpenCV's projection of the same point from two turned cameras."""
    turn = cv2.Rodrigues(np.array([0.05, 0.2, 0.02]))[0]
    camera = CAMERA.astype(float)
    spot = np.array([230.0, 90])
    ray = np.linalg.inv(camera) @ [*spot, 1]
    seen = cv2.projectPoints(ray[None], turn, np.zeros(3), camera, None)[0].reshape(2)
    homography = 3 * camera @ turn @ np.linalg.inv(camera)  # its scale means nothing
    assert np.allclose(spot + camera_offsets(homography[None], spot)[0], seen)


def test_a_wide_pan_is_brought_into_view():
    motion = np.stack([similarity(shift=(20 * t, 0), scale=1 + 0.005 * t) for t in range(32)])
    pelvis = np.tile([160.0, 120], (32, 1))
    offsets, moved = place(pelvis, motion, 320, 240)
    path = pelvis + offsets
    middle = (path.min(axis=0) + path.max(axis=0)) / 2
    assert moved and np.allclose(middle, [159.5, 119.5], atol=0.5)
    # It is still the camera's motion, at the place where the person now is.
    start = pelvis[0] + offsets[0]
    assert np.allclose(np.diff(offsets[:, 0]), 20 + 0.005 * (start[0] - 160), atol=1e-2)


def test_a_person_that_left_its_own_frame_is_not_fetched():
    pelvis = np.linspace((160, 120), (900, 120), 32)
    _, moved = place(pelvis, np.tile(np.eye(3), (32, 1, 1)), 320, 240)
    assert not moved


def test_nobody():
    motion = np.stack([similarity(shift=(t, 0)) for t in range(4)])
    offsets, moved = place(np.full((4, 2), np.nan), motion, 320, 240)
    assert np.allclose(offsets[:, 0], range(4)) and not moved


def test_inside_counts_pixels():
    points = np.array([(-0.5, 0), (-0.51, 0), (319.49, 239.49), (319.5, 0), (np.nan, 0)])
    assert inside(points, 320, 240).tolist() == [True, False, True, False, False]
