"""Translations and weak-perspective cameras against OpenCV's projection of moving bodies."""

import cv2
import numpy as np
import pytest
import torch
from posed_people import folded_body, motion

from trainer.evaluation.placement import place, steady, weak_camera

K = np.array([[1100.0, 0, 640], [0, 1080, 360], [0, 0, 1]])


def joints_of(rotations: torch.Tensor) -> torch.Tensor:
    return folded_body()(rotations, torch.zeros(len(rotations), 10))[:, 24:]


def walk(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return joints about SMPL's origin and translations: away from the camera at 1.2 m/s."""
    joints = joints_of(motion("walk_on_1", frames))
    time = torch.arange(len(joints)) / 30
    path = torch.stack((0.4 * torch.sin(time), -0.1 + 0 * time, 3 + 1.2 * time), 1)
    return joints, path


def pixels_of(joints: torch.Tensor, translation: torch.Tensor) -> np.ndarray:
    """Return OpenCV's projection [L, E, 2]."""
    return np.stack(
        [
            cv2.projectPoints(frame.double().numpy(), np.zeros(3), shift.double().numpy(), K, None)[
                0
            ][:, 0]
            for frame, shift in zip(joints, translation, strict=True)
        ]
    )


def rays_of(pixels: np.ndarray) -> torch.Tensor:
    rays = torch.from_numpy((pixels - K[:2, 2]) / K[[0, 1], [0, 1]]).float()[:, :12]
    return torch.cat((rays, torch.ones(*rays.shape[:2], 1)), -1)


def speed(translation: torch.Tensor) -> float:
    return 30 * float((translation[1:] - translation[:-1]).norm(dim=-1).max())


def test_one_frame_is_placed_exactly():
    joints, path = walk(1)
    found = place(joints, rays_of(pixels_of(joints, path)))
    assert (found - path).abs().max() < 1e-3


def test_a_walk_is_followed():
    joints, path = walk(120)
    found = place(joints, rays_of(pixels_of(joints, path)))
    error = (found - path).norm(dim=-1)
    assert error.mean() < 0.025 and error.max() < 0.06
    # The remaining error is in depth: in the picture the body lies on its keypoints.
    off = np.linalg.norm(pixels_of(joints, found) - pixels_of(joints, path), axis=-1)
    assert off.mean() < 1.5


def test_noise_does_not_make_depth_jump():
    joints, path = walk(120)
    pixels = pixels_of(joints, path)
    noise = np.random.default_rng(0).normal(0, 0.02, pixels.shape)
    pixels += noise * 1100 / path.numpy()[:, None, 2:]  # 2 cm at the body
    found = place(joints, rays_of(pixels))
    assert (found - path).norm(dim=-1).mean() < 0.06
    assert speed(found) < 2.5, "1.2 m/s and the noise"


def test_missing_and_wrong_keypoints():
    joints, path = walk(120)
    rays = rays_of(pixels_of(joints, path))
    rays[30:45, :, 2] = 0
    rays[30:45, :, :2] = torch.nan
    rays[70:80, 3:, 2] = 0
    rays[90:95, 6, :2] += 0.2  # a wrist in a wrong place
    found = place(joints, rays)
    error = (found - path).norm(dim=-1)
    assert error[30:45].max() < 0.1 and error[70:80].max() < 0.1 and error[90:95].max() < 0.05
    nothing = rays.clone()
    nothing[..., 2] = 0
    assert place(joints, nothing).isfinite().all()


def test_translations_do_not_depend_on_the_joints_origin():
    joints, path = walk(40)
    rays = rays_of(pixels_of(joints, path))
    moved = joints + torch.tensor([0.3, -0.2, 0.5])
    difference = place(joints, rays) - place(moved, rays)
    assert (difference - torch.tensor([0.3, -0.2, 0.5])).abs().max() < 1e-4


def test_the_weak_camera_is_the_least_squares_one():
    joints, path = walk(5)
    crop = torch.tensor([[0.5, 0, -90.0], [0, 0.5, -20.0]]).expand(5, 2, 3)
    camera = weak_camera(joints, path, crop, torch.from_numpy(K), 224).numpy()
    inside = pixels_of(joints, path) * 0.5 + np.array([-90, -20])
    image = (2 * inside + 1) / 224 - 1
    for frame in range(5):
        points = joints[frame, :, :2].double().numpy()
        rows = np.zeros((14, 2, 3))
        rows[:, :, 0], rows[:, 0, 1], rows[:, 1, 2] = points, 1, 1
        s, tx, ty = np.linalg.lstsq(rows.reshape(28, 3), image[frame].reshape(28), rcond=None)[0]
        assert camera[frame] == pytest.approx([s, tx / s, ty / s], abs=1e-4)
        shown = s * (points + camera[frame, 1:])
        assert np.abs(shown - image[frame]).max() < 0.1, "weak perspective at 3 m"


def test_single_frame_depths_are_smoothed_along_their_rays():
    """A person walks away at 1.2 m/s; each frame's size is off by 3 %, one frame's by half."""
    rng = np.random.default_rng(0)
    t = np.arange(90) / 30
    true = np.stack([0.3 * np.sin(t), 0.1 + 0 * t, 4 + 1.2 * t], 1)
    factor = 1 + 0.03 * rng.normal(size=(90, 1))
    factor[40], factor[60:66] = 1.5, 3.0
    seen = torch.ones(90, dtype=torch.bool)
    seen[60:66] = False
    given = torch.from_numpy(true * factor)
    found = steady(given, seen)
    assert speed(given) > 20 > 3 > speed(found)
    assert float((found - torch.from_numpy(true))[seen].norm(dim=1).max()) < 0.25
    rays = given[:, :2] / given[:, 2:]
    assert torch.allclose(found[:, :2] / found[:, 2:], rays)
    assert torch.equal(steady(given, torch.zeros_like(seen)), given)
