"""Refined joints are closer to the true joints, and true joints hardly change."""

import numpy as np
import pytest
import torch
from posed_people import EVAL_MIRROR, folded_body, motion, procrustes

from trainer.evaluation.refine import refine
from trainer.model.proportions import LIMBS, Proportions, log_lengths, proportions, sizes


@pytest.fixture(scope="module")
def known() -> Proportions:
    return proportions(folded_body())


def person(name: str, frames: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return joints [L, 14, 3] about the hips, and their rays from a camera 4.5 m away."""
    rng = np.random.default_rng(seed)
    betas = torch.from_numpy(rng.normal(0, 1, 10).clip(-2, 2)).float()
    rotations = motion(name, frames)
    joints = folded_body()(rotations, betas.expand(len(rotations), -1))[:, 24:]
    placed = joints + torch.tensor([0.3, -0.1, 4.5])
    rays = torch.cat((placed[..., :2] / placed[..., 2:], torch.ones(*placed.shape[:2], 1)), -1)
    return joints - joints[:, 2:4].mean(1, keepdim=True), rays[:, :12]


def as_a_network_sees(joints: torch.Tensor, seed: int) -> torch.Tensor:
    """Return joints with depth errors of 6 cm that mostly change slowly."""
    rng = np.random.default_rng(seed)
    knots = rng.normal(size=(len(joints) // 8 + 2, *joints.shape[1:]))
    at = np.arange(len(joints)) / 8
    low, part = at.astype(int), (at % 1)[:, None, None]
    error = 0.8 * (knots[low] * (1 - part) + knots[low + 1] * part)
    error = error + 0.4 * rng.normal(size=joints.shape)
    return joints + torch.from_numpy(error * [0.02, 0.02, 0.06]).float()


def limb_spread(joints: torch.Tensor) -> float:
    return float(log_lengths(joints, LIMBS).std(0).mean())


@pytest.mark.parametrize("name", ["walk_on_1", "squats_1", "dance_a"])
def test_noisy_joints_are_improved(name, known):
    true, rays = person(name, 90, seed=1)
    noisy = as_a_network_sees(true, seed=2)
    rays[..., :2] += torch.from_numpy(
        np.random.default_rng(3).normal(0, 0.002, (*rays.shape[:2], 2))
    )
    refined = refine(noisy, torch.full(noisy.shape[:2], 0.06), rays, known)
    before, after = procrustes(noisy, true).mean(), procrustes(refined, true).mean()
    assert after < 0.8 * before
    assert limb_spread(refined) < 0.4 * limb_spread(noisy)


def test_true_joints_hardly_change(known):
    for name in ("walk_on_1", "kick", "sprint_1"):
        true, rays = person(name, 60, seed=4)
        refined = refine(true, torch.full(true.shape[:2], 0.002), rays, known)
        assert procrustes(refined, true).mean() < 2
        size = refined.norm(dim=-1).mean() / true.norm(dim=-1).mean()
        assert float(size) == pytest.approx(1, abs=0.03), "the unit is the given one"


def test_missing_joints_are_bridged(known):
    true, rays = person("walk_on_1", 90, seed=5)
    noisy, sigma = as_a_network_sees(true, seed=6), torch.full(true.shape[:2], 0.06)
    sigma[30:36, [6, 7]] = torch.inf
    noisy[30:36, [6, 7]] = torch.nan
    rays[30:36, [6, 7], 2] = 0
    rays[50:52] = torch.nan
    sigma[50:52] = torch.inf
    noisy[50:52] = torch.nan
    refined = refine(noisy, sigma, rays, known)
    assert refined.isfinite().all()
    error = procrustes(refined, true)
    assert error[30:36].mean() < 60 and error[50:52].mean() < 60


def test_units_and_mirrors(known):
    true, rays = person("dance_a", 40, seed=7)
    noisy, sigma = as_a_network_sees(true, seed=8), torch.full(true.shape[:2], 0.06)
    refined = refine(noisy, sigma, rays, known)
    other = refine(0.22 * noisy, 0.22 * sigma, rays, known)
    assert (other / 0.22 - refined).abs().max() < 2e-3

    flip = torch.tensor([-1.0, 1.0, 1.0])
    mirrored = refine(
        (noisy * flip)[:, EVAL_MIRROR], sigma, (rays * flip)[:, EVAL_MIRROR[:12]], known
    )
    assert ((mirrored * flip)[:, EVAL_MIRROR] - refined).abs().max() < 0.01


def test_a_drifting_unit_is_levelled(known):
    true, rays = person("walk_on_1", 120, seed=9)
    unit = torch.linspace(0, 0.7, len(true)).exp()[:, None, None]
    sigma = torch.full(true.shape[:2], 0.01) * unit[..., 0]
    refined = refine(true * unit, sigma, rays, known)
    lengths = log_lengths(refined, LIMBS).mean(1)
    assert float(lengths.max() - lengths.min()) < 0.1, "0.7 given"
    assert procrustes(refined, true).mean() < 8


def test_twelve_joints_and_one_frame(known):
    twelve = proportions(folded_body(), 12)
    true, rays = person("walk_on_1", 1, seed=10)
    refined = refine(true[:, :12], torch.full((1, 12), 0.01), rays, twelve)
    assert refined.shape == (1, 12, 3) and procrustes(refined, true[:, :12]).mean() < 8


def test_proportions_are_those_of_people_who_move(known):
    rng = np.random.default_rng(11)
    lengths = []
    for name in ("walk_on_1", "dance_a", "squats_1", "reach_high_1", "sprint_1", "box_1"):
        rotations = motion(name)[::15]
        betas = torch.from_numpy(rng.normal(0, 1, (len(rotations), 10))).float()
        joints = folded_body()(rotations, betas)[:, 24:]
        lengths.append(log_lengths(joints, known.segments))
    lengths = torch.cat(lengths)
    relative = lengths - lengths[:, :8].mean(1, keepdim=True)
    expected = known.mean - known.mean[:8].mean()
    assert ((relative - expected).abs() < 2 * known.spread).float().mean() > 0.95
    # Wide enough for everybody, but not wider than needed.
    assert (known.spread < 5 * relative.std(0)).all()
    again = proportions(folded_body())
    assert torch.equal(again.mean, known.mean) and torch.equal(again.spread, known.spread)


def test_sizes_follow_a_drift_and_bridge_gaps(known):
    true, _ = person("walk_on_1", 120, seed=12)
    drift = torch.linspace(0, 1, len(true))
    seen = torch.ones(true.shape[:2], dtype=torch.bool)
    seen[40:60] = False
    found = sizes(true * drift.exp()[:, None, None], seen, known, 30.0)
    assert ((found - found[0]) - drift).abs().max() < 0.06
