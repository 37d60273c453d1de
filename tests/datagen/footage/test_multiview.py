"""Adjusting several views at once, on an invented person whose joints and cameras are known."""

import cv2
import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime, least_squares
from scipy.spatial.transform import Rotation

from datagen.common.errors import BadInput
from datagen.footage.calibration import Camera
from datagen.footage.multiview import (
    ALIKE,
    BONES,
    Assumptions,
    Problem,
    adjust,
    bone_lengths,
    residuals,
    triangulate,
)
from trainer.evaluation.metrics import pa_mpjpe

FPS = 60
LENGTHS = {"shank": 0.40, "thigh": 0.42, "upper": 0.29, "fore": 0.26}


def walker(frames: int = 60) -> np.ndarray:
    """Return [N,12,3] metres, z up: a person of rigid bones who swings arms and legs."""
    t = np.arange(frames) / FPS
    joints = np.zeros((frames, 12, 3))

    def chain(root: int, ends: tuple[int, int], sizes: tuple[float, float], phase: float) -> None:
        swing = 0.7 * np.sin(2 * np.pi * t + phase)
        bend = 0.5 + 0.4 * np.sin(2 * np.pi * t + phase + 1)
        at = joints[:, root]
        for joint, size, angle in zip(ends, sizes, (swing, swing - bend), strict=True):
            side = 0.1 * np.cos(t * 2 + phase)
            way = np.stack([np.sin(angle), side, -np.cos(angle)], -1)
            at = at + size * way / np.linalg.norm(way, axis=-1, keepdims=True)
            joints[:, joint] = at

    turn = Rotation.from_rotvec(np.outer(0.6 * np.sin(2 * t), [0, 0, 1])).as_matrix()
    middle = np.stack([0.5 * t, 0.1 * np.sin(3 * t), 0.95 + 0.03 * np.cos(6 * t)], -1)
    for joint, place in ((2, (0, -0.11, 0)), (3, (0, 0.11, 0)), (8, (0, -0.17, 0.5)),
                         (9, (0, 0.17, 0.5))):  # fmt: skip
        joints[:, joint] = middle + turn @ np.array(place)
    for root, ends, kinds, phase in ((2, (1, 0), ("thigh", "shank"), 0), (8, (7, 6),
            ("upper", "fore"), 3), (3, (4, 5), ("thigh", "shank"), np.pi),
            (9, (10, 11), ("upper", "fore"), 0)):  # fmt: skip
        chain(root, ends, (LENGTHS[kinds[0]], LENGTHS[kinds[1]]), phase)
    return joints


def around(radius: float = 4.0) -> list[Camera]:
    """Return four cameras about the person, half of them looking down."""
    cameras = []
    for number in range(4):
        yaw = 0.4 + number * np.pi / 2
        eye = np.array([radius * np.cos(yaw), radius * np.sin(yaw), 1.2 + 0.8 * (number % 2)])
        forward = np.array([0.25, 0, 0.9]) - eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        intrinsics = np.array([[1600.0, 0, 540], [0, 1600, 960], [0, 0, 1]])
        cameras.append(Camera(intrinsics, rotation, eye))
    return cameras


def seen_by(cameras: list[Camera], joints: np.ndarray) -> np.ndarray:
    """Return detections [N,C,12,3] without error, by OpenCV."""
    points = []
    for camera in cameras:
        turn = cv2.Rodrigues(camera.rotation)[0]
        shift = -camera.rotation @ camera.position
        flat = cv2.projectPoints(joints.reshape(-1, 3), turn, shift, camera.intrinsics, None)[0]
        points.append(flat.reshape(len(joints), 12, 2))
    pixels = np.stack(points, 1)
    return np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], -1)


