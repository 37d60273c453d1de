"""The view of a window is the same for all cameras at the same position."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from toy_rays import people, rays_of

from trainer.model.coordinates import (
    ENOUGH,
    USUAL_SIZE,
    CoordinateEncoder,
    boxes,
    turn_to,
    view,
)


def test_smallest_rotations_equal_scipys():
    middle = torch.from_numpy(np.random.default_rng(0).normal(0, 0.6, (30, 2)))
    middle[0] = 0
    turn = turn_to(middle)
    ray = torch.cat((middle, torch.ones(30, 1)), 1)
    ray = ray / ray.norm(dim=1, keepdim=True)
    for matrix, start in zip(turn.numpy(), ray.numpy(), strict=True):
        axis = np.cross(start, [0, 0, 1])
        angle = np.arccos(np.clip(start[2], -1, 1))
        length = np.linalg.norm(axis)
        vector = axis / length * angle if length > 1e-9 else np.zeros(3)
        assert np.allclose(matrix, Rotation.from_rotvec(vector).as_matrix(), atol=1e-7)


def test_boxes_are_medians_over_frames_with_enough_keypoints():
    rng = np.random.default_rng(1)
    points = torch.from_numpy(rng.normal(0, 1, (6, 9, 12, 2)))
    seen = torch.from_numpy((rng.random((6, 9, 12)) < 0.6).astype(float))
    seen[0, :, ENOUGH:] = 0
    seen[0, :, :ENOUGH] = 1
    seen[1] = 0
    size, middle = boxes(points, seen)
    for b in range(6):
        kept = []
        for t in range(9):
            shown = points[b, t][seen[b, t] > 0].numpy()
            if len(shown) >= ENOUGH:
                low, high = shown.min(0), shown.max(0)
                kept.append([np.linalg.norm(high - low), *(low + high) / 2])
        if b == 1:
            assert not kept and size[b] == USUAL_SIZE and not middle[b].any()
            continue
        lower = np.sort(kept, 0)[(len(kept) - 1) // 2]  # torch's median is the lower one
        assert np.allclose([size[b], *middle[b]], lower)


@pytest.mark.parametrize("degrees", [5, 20, 35])
def test_a_camera_rotated_towards_the_person_has_the_same_view(degrees: int):
    """Joints are rotated by scipy; the smallest rotation keeps the picture's roll."""
    joints = people(2)
    rng = np.random.default_rng(3)
    plain = view(rays_of(joints))
    # Cameras that see the person on their axis: the view itself.
    centred = joints @ plain.turn[:, None].mT
    once = view(rays_of(centred))
    identity = torch.eye(3).double().expand(20, 3, 3)
    assert torch.allclose(once.turn, identity, atol=1e-4)
    assert torch.allclose(once.points, plain.points, atol=1e-3)
    # Others, turned from there about any axis of the picture.
    about = rng.uniform(0, 2 * np.pi, 20)
    vector = np.stack((np.cos(about), np.sin(about), 0 * about), 1) * math.radians(degrees)
    away = torch.from_numpy(Rotation.from_rotvec(vector).as_matrix())
    other = view(rays_of(centred @ away[:, None].mT))
    assert torch.allclose(other.points, plain.points, atol=2e-3)
    assert torch.allclose(other.size, plain.size, rtol=2e-4)
    assert torch.allclose(other.turn @ away, identity, atol=2e-4)


def test_the_views_points_are_those_of_the_rotated_camera_over_the_size():
    joints = people(4) + torch.tensor([2.0, -1.0, 0.0])
    seen = view(rays_of(joints))
    turned = joints @ seen.turn[:, None].mT
    truth = turned[..., :2] / turned[..., 2:] / seen.size[:, None, None, None]
    assert torch.allclose(seen.points, truth, atol=1e-9)
    size, middle = boxes(seen.points, seen.seen)
    assert torch.allclose(size, torch.ones(20).double())
    assert middle.abs().max() < 2e-3
    identity = torch.eye(3).double().expand(20, 3, 3)
    assert torch.allclose(seen.turn @ seen.turn.mT, identity, atol=1e-9)


def test_distance_and_height_change_only_the_size():
    """People twice as large and twice as far away have the same picture and view."""
    joints = people(5)
    plain, twice = view(rays_of(joints)), view(rays_of(2 * joints))
    assert torch.allclose(plain.points, twice.points) and torch.allclose(plain.size, twice.size)


def test_missing_keypoints_do_not_matter():
    rays = rays_of(people(6)).float()
    rays[..., 2] = (torch.rand(20, 9, 12, generator=torch.Generator().manual_seed(0)) < 0.8).float()
    hidden = rays[..., 2:] == 0
    other = torch.where(
        hidden, rays * torch.tensor([1.0, 1.0, 0.0]) + torch.tensor([7.0, -3, 0]), rays
    )
    zero = torch.where(hidden, torch.zeros(3), rays)
    one, two, three = view(rays), view(other), view(zero)
    for name in ("points", "seen", "size", "turn"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name
        assert torch.equal(getattr(one, name), getattr(three, name)), name
    assert (one.points[hidden[..., 0]] == 0).all()


@pytest.mark.parametrize("shown", [0, 1, ENOUGH - 1])
def test_windows_with_too_few_keypoints_are_not_rotated(shown: int):
    rays = rays_of(people(7)).float()
    rays[..., shown:, :] = 0
    seen = view(rays)
    assert torch.equal(seen.size, torch.full((20,), USUAL_SIZE))
    assert torch.allclose(seen.turn, torch.eye(3).expand(20, 3, 3))
    assert torch.allclose(seen.points, rays[..., :2] / USUAL_SIZE)
    assert all(value.isfinite().all() for value in seen)


def test_coincident_lateral_and_distant_keypoints_stay_finite():
    rays = torch.zeros(4, 3, 12, 3)
    rays[..., 2] = 1
    rays[1, ..., :2] = 1e3  # all but at a right angle to the axis
    rays[2, ..., 0] = torch.linspace(-50, 50, 12)
    rays[3, :, :6, 0] = 30
    seen = view(rays)
    assert all(value.isfinite().all() for value in seen)
    features = CoordinateEncoder(12, 16)(seen)
    assert features.shape == (4, 3, 16) and features.isfinite().all()


def test_the_view_is_never_in_half_precision():
    rays = rays_of(people(9)).float()
    encoder, plain = CoordinateEncoder(12, 16), view(rays)
    features = encoder(plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = view(rays)
        again = encoder(half)
    assert all(torch.equal(a, b) for a, b in zip(half, plain, strict=True))
    assert torch.equal(again, features)


def test_features_depend_on_size_and_missing_keypoints():
    encoder = CoordinateEncoder(12, 32)
    seen = view(rays_of(people(8)).float())
    plain = encoder(seen)
    assert not torch.allclose(plain, encoder(seen._replace(size=seen.size * 2)))
    assert not torch.allclose(plain, encoder(seen._replace(seen=seen.seen * 0)))
    # Every frame on its own.
    last = seen.points.clone()
    last[:, -1] += 1
    changed = encoder(seen._replace(points=last))
    assert torch.equal(changed[:, :-1], plain[:, :-1])
    assert not torch.allclose(changed[:, -1], plain[:, -1])
