"""Camera motion against motion that is known."""

import cv2
import numpy as np
import pytest

from benchmarks.camera_motion import walker
from datagen.backgrounds.camera_motion import apply, camera_motion, corners, fit


def picture(rng: np.random.Generator, height: int, width: int, smooth: float = 2.0) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), smooth)
    return np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def similarities(count: int, pan=(0.0, 0.0), roll=0.0, zoom=1.0, centre=(160, 120)) -> np.ndarray:
    """Frame 0 to frame t: a pan (multiples of 1/32, which warpAffine draws exactly),
    roll (degrees) and zoom a frame about the centre."""
    motions = []
    for t in range(count):
        matrix = cv2.getRotationMatrix2D(centre, roll * t, zoom**t)
        matrix[:, 2] += np.float64(pan) * t
        motions.append(matrix)
    return np.stack(motions)


def film(world: np.ndarray, motions: np.ndarray, margin: int = 80) -> np.ndarray:
    """See a picture 2 * margin larger than 320 x 240 under the given motions."""
    frames = []
    for motion in motions:
        into = motion @ np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1.0]])
        frames.append(cv2.warpAffine(world, into, (320, 240), flags=cv2.INTER_CUBIC))
    return np.stack(frames)


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
