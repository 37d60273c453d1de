"""Keypoints that are not those of the video, or in other pixels, are refused by its motion."""

import numpy as np
import pytest

from datagen.common.errors import BadInput
from datagen.common.frames import frame_size
from datagen.footage.agreement import agreement, flow_pairs, require_agreement, stretch, units
from datagen.footage.embedded_clip import CLIP, CLIP_KEYPOINTS
from datagen.footage.keypoint_files import read_keypoints

WIDTH, HEIGHT = 540, 960
BACK = {
    "with y before x": lambda p: p[..., ::-1],
    "in percent of the picture": lambda p: p / (WIDTH, HEIGHT) * 100,
    "in the picture rotated back by 90°": lambda p: np.stack(
        [p[..., 1], WIDTH - 1 - p[..., 0]], -1
    ),
    "in the picture rotated further by 90°": lambda p: np.stack(
        [HEIGHT - 1 - p[..., 1], p[..., 0]], -1
    ),
    "in the picture upside down": lambda p: (WIDTH - 1, HEIGHT - 1) - p,
    "with y counted from the bottom": lambda p: np.stack([p[..., 0], HEIGHT - 1 - p[..., 1]], -1),
    "in the mirrored picture": lambda p: np.stack([WIDTH - 1 - p[..., 0], p[..., 1]], -1),
    "at half the video's size": lambda p: p / 2,
    "at twice the video's size": lambda p: p * 2,
    "at two thirds of the video's size": lambda p: p / 1.5,
}
"""What is reported of the embedded clip's keypoints when they are changed so."""


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return read_keypoints(CLIP_KEYPOINTS, 50)[:, 0, :12].astype(float)


@pytest.fixture(scope="module")
def pairs(points):
    return flow_pairs(CLIP, points, np.arange(50), 2)


def require(points: np.ndarray) -> None:
    require_agreement(CLIP, CLIP_KEYPOINTS, points, np.arange(len(points)), 30)


def test_its_own_agree(points, pairs):
    assert frame_size(CLIP) == (WIDTH, HEIGHT)
    require(points)
    assert agreement(points, pairs) > 0.5


@pytest.mark.parametrize("text", BACK)
def test_another_unit_is_found(text, points, pairs):
    """By agreement alone, with the flow of the right places: one estimate serves all."""
    changed = np.concatenate([BACK[text](points[..., :2]), points[..., 2:]], -1)
    tried = {
        name: agreement(np.concatenate([f(changed[..., :2]), points[..., 2:]], -1), pairs)
        for name, f in units(WIDTH, HEIGHT).items()
    }
    assert max(tried, key=lambda name: tried[name]).startswith(text)
    assert agreement(changed, pairs) < 0.25


@pytest.mark.parametrize("text", ["at half the video's size", "in the mirrored picture"])
def test_another_unit_is_refused(text, points):
    with pytest.raises(BadInput, match=f"but does {text}"):
        require(np.concatenate([BACK[text](points[..., :2]), points[..., 2:]], -1))


def test_every_second_frames_are_refused(points):
    half = np.zeros_like(points)
    half[:25] = points[::2]
    assert stretch(half)[0] == 2 and stretch(points)[0] == 1
    with pytest.raises(BadInput, match="as those of every second frame"):
        require(half)


def test_another_person_is_refused(points):
    """Who walks where a wall is."""
    stranger = points.copy()
    stranger[..., :2] = points[::-1, :, :2] * 0.4 + (300, 20) + np.arange(50)[:, None, None] * 3
    with pytest.raises(BadInput, match="moves where nothing moves"):
        require(stranger)


def test_a_video_of_few_frames_is_taken_on_trust(points):
    used = np.arange(0, 50, 10)
    require_agreement(CLIP, CLIP_KEYPOINTS, np.add(points[used][::-1], [40, 0, 0]), used, 3)


def test_who_stands_still_is_taken_on_trust(points):
    rng = np.random.default_rng(0)
    still = points[:1].repeat(50, 0)
    still[..., :2] += rng.normal(0, 1, still[..., :2].shape) - (100, 0)
    require(still)
    require(points * [1, 1, 0])  # nobody
