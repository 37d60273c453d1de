"""Alignment and losses against closed forms, scipy and finite differences."""

import numpy as np
import torch
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from trainer import geometry
from trainer.evaluation.metrics import acceleration_error, mpjpe, pa_mpjpe
from trainer.geometry import similarity
from trainer.training.objective import aligned_loss, reprojection_loss


def spin_alignment(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Similarity alignment of one frame [J, 3] as in HMR's and SPIN's code."""
    x, y = source.T, target.T
    mean_x, mean_y = x.mean(1, keepdims=True), y.mean(1, keepdims=True)
    x0, y0 = x - mean_x, y - mean_y
    k = x0 @ y0.T
    u, _, vh = np.linalg.svd(k)
    z = np.eye(3)
    z[-1, -1] *= np.sign(np.linalg.det(u @ vh))
    r = vh.T @ z @ u.T
    scale = np.trace(r @ k) / (x0**2).sum()
    return (scale * r @ x + mean_y - scale * r @ mean_x).T


def test_alignment_equals_spins_code_also_for_mirrored_points():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(40, 14, 3))
    target = source + rng.normal(0, 0.3, source.shape)
    target[20:] *= [-1, 1, 1]  # reflections are not allowed
    aligned = similarity(torch.tensor(source), torch.tensor(target))(torch.tensor(source)).numpy()
    expected = np.stack([spin_alignment(s, t) for s, t in zip(source, target, strict=True)])
    assert np.abs(aligned - expected).max() < 1e-9


def test_squared_error_equals_scipys_procrustes():
    rng = np.random.default_rng(1)
    target = rng.normal(size=(14, 3))
    source = target @ Rotation.random(random_state=1).as_matrix() * 2 + rng.normal(0, 0.1, (14, 3))
    _, _, disparity = procrustes(target, source)
    aligned = similarity(torch.tensor(source), torch.tensor(target))(torch.tensor(source)).numpy()
    ours = ((aligned - target) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()
    assert abs(ours - disparity) < 1e-12


def test_similar_joints_have_no_error():
    rng = np.random.default_rng(2)
    target = rng.normal(size=(25, 14, 3))
    turns = Rotation.random(25, random_state=2).as_matrix()
    copy = 0.3 * np.einsum("nij,nkj->nki", turns, target) + rng.normal(size=(25, 1, 3))
    assert float(pa_mpjpe(torch.tensor(copy), torch.tensor(target)).max()) < 1e-9


def numeric_gradient(function, x: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    gradient = torch.zeros_like(x)
    flat, out = x.view(-1), gradient.view(-1)
    for i in range(len(flat)):
        before = float(flat[i])
        flat[i] = before + step
        above = float(function(x))
        flat[i] = before - step
        below = float(function(x))
        flat[i] = before
        out[i] = (above - below) / (2 * step)
    return gradient


def test_gradient_through_the_detached_alignment_is_exact(monkeypatch):
    # In float64, so that finite differences are precise; training runs the same code.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    rng = np.random.default_rng(3)
    target = torch.tensor(rng.normal(size=(3, 14, 3)))
    source = target + torch.tensor(rng.normal(0, 0.4, (3, 14, 3)))
    weight = torch.tensor([1.0, 0.0, 2.0]).double()
    source.requires_grad_()
    aligned_loss(source, target, weight).backward()
    with torch.no_grad():
        expected = numeric_gradient(lambda p: aligned_loss(p, target, weight), source.data.clone())
    assert float((source.grad - expected).abs().max()) < 1e-7
    assert float(source.grad[1].abs().max()) == 0


def test_gradient_of_the_reprojection_error(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    rng = np.random.default_rng(4)
    target = torch.tensor(rng.normal(size=(2, 14, 2)))
    source = target + torch.tensor(rng.normal(0, 0.4, (2, 14, 2)))
    weight = torch.tensor(rng.integers(0, 2, (2, 14))).double()
    source.requires_grad_()
    reprojection_loss(source, target, weight).backward()
    with torch.no_grad():
        expected = numeric_gradient(
            lambda p: reprojection_loss(p, target, weight), source.data.clone()
        )
    assert float((source.grad - expected).abs().max()) < 1e-8


def test_errors_of_known_displacements():
    truth = torch.zeros(5, 14, 3).double()
    moved = truth.clone()
    moved[:, 0] += torch.tensor([0.014, 0, 0]).double()
    assert torch.allclose(mpjpe(moved, truth, (2, 3)), torch.ones(5).double())
    jump = truth.clone()
    jump[2, 0, 1] = 0.014  # one joint jumps by 14 mm in one frame
    expected = torch.tensor([1.0, 2.0, 1.0]).double()
    assert torch.allclose(acceleration_error(jump, truth, (2, 3)), expected)


def test_rotations_agree_with_scipy_also_near_pi():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(200, 3))
    vectors *= rng.uniform(0, np.pi, (200, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:4] = [[0, 0, 0], [np.pi - 1e-7, 0, 0], [0, 1e-9, 0], [0, 0, np.pi - 1e-4]]
    matrices = Rotation.from_rotvec(vectors).as_matrix()
    ours = geometry.matrix_from_axis_angle(torch.tensor(vectors))
    assert np.abs(ours.numpy() - matrices).max() < 1e-9
    back = geometry.axis_angle_from_matrix(torch.tensor(matrices)).numpy()
    assert np.abs(Rotation.from_rotvec(back).as_matrix() - matrices).max() < 1e-6
    sixd = geometry.sixd_from_matrix(torch.tensor(matrices))
    assert np.abs(geometry.matrix_from_6d(sixd).numpy() - matrices).max() < 1e-9


def test_axis_angle_has_a_gradient_at_zero():
    zero = torch.zeros(3, requires_grad=True)
    geometry.matrix_from_axis_angle(zero)[0, 1].backward()
    assert torch.allclose(zero.grad, torch.tensor([0.0, 0.0, -1.0]))
