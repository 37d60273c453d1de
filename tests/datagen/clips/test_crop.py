"""The crop: HMR's box, filled, smoothed, jittered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.clips import crop
from datagen.clips.options import ClipsConfig
from datagen.common.errors import BadInput
from datagen.footage.track import Track, labels


def track(frames=40, size=(60, 120), speed=(1.0, 0.5)):
    """Four corners and a middle of a box that glides, all visible."""
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)]) * size
    path = 100 + np.arange(frames)[:, None] * np.array(speed)
    joints = np.ones((frames, 5, 3))
    joints[..., :2] = corners + path[:, None]
    return joints


def test_diagonal_is_150_and_the_box_is_centred():
    joints = track(speed=(0, 0))
    maps = crop.crop_maps(joints, 224)
    points = crop.transform(maps, joints[..., :2])
    assert np.allclose(np.linalg.norm(points[:, 3] - points[:, 0], axis=-1), 150)
    assert np.allclose(points[:, 4], 111.5)
    half = crop.transform(crop.crop_maps(joints, 112), joints[..., :2])
    assert np.allclose(np.linalg.norm(half[:, 3] - half[:, 0], axis=-1), 75)


def test_steady_motion_is_followed():
    joints = track(60)
    points = crop.transform(crop.crop_maps(joints, 224), joints[..., :2])
    assert np.abs(points[20:40, 4] - 111.5).max() < 0.1


def test_missing_frames_are_interpolated_and_ends_held():
    joints = track(40, speed=(1, 0))
    boxes = crop.joint_boxes(joints)
    gappy = joints.copy()
    gappy[10:14, :, 2] = 0
    gappy[:3] = 0  # detectors write zeros where they find nothing
    gappy[-2:] = 0
    found = crop.fill(crop.joint_boxes(gappy))
    assert np.allclose(found[3:-2], boxes[3:-2])
    assert np.allclose(found[:3], boxes[3]) and np.allclose(found[-2:], boxes[-3])


def test_the_last_arm_in_view_does_not_fill_the_crop():
    joints = np.concatenate([track(40, speed=(0, 0))] * 2, axis=1)
    whole = crop.crop_maps(joints, 224)
    joints[25:, 2:, 2] = 0  # two joints are left
    assert np.allclose(crop.crop_maps(joints, 224), whole)
    joints[:, 2:, 2] = 0  # no frame has more: they must do
    assert np.allclose(crop.crop_maps(joints, 224)[:, 0, 0], 150 / 60)


def test_confidence_at_the_threshold_is_missing():
    joints = track(5)
    joints[..., 2] = 0.1
    assert np.isnan(crop.joint_boxes(joints, threshold=0.1)).all()
    with pytest.raises(ValueError, match="none of the 5 frames"):
        crop.crop_maps(joints, 224, threshold=0.1)


def test_one_bad_detection_does_not_move_the_crop():
    joints = track(40, speed=(0, 0))
    clean = crop.crop_maps(joints, 224)
    joints[17, 0, :2] = 900, 700
    assert np.array_equal(crop.crop_maps(joints, 224), clean)


def test_the_ends_are_not_pulled_to_the_corner():
    maps = crop.crop_maps(track(40, speed=(0, 0)), 224)
    assert np.allclose(maps, maps[20])


def test_hmmr_agrees_inside():
    """The same as HMMR's own filters (scipy's medfilt, gaussian_filter1d) away from the ends."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import medfilt

    values = np.random.default_rng(0).normal(size=(80, 3)).cumsum(axis=0)
    theirs = np.array([gaussian_filter1d(medfilt(v, 11), 3) for v in values.T]).T
    assert np.allclose(crop.smooth(values)[18:-18], theirs[18:-18])


def test_jitter_stays_in_its_bounds_and_walks_in_small_steps():
    cfg = ClipsConfig()
    maps = crop.crop_maps(track(31), 224)
    middle = np.tile((crop.inverse(maps) @ [111.5, 111.5, 1])[:, None], (1, 1, 1))
    shifts, scales = [], []
    for seed in range(200):
        shaken = crop.jitter(maps, cfg, np.random.default_rng(seed))
        shifts.append(crop.transform(shaken, middle)[:, 0] - 111.5)
        scales.append(np.log2(shaken[:, 0, 0] / maps[:, 0, 0]))
    shifts, scales = np.array(shifts), np.array(scales)
    assert 19 < np.abs(shifts).max() <= 20 and 0.28 < np.abs(scales).max() <= 0.3
    # A Gaussian of 3 frames leaves 1/(2·3·√π) of the variance of white steps: 0.31 of their rms.
    assert np.sqrt(np.mean(np.diff(shifts, axis=1) ** 2)) == pytest.approx(
        0.31 * 3 / 3**0.5, rel=0.2
    )
    assert np.abs(np.diff(scales, axis=1)).max() <= 0.05
    assert abs(shifts.mean()) < 1.5 and abs(scales.mean()) < 0.04


def test_no_jitter_is_no_change():
    cfg = ClipsConfig(jitter_translation=0, jitter_scale=0)
    maps = crop.crop_maps(track(31), 224)
    assert np.allclose(crop.jitter(maps, cfg, np.random.default_rng(0)), maps, atol=1e-12)


@pytest.mark.parametrize("bound, step", [(20, 3), (20, 0), (0.3, 0.05), (1, 5)])
def test_walk_never_leaves_its_bounds(bound, step):
    path = crop.walk(500, 2, bound, step, np.random.default_rng(3))
    assert np.abs(path).max() <= bound
    assert np.abs(np.diff(path, axis=0)).max() <= step + 1e-12


def test_inverse():
    maps = crop.crop_maps(track(31), 224)
    points = np.random.default_rng(0).uniform(-100, 500, (31, 9, 2))
    back = crop.transform(crop.inverse(maps), crop.transform(maps, points))
    assert np.abs(back - points).max() < 1e-9


@given(
    st.integers(1, 60),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.sampled_from([1.0, 50.0, 3000.0]),
)
@settings(max_examples=60, deadline=None)
def test_any_track_with_a_box_has_finite_crops(frames, joints, seed, missing, spread):
    """Whatever a detector writes (gaps, zeros, NaN), crops are finite and upright, or refused."""
    rng = np.random.default_rng(seed)
    track = np.concatenate(
        [rng.normal(0, spread, (frames, joints, 2)), rng.random((frames, joints, 1))], axis=2
    )
    track[rng.random((frames, joints)) < missing / 2] = 0
    track[rng.random((frames, joints)) < missing / 2] = np.nan
    try:
        maps = crop.crop_maps(track, 224, threshold=0.1)
    except ValueError as error:
        assert "to crop around" in str(error)
        return
    assert np.isfinite(maps).all() and (maps[:, 0, 0] > 0).all()
    assert (maps[:, 0, 0] == maps[:, 1, 1]).all() and not maps[:, [0, 1], [1, 0]].any()


def test_what_cannot_be_cropped_says_why():
    few = track(20)
    few[:, 1:, 2] = 0
    small = track(20, size=(1, 1))
    for joints in (few, small):
        with pytest.raises(ValueError, match="none of the 20 frames shows two joints 4 px"):
            crop.crop_maps(joints, 224)
    person = Track("clip_0", "clip_0", np.arange(5, 25), few)
    with pytest.raises(BadInput, match="clip_0: none of its frames, 5 to 24, shows"):
        labels(person, 224, 150)
