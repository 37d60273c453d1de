"""The joint head's losses: zero for a perfect estimate, scipy's alignment, exact gradients."""

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional as F

from trainer.evaluation.metrics import about_hips
from trainer.geometry import similarity
from trainer.model.body import BONES
from trainer.model.coordinates import WindowView, view
from trainer.model.joint_head import JointEstimate
from trainer.training.joint_loss import in_view, joint_losses

HIPS = (2, 3)
B, T, E = 3, 4, 14
DOWN = F.normalize(
    torch.tensor([[0.1, 1.0, 0.2], [0.0, 0.8, -0.6], [0.5, 0.5, 0.5]]).double(), dim=1
)
"""Gravity in each clip's camera."""


def scene(seed: int = 0) -> tuple[Tensor, Tensor, WindowView]:
    """True joints and rotations in camera axes, and the view of 12 joints, float64."""
    rng = np.random.default_rng(seed)
    joints = torch.from_numpy(rng.normal([0.7, -0.4, 5], 0.4, (B, T, E, 3)))
    turned = torch.from_numpy(Rotation.random(B * T * BONES, rng=rng).as_matrix())
    keypoints = joints[:, :, :12]
    rays = torch.cat((keypoints[..., :2] / keypoints[..., 2:], torch.ones(B, T, 12, 1)), -1)
    return joints, turned.reshape(B, T, BONES, 3, 3), view(rays.double())


def perfect(joints: Tensor, rotations: Tensor, window: WindowView) -> JointEstimate:
    root = window.turn[:, None] @ rotations[:, :, 0]
    return JointEstimate(
        in_view(joints, window, torch.ones(B, T)),
        torch.full((B, T, E), -3.0).double(),
        torch.cat((root[:, :, None], rotations[:, :, 1:]), 2),
        (DOWN[:, None] @ window.turn.mT).expand(B, T, 3),
    )


def wrong(seed: int = 1) -> JointEstimate:
    rng = np.random.default_rng(seed)
    turned = torch.from_numpy(Rotation.random(B * T * BONES, rng=rng).as_matrix())
    return JointEstimate(
        torch.from_numpy(rng.normal(0, 0.4, (B, T, E, 3))),
        torch.from_numpy(rng.normal(-2, 0.5, (B, T, E))),
        turned.reshape(B, T, BONES, 3, 3),
        F.normalize(torch.from_numpy(rng.normal(0, 1, (B, T, 3))), dim=-1),
    )


def test_a_perfect_estimate_has_no_loss():
    joints, rotations, window = scene()
    terms = joint_losses(
        perfect(joints, rotations, window), window, joints, rotations, DOWN, HIPS, torch.ones(B, T)
    )
    assert terms["distance"] < 1e-4 * B * T and terms["aligned"] < 1e-4 * B * T
    assert terms["rotations"] < 1e-6 and terms["gravity"] < 1e-9
    without = joint_losses(
        perfect(joints, rotations, window), window, joints, rotations, None, HIPS, torch.ones(B, T)
    )
    assert without == {**terms, "gravity": 0}
    assert terms["sigma"] == pytest.approx(-3.0 * B * T, rel=1e-3)


def test_distances_are_relative_to_the_hips_and_the_persons_size():
    """A perfect estimate that is translated, or enlarged by 10 %, against a calculation by hand."""
    joints, rotations, window = scene()
    estimate = perfect(joints, rotations, window)
    moved = estimate._replace(joints=estimate.joints + torch.tensor([3.0, -2, 1]))
    terms = joint_losses(moved, window, joints, rotations, DOWN, HIPS, torch.ones(B, T))
    assert terms["distance"] < 1e-4 * B * T
    large = estimate._replace(joints=1.1 * estimate.joints)
    terms = joint_losses(large, window, joints, rotations, DOWN, HIPS, torch.ones(B, T))
    seen = joints.numpy() @ window.turn[:, None].mT.numpy()
    unit = seen[..., 2].mean((1, 2)) * window.size.numpy()
    away = seen - seen[:, :, HIPS].mean(2, keepdims=True)
    truth = 0.1 * (np.linalg.norm(away, axis=-1).mean(-1) / unit[:, None]).sum()
    assert terms["distance"] == pytest.approx(truth, rel=1e-4)
    assert terms["aligned"] < 1e-4 * B * T


def test_the_aligned_term_is_scipys_procrustes():
    joints, rotations, window = scene()
    terms = joint_losses(wrong(), window, joints, rotations, DOWN, HIPS, torch.ones(B, T))
    target = about_hips(in_view(joints, window, torch.ones(B, T)), HIPS)
    mine, total = wrong().joints, 0.0
    for b in range(B):
        for t in range(T):
            a, c = target[b, t].numpy(), mine[b, t].numpy()
            # procrustes allows reflections; Kabsch by scipy does not.
            x, y = c - c.mean(0), a - a.mean(0)
            turn, residual = Rotation.align_vectors(y, x)
            scale = (y * turn.apply(x)).sum() / (x * x).sum()
            distances = np.linalg.norm(scale * turn.apply(x) - y, axis=1)
            total += distances.mean()
            _, _, disparity = procrustes(a, c)
            ours = (distances**2).sum() / (y**2).sum()
            assert ours >= disparity - 1e-9
            assert residual > 0
    assert terms["aligned"] == pytest.approx(total, rel=1e-6)