def detected(cameras: list[Camera], joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return detections with a detector's errors: noise, a bias of each joint, drops, outliers."""
    points = seen_by(cameras, joints)
    points[..., :2] += rng.normal(0, 5, points[..., :2].shape)
    points[..., :2] += rng.normal(0, 4, (1, *points.shape[1:3], 2))
    wild = rng.random(points.shape[:3]) < 0.02
    points[wild, :2] += rng.normal(0, 150, (wild.sum(), 2))
    points[rng.random(points.shape[:3]) < 0.05] = 0
    return points


def error(found: np.ndarray, true: np.ndarray) -> float:
    return float(pa_mpjpe(torch.from_numpy(found), torch.from_numpy(true)).mean())


def test_perfect_views_give_the_person_back():
    true, cameras = walker(), around()
    points = seen_by(cameras, true)
    assert np.abs(triangulate(points, cameras) - true).max() < 1e-6
    found = adjust(points, cameras, fps=FPS)
    # What is left is the smoothing: at the ankles 40 m/s² where 20 are assumed.
    assert np.abs(found.joints - true).max() < 0.004
    assert found.lengths == pytest.approx(bone_lengths(true).mean(0), abs=0.002)
    assert np.abs(found.offsets).max() < 0.5
    assert found.weights.min() > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_a_noisy_person_is_nearer_the_truth_than_frame_by_frame(seed):
    true, cameras = walker(), around()
    points = detected(cameras, true, np.random.default_rng(seed))
    found = adjust(points, cameras, fps=FPS)
    alone = triangulate(points, cameras)
    both = np.isfinite(alone).all((1, 2))  # a joint that one camera sees has no place alone
    assert both.mean() > 0.9
    assert error(found.joints[both], true[both]) < 0.75 * error(alone[both], true[both])
    spread = residuals(found.joints, points, cameras)["bone_spread_percent"]
    assert max(spread[:9]) < 0.5  # shoulders may move
    assert min(residuals(alone[both], points[both], cameras)["bone_spread_percent"][:9]) > 1
    for left, right in ALIKE:
        assert found.lengths[left] == pytest.approx(found.lengths[right], rel=0.01)


def test_outliers_lose_their_weight():
    true, cameras = walker(), around()
    points = seen_by(cameras, true)
    points[20, 2, 11, :2] += 200
    points[10:30, 0] = points[10:30, 0][:, [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6]]  # sides swapped
    found = adjust(points, cameras, fps=FPS)
    assert found.weights[20, 2, 11] < 0.05
    assert error(found.joints, true) < 5


def test_wrong_principal_points_are_found():
    true, cameras = walker(), around()
    points = seen_by(cameras, true)
    shifts = np.array([[9.0, -4], [-6, 8], [3, 5], [-2, -7]])
    points[..., :2] += shifts[:, None]
    found = adjust(points, cameras, fps=FPS)
    assert error(found.joints, true) < 3
    # A turn or a shift of the whole person hides some of it, so what is compared is the pixels.
    moved = [camera.shifted(by) for camera, by in zip(cameras, found.offsets, strict=True)]
    assert max(residuals(found.joints, points, moved)["reprojection_px"]) < 1


def test_the_jacobian_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    true, cameras = walker(4), around()
    problem = Problem(detected(cameras, true, rng), cameras, FPS, Assumptions())
    state = np.concatenate([(true + rng.normal(0, 0.02, true.shape)).ravel(),
                            np.log(bone_lengths(true).mean(0)), rng.normal(0, 5, 8)])  # fmt: skip
    for sharpness in (0.3, 1.0):
        jacobian, residual = problem.linear(state, sharpness)
        slope = approx_fprime(state, lambda at, s=sharpness: problem.cost(at, s), 1e-7)
        ours = 2 * jacobian.T @ residual
        assert ours == pytest.approx(slope, rel=1e-3, abs=1e-3 * np.abs(slope).max())


def test_scipy_finds_no_lower_cost():
    true, cameras = walker(8), around()
    points = detected(cameras, true, np.random.default_rng(3))
    found = adjust(points, cameras, fps=FPS)
    problem = Problem(points, cameras, FPS, Assumptions())
    best = np.concatenate([found.joints.ravel(), np.log(found.lengths), found.offsets.ravel()])

    def every(state: np.ndarray) -> np.ndarray:
        """Residuals whose squares sum to the cost: Cauchy's loss of a detection as one number."""
        joints, lengths, offsets = problem.parts(state)
        edge = problem.assumed.outlier
        far = (problem.miss(joints, offsets) ** 2).sum(-1) / problem.sigma**2
        views = edge * np.sqrt(np.log1p(problem.seen * far / edge**2))
        others = problem._others(joints, lengths, offsets)
        return np.concatenate([views.ravel(), *(part.ravel() for part in others)])

    cost = problem.cost(best, 1.0)
    assert (every(best) ** 2).sum() == pytest.approx(cost)
    theirs = least_squares(every, best, method="trf", max_nfev=4)
    assert 2 * theirs.cost > cost * (1 - 1e-4)


def test_the_same_views_give_the_same_bytes():
    points = detected(around(), walker(20), np.random.default_rng(1))
    one, two = (adjust(points, around(), fps=FPS).joints for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_what_cannot_be_adjusted_is_refused():
    points = seen_by(around(), walker(10))
    with pytest.raises(BadInput, match="3 frames"):
        adjust(points[:2], around(), fps=FPS)
    with pytest.raises(BadInput, match="2 cameras"):
        adjust(points[:, :1], around()[:1], fps=FPS)
    points[:, 1:, 4] = 0
    with pytest.raises(BadInput, match="left_knee"):
        adjust(points, around(), fps=FPS)


def test_a_joint_hidden_for_a_while_is_bridged():
    true, cameras = walker(), around()
    points = seen_by(cameras, true)
    points[25:35, :, 6] = 0
    found = adjust(points, cameras, fps=FPS)
    assert np.linalg.norm(found.joints[25:35, 6] - true[25:35, 6], axis=-1).max() < 0.06
    assert len(BONES) == len(found.lengths)
