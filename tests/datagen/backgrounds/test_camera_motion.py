"""Camera motion against motion that is known."""

import cv2
import numpy as np
import pytest
from moving_pictures import film, picture, similarities

from benchmarks.camera_motion import walker
from datagen.backgrounds.camera_motion import apply, camera_motion, corners, fit

MOTIONS = {
    "still": {},
    "pan": {"pan": (2.125, 0.0)},
    "tilt": {"pan": (0.3125, -1.6875)},
    "zoom": {"zoom": 1.006},
    "roll": {"roll": 0.4},
    "all": {"pan": (-1.3, 0.8), "roll": -0.2, "zoom": 0.997},
}


@pytest.mark.parametrize("name", MOTIONS)
def test_known_similarity(name):
    rng = np.random.default_rng(1)
    true = similarities(32, **MOTIONS[name])
    motion = camera_motion(film(picture(rng, 400, 480), true))
    points = np.float64([[160, 120], [100, 160], [220, 80]])
    error = motion.motion @ np.column_stack([points, np.ones(3)]).T - (
        true @ np.column_stack([points, np.ones(3)]).T
    )
    assert np.abs(error).max() < 0.4
    assert np.array_equal(motion.motion[0], np.eye(2, 3))
    assert motion.inlier_ratio.min() > 0.6


def test_a_walker_does_not_win():
    rng = np.random.default_rng(5)
    true = similarities(12, pan=(1.0, -0.5))
    frames = walker(film(picture(rng, 400, 480, 4.0), true), 0.35, rng)
    motion = camera_motion(frames)
    assert np.abs(motion.motion[-1, :, 2] - true[-1, :, 2]).max() < 1.0


def test_flat_frames_have_no_motion_to_trust():
    motion = camera_motion(np.full((4, 240, 320, 3), 90, np.uint8))
    assert motion.inliers.max() == 0 and np.isfinite(motion.motion).all()


def test_corners_spread_over_plain_and_busy_parts():
    rng = np.random.default_rng(0)
    grey = picture(rng, 240, 320)[..., 0]
    grey[:, :160] = 128 + (grey[:, :160].astype(int) - 128) // 8  # hardly any contrast
    left = (corners(grey)[:, 0] < 160).mean()
    assert 0.35 < left < 0.65


def test_fit_recovers_a_turning_camera():
    matrix = np.array([[230.0, 0, 159.5], [0, 230.0, 119.5], [0, 0, 1]])
    turn = cv2.Rodrigues(np.array([0.004, 0.015, 0.003]))[0]
    true = matrix @ turn @ np.linalg.inv(matrix)
    start = np.random.default_rng(0).uniform([0, 0], [319, 239], (200, 2))
    found = fit(start, apply(true, start), (320, 240))
    assert np.abs(apply(found, start) - apply(true, start)).max() < 0.05