def test_the_alignment_is_procrustes_if_no_reflection_is_better():
    joints, rotations, window = scene()
    estimate = perfect(joints, rotations, window)
    noise = torch.from_numpy(np.random.default_rng(3).normal(0, 0.05, (B, T, E, 3)))
    turned = torch.from_numpy(Rotation.from_rotvec([0.3, -0.8, 0.4]).as_matrix())
    near = estimate._replace(joints=(estimate.joints + noise) @ turned.mT * 1.7 + 4)
    target = about_hips(in_view(joints, window, torch.ones(B, T)), HIPS)
    moved = similarity(near.joints, target)(near.joints)
    for b in range(B):
        _, _, disparity = procrustes(target[b, 0].numpy(), near.joints[b, 0].numpy())
        spread = (target[b, 0] - target[b, 0].mean(0)).square().sum()
        ours = (moved[b, 0] - target[b, 0]).square().sum() / spread
        assert float(ours) == pytest.approx(disparity, rel=1e-6)


def test_gradients_are_finite_differences():
    """In float64; the alignment and sigma's error are constants, as in the losses."""
    joints, rotations, window = scene()
    base = wrong()
    held = similarity(
        about_hips(base.joints, HIPS), about_hips(in_view(joints, window, torch.ones(B, T)), HIPS)
    )
    target = about_hips(in_view(joints, window, torch.ones(B, T)), HIPS)
    error = (about_hips(base.joints, HIPS) - target).norm(dim=-1)
    weight = torch.rand(B, T, generator=torch.Generator().manual_seed(0)).double()
    root = window.turn[:, None] @ rotations[:, :, 0]
    turned = torch.cat((root[:, :, None], rotations[:, :, 1:]), 2)
    down = torch.stack([window.turn[b] @ DOWN[b] for b in range(B)])[:, None]

    def by_hand(estimate: JointEstimate) -> dict[str, Tensor]:
        mine = about_hips(estimate.joints, HIPS)
        s = estimate.log_sigma
        terms = {
            "distance": (mine - target).norm(dim=-1).mean(-1),
            "aligned": (held(mine) - target).norm(dim=-1).mean(-1),
            "sigma": (error * torch.exp(-s) + s).mean(-1),
            "rotations": (estimate.rotations - turned).square().sum((-1, -2)).mean(-1),
            "gravity": (estimate.gravity - down).square().sum(-1),
        }
        return {name: (weight * value).sum() for name, value in terms.items()}

    leaves = JointEstimate(*(x.clone().requires_grad_() for x in base))
    target_weight = torch.ones(B, T)
    assert torch.allclose(target, about_hips(in_view(joints, window, target_weight), HIPS))
    # in_view weights the clip's depth by the frames' weights, which must be equal here.
    depth = (joints @ window.turn[:, None].mT)[..., 2].mean(2)
    even = depth.mean(1) / ((depth * weight).sum(1) / weight.sum(1))
    corrected = window._replace(size=window.size * even)
    terms = joint_losses(leaves, corrected, joints, rotations, DOWN, HIPS, weight)
    generator = torch.Generator().manual_seed(5)
    for name, value in terms.items():
        assert value.item() == pytest.approx(by_hand(base)[name].item(), rel=1e-5), name
        gradient = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
        for field, slope in zip(JointEstimate._fields, gradient, strict=True):
            x = getattr(base, field)
            way = torch.randn(x.shape, generator=generator).double()
            ahead = by_hand(base._replace(**{field: x + 1e-6 * way}))[name]
            behind = by_hand(base._replace(**{field: x - 1e-6 * way}))[name]
            difference = (ahead - behind).item() / 2e-6
            mine = 0.0 if slope is None else (slope * way).sum().item()
            assert mine == pytest.approx(difference, rel=1e-3, abs=1e-6), (name, field)


def test_gradients_are_finite_where_the_estimate_is_exact():
    joints, rotations, window = scene()
    exact = perfect(joints, rotations, window)
    leaves = JointEstimate(*(x.clone().requires_grad_() for x in exact))
    terms = joint_losses(leaves, window, joints, rotations, DOWN, HIPS, torch.ones(B, T))
    sum(terms.values()).backward()
    assert all(x.grad.isfinite().all() for x in leaves)


def test_the_best_sigma_is_the_actual_error():
    joints, rotations, window = scene()
    estimate = wrong()
    away = about_hips(estimate.joints, HIPS) - about_hips(
        in_view(joints, window, torch.ones(B, T)), HIPS
    )
    best = away.norm(dim=-1).log()

    def sigma(log_sigma: Tensor) -> float:
        given = estimate._replace(log_sigma=log_sigma)
        return float(
            joint_losses(given, window, joints, rotations, DOWN, HIPS, torch.ones(B, T))["sigma"]
        )

    assert sigma(best) < sigma(best + 0.05) and sigma(best) < sigma(best - 0.05)


def test_frames_are_weighted_and_unknown_frames_ignored():
    joints, rotations, window = scene()
    weight = torch.ones(B, T)
    weight[1, 2:] = 0
    weight[2] = 0
    terms = joint_losses(wrong(), window, joints, rotations, DOWN, HIPS, weight)
    spoilt = joints.clone()
    spoilt[1, 2:] = 0  # as in footage without ground truth; these once changed the clip's depth
    spoilt[2] = 0
    again = joint_losses(wrong(), window, spoilt, rotations, DOWN, HIPS, weight)
    for name in terms:
        assert float(again[name]) == pytest.approx(float(terms[name]), rel=1e-9), name
    nothing = joint_losses(wrong(), window, joints * 0, rotations, DOWN, HIPS, weight * 0)
    assert all(float(value) == 0 for value in nothing.values())
