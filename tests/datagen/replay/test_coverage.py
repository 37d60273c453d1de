"""The film, the contact sheet and the command say the same of each frame."""

from collections import Counter

import numpy as np
import pytest
from predictions import maps_of, prediction, saved

from datagen.common.record import JOINTS, KEYPOINTS
from datagen.footage.video_source import dropped
from datagen.replay import coverage, views
from datagen.replay.pictures import Picture, Pictures

NUMBERS = np.arange(0, 40, 2)  # 60 frames per second, of which every second is shown


@pytest.fixture
def seen_late(tmp_path):
    """A prediction of frames 10 to 32, without a detection in 14, 16, 20 and 28 to 30."""
    length = 12
    source = np.arange(10, 34, 2)
    camera = np.tile([0.9, 0, 0], (length, 1))
    maps = maps_of(np.ones(length), 0)
    arrays = prediction(np.zeros((length, 72)), np.zeros((length, 10)), camera, maps)
    arrays |= {"source": source, "occluded": np.isin(source, [14, 16, 20, 28, 30]).astype(np.uint8)}
    return saved(tmp_path / "late.npz", arrays)


def test_the_command_names_the_frames_that_the_film_labels(seen_late, body, monkeypatch):
    written = []

    def caption(image, text):
        written.append(text)
        return image

    monkeypatch.setattr(views.sheet, "caption", caption)
    pictures = [
        Picture(np.zeros((32, 32, 3), np.uint8), t if 0 <= t < 12 else None, number / 60)
        for t, number in enumerate(NUMBERS.tolist(), -5)
    ]
    under = Pictures(32, 32, seen_late.crop / 7, iter(pictures), numbers=NUMBERS)
    shown = list(views.show(seen_late, body, under, degrees=60, opacity=1))
    # Both halves of a frame without the person; the picture of one without a detection.
    assert Counter(written) == {"person not found": 2 * 8, "no detection: interpolated": 5}
    assert coverage.report("late", seen_late, NUMBERS) == [
        "late: frames 14-16, 20 and 28-30 (5 in all): no detection, the body is interpolated",
        "late: frames 0-8 and 34-38 (8 in all): this person was not found",
    ]
    written.clear()
    views.contact_sheet(seen_late, under, dict(enumerate(shown[5:9])))
    numbered = [text for text in written if text.isdecimal()]
    assert numbered == ["10", "12", "14", "16"]  # the video's, not the track's
    assert written.count("no detection: interpolated") == 2


def test_a_frame_without_a_person_is_labelled_in_both_halves(seen_late, body):
    plain = np.full((200, 300, 3), 255, np.uint8)
    under = Pictures(300, 200, seen_late.crop, iter([Picture(plain, None, 0)]), numbers=NUMBERS[:1])
    (frame,) = views.show(seen_late, body, under, degrees=60, opacity=1)
    for half in (frame.over, frame.aside):
        assert half[:14, :40].min() < 100  # the label is dark
    assert frame.plain.min() == 255


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([0], "frame 0"),
        (range(3), "frames 0-4"),
        ([0, 2, 4, 6, 8], "frames 0, 4, 8, 12 and 16 (5 in all)"),
        ([0, 2, 4, 6, 8, 9, 12], "frames 0, 4, 8, 12 and 2 more ranges (7 in all)"),
    ],
)
def test_many_ranges_are_shortened(chosen, expected):
    assert coverage.ranges(NUMBERS, np.isin(np.arange(len(NUMBERS)), list(chosen))) == expected


@pytest.mark.parametrize(
    ("off", "words"),
    [
        ([3.0] * 9, ""),
        ([12.0] * 9, "it may not be a person (the body is 4 %"),
        ([3.0] * 6 + [20.0] * 3, ""),  # a fast movement
        (
            [3.0] * 6 + [60.0] * 3,
            "it: doubtful detection in frames 6-8 (the body is 20 %",
        ),  # another thing
    ],
)
def test_a_body_far_off_its_keypoints_is_doubtful(tmp_path, off, words):
    """Limbs in a box of 180 by 240 pixels, and keypoints a constant distance beside them."""
    rng = np.random.default_rng(0)
    limbs = [JOINTS.index(name) for name in KEYPOINTS]
    joints2d = rng.uniform(20, 200, (9, len(JOINTS), 2))
    joints2d[:, limbs] = rng.uniform((0, 0), (180, 240), (9, len(limbs), 2))
    joints2d[:, limbs[:2]] = (0, 0), (180, 240)
    beside = np.array(off)[:, None, None] * (1, 0)
    keypoints = np.concatenate([joints2d[:, limbs] + beside, np.ones((9, len(limbs), 1))], 2)
    keypoints[:2, 3:] = 0  # not seen
    zero = np.zeros((9, 72)), np.zeros((9, 10)), np.ones((9, 3))
    arrays = prediction(*zero, maps_of(np.ones(9), 0), keypoints=keypoints, joints2d=joints2d)
    motion = saved(tmp_path / "it.npz", arrays)
    expected = [f"note: {words} of its size off the keypoints)"]
    assert coverage.report("it", motion, np.arange(9)) == expected * bool(words)


def test_nobody_is_chosen_if_everybody_is_kept():
    used, shown, kept = np.arange(6), np.array([1, 1, 0, 1, 0, 0], bool), np.array([0])
    one, everybody = (dropped(used, 6, shown, kept, everybody=every) for every in (False, True))
    assert one == {"with nobody detected": 3, "outside the chosen person's track": 2}
    assert everybody == {"with nobody detected": 3, "outside all tracks": 2}
