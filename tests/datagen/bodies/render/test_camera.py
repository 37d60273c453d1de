"""The camera against OpenCV and against SMPL's own convention of turning about the pelvis."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datagen.bodies.options import BodiesConfig
from datagen.bodies.render.camera import (
    CLOSEST,
    View,
    clip_matrix,
    closest_start,
    draw_view,
    into_camera,
    intrinsics,
    project,
)

CFG = BodiesConfig()
K = intrinsics(CFG)


def test_projects_as_opencv_does():
    points = np.random.default_rng(0).normal([0, 0, 7], 1, (500, 3))
    theirs = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K.astype(float), None)[0][:, 0]
    np.testing.assert_allclose(project(points, K), theirs, atol=1e-4)


def test_behind_the_camera_is_nowhere():
    assert np.isnan(project(np.array([[0, 0, -1.0], [1, 1, 0]]), K)).all()


def test_rendering_matrix_agrees_with_projection():
    points = np.random.default_rng(1).normal([0, 0, 7], 1, (500, 3))
    clip = np.c_[points, np.ones(500)] @ clip_matrix(K, 320, 240).T.astype(float)
    window = (clip[:, :2] / clip[:, 3:] + 1) / 2 * [320, 240]
    np.testing.assert_allclose(window - 0.5, project(points, K), atol=1e-4)
    depth = clip[:, 2] / clip[:, 3]
    assert (np.argsort(depth) == np.argsort(points[:, 2])).all()


def test_nothing_is_mirrored():
    for yaw in (0.0, 1.0, 4.0):
        assert np.linalg.det(View(yaw, 7).rotation) == pytest.approx(1)
    # A body of zero yaw faces the camera upright: its left is on the picture's right.
    left, up, front = np.eye(3)
    rotation = View(0.0, 7).rotation
    np.testing.assert_allclose(rotation @ left, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation @ up, [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation @ front, [0, 0, -1], atol=1e-12)


def test_turning_the_pose_turns_the_body():
    rng = np.random.default_rng(2)
    pose, trans = rng.normal(0, 1, (9, 72)), rng.normal(0, 1, (9, 3))
    pelvis = np.array([0.01, -0.2, 0.03])
    rest = rng.normal(0, 0.5, (50, 3))  # body-fixed points

    def smpl(pose, trans):
        turned = [Rotation.from_rotvec(p[:3]).apply(rest - pelvis) for p in pose]
        return np.array(turned) + pelvis + trans[:, None]

    view = View(2.1, 6.5)
    world = smpl(pose, trans)
    wanted = (world - (pelvis + trans[0])) @ view.rotation.T + [0, 0, 6.5]
    seen_pose, seen_trans = into_camera(view, pose, trans, pelvis)
    np.testing.assert_allclose(smpl(seen_pose, seen_trans), wanted, atol=1e-5)
    np.testing.assert_array_equal(seen_pose[:, 3:], pose[:, 3:].astype(np.float32))
    np.testing.assert_allclose(project(seen_trans[0] + pelvis, K), [160, 120], atol=1e-4)


def test_a_camera_that_looks_down_is_above_the_person():
    depth, pitch = 5.0, np.radians(30)
    world = np.random.default_rng(3).normal(0, 0.5, (50, 3))  # about the pelvis; y up, faces +z
    place = depth * np.array([0, np.sin(pitch), np.cos(pitch)])
    forward = -place / depth
    right = np.cross(forward, [0, 1, 0]) / np.cos(pitch)
    look_at = np.stack([right, np.cross(forward, right), forward])
    theirs = cv2.projectPoints(
        world, cv2.Rodrigues(look_at)[0], -look_at @ place, K.astype(float), None
    )[0][:, 0]
    seen = world @ View(0.0, depth, pitch).rotation.T + [0, 0, depth]
    np.testing.assert_allclose(project(seen, K), theirs, atol=1e-3)


def test_a_rolled_camera_turns_the_picture_clockwise():
    up = View(0.3, 5.0, roll=np.radians(20)).rotation @ [0, 1, 0]
    np.testing.assert_allclose(up, [np.sin(np.radians(20)), -np.cos(np.radians(20)), 0], atol=1e-9)


def test_pitch_and_roll_are_drawn_as_asked():
    still = np.zeros((100, 3))
    cfg = BodiesConfig(camera_pitch=(-10, 30), camera_roll=8, focal=300, depth_mean=4)
    views = [draw_view(cfg, still, np.random.default_rng(seed)) for seed in range(2000)]
    pitches = np.degrees([view.pitch for view in views])
    assert -10 <= pitches.min() < -8 and 28 < pitches.max() <= 30
    assert abs(np.degrees([view.roll for view in views]).std() - 8) < 0.5
    assert min(view.depth for view in views) >= CLOSEST
    level = draw_view(CFG, still, np.random.default_rng(0))
    assert (level.pitch, level.roll) == (0, 0)  # SURREAL's, by default


def test_views_are_drawn_as_surreal_draws_them():
    still = np.zeros((100, 3))
    views = [draw_view(CFG, still, np.random.default_rng(seed)) for seed in range(2000)]
    depths = np.array([view.depth for view in views])
    yaws = np.array([view.yaw for view in views])
    assert abs(depths.mean() - 7) < 0.1 and abs(depths.std() - 1) < 0.1
    assert depths.min() >= closest_start(CFG) == 3.5
    assert np.histogram(yaws, 4, (0, 2 * np.pi))[0].min() > 400


def test_runners_do_not_run_through_the_camera():
    run = np.c_[np.zeros((100, 2)), np.linspace(0, 10, 100)]
    for seed in range(200):
        view = draw_view(CFG, run, np.random.default_rng(seed))
        assert ((run @ view.rotation.T)[:, 2] + view.depth).min() >= CLOSEST


def test_runners_stay_in_the_picture_for_half_the_clip():
    run = np.c_[np.zeros((100, 2)), np.linspace(0, 10, 100)]
    shares = []
    for seed in range(100):
        view = draw_view(CFG, run, np.random.default_rng(seed))
        x = project(run @ view.rotation.T + [0, 0, view.depth], K)[:, 0]
        shares.append(((x >= 0) & (x < 320)).mean())
    assert np.quantile(shares, 0.1) >= 0.5
    yaws = [draw_view(CFG, run, np.random.default_rng(seed)).yaw for seed in range(100)]
    assert np.ptp(yaws) > 0.3  # still at random
