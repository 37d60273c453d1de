"""Pictures of a clip."""

import numpy as np
import pytest

from datagen.clips import contact_sheet

# What the package flow_vis 0.1 (Baker's code in Python) gives for right, down, left, up.
RIGHT, DOWN, LEFT, UP = (255, 0, 0), (255, 229, 0), (0, 209, 255), (88, 0, 255)


def clip(length=9, size=64):
    rng = np.random.default_rng(0)
    joints = np.ones((length, 38, 3))
    joints[..., :2] = rng.uniform(10, size - 10, (length, 38, 2))
    return rng.integers(0, 256, (length + 1, size, size, 3), np.uint8), joints


@pytest.mark.parametrize(
    "flow, colour", [((1, 0), RIGHT), ((0, 1), DOWN), ((-1, 0), LEFT), ((0, -1), UP)]
)
def test_direction_is_hue(flow, colour):
    picture = contact_sheet.flow_to_colour(np.array(flow, float)[:, None, None], 1.0)
    assert np.abs(picture[0, 0].astype(int) - colour).max() <= 1


def test_no_motion_is_white_and_faster_is_purer():
    flow = np.zeros((2, 1, 5))
    flow[0] = np.arange(5) / 4
    picture = contact_sheet.flow_to_colour(flow, 1.0)[0].astype(int)
    assert (picture[0] == 255).all()
    assert (np.diff(picture[:, 1]) < 0).all() and (picture[:, 0] == 255).all()
    beyond = contact_sheet.flow_to_colour(flow * 2, 1.0)[0, -1]
    assert beyond[0] == 191  # Baker's 0.75


def test_wheel_is_middleburys():
    wheel = contact_sheet.colour_wheel()
    assert wheel.shape == (55, 3)
    # Their makeColorwheel: the first of each of the six runs.
    starts = np.cumsum([0, 15, 6, 4, 11, 13])
    pure = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1)]
    assert np.array_equal(wheel[starts], pure)


def test_enlarged_flow_keeps_its_pixels():
    flow = np.full((2, 8, 8), 3.0, np.float16)
    assert (contact_sheet.enlarge(flow, (64, 64)) == 3).all()


def test_heat_peaks_on_the_keypoint_with_the_inputs_width():
    size = 224
    picture = contact_sheet.heat(
        np.zeros((size, size, 3), np.uint8), np.array([[50, 90, 1], [9, 9, 0]])
    )
    assert np.unravel_index(picture[..., 0].argmax(), (size, size)) == (90, 50)
    assert picture[90, 50, 0] == 255
    assert picture[90, 60, 0] == pytest.approx(255 * np.exp(-0.5), abs=1)
    assert picture[9, 9].max() == 0  # unseen: not drawn


def test_skeleton_is_drawn_at_its_joints_in_its_colours():
    _, joints = clip()
    points = joints[0]
    points[:, :2] = 200, 200
    points[24 + contact_sheet.EVAL_JOINTS.index("lsp_left_knee"), :2] = 30, 40
    points[24 + contact_sheet.EVAL_JOINTS.index("lsp_left_ankle"), :2] = 30, 60
    picture = contact_sheet.skeleton(np.zeros((224, 224, 3), np.uint8), points)
    assert tuple(picture[50, 30]) == contact_sheet.LEFT
    assert tuple(picture[40, 30]) == (255, 255, 255)


def test_far_and_missing_joints_do_no_harm():
    frames, joints = clip()
    joints[:, :20, :2] = 1e9
    joints[:, 30:, :2] = np.nan
    assert contact_sheet.skeleton(frames[0], joints[0]).shape == (64, 64, 3)


def test_outline_is_the_masks_border():
    mask = np.zeros((64, 64), bool)
    mask[10:20, 30:40] = True
    picture = contact_sheet.outline(np.zeros((64, 64, 3), np.uint8), mask)
    drawn = (picture == contact_sheet.OCCLUDER).all(axis=-1)
    assert drawn.sum() == 36 and drawn[10, 30:40].all() and not drawn[15, 35]


def test_clip_sheet_shows_what_it_is_given():
    frames, joints = clip()
    flow = np.ones((9, 2, 16, 16), np.float16)
    occluded = np.array([0, 0, 0, 0, 1, 1, 0, 0, 0])
    before = frames.copy()
    whole = contact_sheet.clip_sheet(
        frames,
        joints,
        flow=flow,
        occluded=occluded,
        occluder=np.zeros((10, 64, 64), np.uint8),
        columns=3,
    )
    named, whole = whole, whole[:, contact_sheet.TITLE :]
    assert whole.shape == (4 * 66 - 2, 3 * 66 - 2, 3) and whole.dtype == np.uint8
    for row in range(4):  # each name beside its row
        assert named[row * 66 : row * 66 + 64, : contact_sheet.TITLE].min() < 128
    assert tuple(whole[0, 66]) == contact_sheet.TOTAL  # frame 4 of 0, 4, 8
    assert tuple(whole[0, 0]) != contact_sheet.TOTAL
    assert contact_sheet.clip_sheet(frames, joints).shape == (
        3 * 66 - 2,
        contact_sheet.TITLE + 8 * 66 - 2,
        3,
    )
    assert np.array_equal(frames, before)


def test_grid_fills_its_last_row_with_white():
    images = [np.full((4, 5, 3), k, np.uint8) for k in range(3)]
    whole = contact_sheet.grid(images, 2)
    assert whole.shape == (10, 12, 3)
    assert (whole[6:, :5] == 2).all() and (whole[6:, 7:] == 255).all()
