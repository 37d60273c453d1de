"""Embedded scenes: what is drawn is what the camera's path says, and estimates find it."""

import cv2
import numpy as np
import pytest
from test_camera_motion import walker

from datagen.backgrounds.camera_motion import camera_motion
from datagen.backgrounds.scenes import open_scene, panorama_of, scene_names

PLACES = np.float64([[160, 120], [130, 130], [190, 130]])  # where people stand
SIZE = (320, 240)


def offset_error(name: str, disturb, start: int = 70) -> np.ndarray:
    """Error in pixels [3] of the offset accumulated over 31 frames at PLACES."""
    scene = open_scene(name)
    frames = disturb(scene.render(start, 32, *SIZE))
    true = scene.follow(PLACES, start, 32, *SIZE)[-1]
    matrix = camera_motion(frames).motion[-1]
    return np.linalg.norm(PLACES @ matrix[:, :2].T + matrix[:, 2] - true, axis=1)


def test_a_scene_is_always_the_same():
    name = scene_names()[0]
    first = open_scene(name).render(3, 2, *SIZE)
    open_scene.cache_clear()
    assert np.array_equal(first, open_scene(name).render(3, 2, *SIZE))
    assert first.shape == (2, 240, 320, 3) and first.std() > 10


def test_names_and_panoramas():
    names = scene_names()
    assert len(names) == len(set(names)) and len({panorama_of(n) for n in names}) * 4 == len(names)


def test_pictures_move_as_followed():
    scene = open_scene("scene_forest_00")
    frames = scene.render(40, 6, *SIZE)
    y, x = np.mgrid[40:200:20, 60:260:20]
    pixels = np.float64([x.ravel(), y.ravel()]).T
    true = scene.follow(pixels, 40, 6, *SIZE)
    assert np.allclose(true[0], pixels)
    first, last = (cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY) for t in (0, 5))
    found, status, _ = cv2.calcOpticalFlowPyrLK(first, last, np.float32(pixels), None)
    error = np.linalg.norm(found - true[5], axis=1)[status[:, 0] == 1]
    assert np.median(error) < 0.3


def test_followed_points_agree_with_the_homography_far_away():
    scene = open_scene("scene_city_01")
    moved = scene.homographies(40, 8, *SIZE)[-1] @ [160, 60, 1]
    followed = scene.follow(np.float64([[160, 60]]), 40, 8, *SIZE)[-1, 0]
    assert np.allclose(moved[:2] / moved[2], followed, atol=1.0)  # the dome is 25 m away


def test_offsets_are_found():
    errors = [offset_error(n, lambda frames: frames) for n in ("scene_lab_02", "scene_forest_01")]
    assert np.max(errors) < 2.0


CONDITIONS = {
    "plain": (lambda f, rng: f, 0.5, 2.0),
    "noise": (
        lambda f, rng: np.clip(f + rng.normal(0, 10, f.shape), 0, 255).astype(np.uint8),
        0.6,
        2.0,
    ),
    "blur": (lambda f, rng: np.stack([cv2.blur(x, (7, 1)) for x in f]), 0.5, 2.0),
    "walker over 20 %": (lambda f, rng: walker(f, 0.2, rng), 0.6, 2.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONDITIONS)
def test_offset_statistics(name):
    disturb, median, most = CONDITIONS[name]
    errors = []
    for index, scene in enumerate(scene_names()[1::5]):
        rng = np.random.default_rng(index)
        errors.append(offset_error(scene, lambda frames, rng=rng: disturb(frames, rng)))
    print(name, np.median(errors), np.percentile(errors, 95))
    assert np.median(errors) < median and np.percentile(errors, 95) < most
