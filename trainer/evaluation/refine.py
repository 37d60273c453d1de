"""Refine joints to agree with their 2D keypoints, keep limb lengths constant and move smoothly.

A network predicts each frame's joints with standard deviations. A track gives more information:
limb lengths are constant, equal on the left and right and near human proportions, and joints do not
jump. The refined joints X, the limbs' log lengths ℓ and the size s minimise

    Σ ρ(|X + t − ray·depth| / σ₂) + Σ ρ(|X − X₀| / σ) + Σ ((log|X_a − X_b| − ℓ) / σ_l)²
    + L/2 · (Σ ((ℓ − s − μ) / σ_p)² + Σ ((ℓ_left − ℓ_right) / σ_m)²) + Σ |Ẍ / σ_a|²,

by Adam, in metres of a body of mean proportions. Letters: L frames, J joints in LSP's order
(12, or 14 with neck and head top), K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from trainer.common.smoothing import smooth
from trainer.evaluation.placement import place
from trainer.model.proportions import LIMB_PAIRS, LIMBS, Proportions, log_lengths, sizes


@dataclass(frozen=True, kw_only=True)
class RefineConfig:
    """Standard deviations; metres are those of a person of mean size."""

    keypoint: float = 0.03
    """Of a keypoint from its joint, metres at the person."""
    trust: float = 0.8
    """Of a joint from the predicted joint, as a multiple of the predicted sigma."""
    least: float = 0.005
    """Least value of the above, metres."""
    depth: float = 0.1
    """Of a frame's depth from the smoothed depth that sizes give, relative."""
    limb: float = 0.06
    """Of a limb's log length in one frame from the track's."""
    mirror: float = 0.03
    """Of a limb's log length from that of the other side."""
    acceleration: float = 0.06
    """Of joints' accelerations, metres per (1/15 s)²."""
    steps: int = 120
    """Steps of Adam."""
    rate: float = 0.015
    """Initial learning rate: metres that a joint moves per step."""


class _Track(NamedTuple):
    """The observations of a track, metres."""

    joints: Tensor
    """[L, J, 3] as predicted."""
    precision: Tensor
    """[L, J, 1] 1 / sigma, 0 where unknown."""
    rays: Tensor
    """[L, K, 2]."""
    seen: Tensor
    """[L, K, 1] weights."""
    depth: Tensor
    """[L, 1, 1] of the joints' origin from the camera, estimated from size."""
    acceleration: Tensor
    """[] standard deviation, metres per frame²."""


def refine(
    joints: Float[Tensor, "l j 3"],
    sigma: Float[Tensor, "l j"],
    rays: Float[Tensor, "l k 3"],
    known: Proportions,
    *,
    fps: float = 30.0,
    config: RefineConfig | None = None,
) -> Float[Tensor, "l j 3"]:
    """Return refined joints [L, J, 3] of one track, in the given joints' unit, about the hips.

    Args:
        joints: [L, J, 3] any unit, any origin in each frame, camera axes (x right, y down, z away).
            A unit that drifts over seconds (windows normalised separately) is made uniform.
        sigma: [L, J] standard deviations in that unit; inf, or a joint that is not finite: unknown.
        rays: [L, K, 3] x/z, y/z and a weight (0: missing) of the keypoints, which are the first K
        joints. known: proportions of people, for J joints.
        fps: frames per second.
        config: standard deviations of everything else.
    """
    config = config or RefineConfig()
    joints, sigma = joints.float(), sigma.float()
    usable = sigma.isfinite() & (sigma > 0) & joints.isfinite().all(-1)
    joints = _filled(joints, usable, fps)
    drift = sizes(joints, usable, known, fps)
    unit = drift.exp()[:, None, None]
    joints = joints / unit
    spread = config.trust * sigma[..., None] / unit
    precision = torch.where(usable[..., None], 1 / (spread + config.least), 0.0)
    weight = torch.where(rays.isfinite().all(-1), rays[..., 2], 0).float()[..., None]
    track = _Track(
        joints,
        precision,
        torch.where(weight > 0, rays[..., :2].float(), 0.0),
        weight,
        place(joints, rays, fps=fps)[:, None, 2:],
        torch.tensor(config.acceleration * (15 / fps) ** 2),
    )
    with torch.enable_grad():
        refined = _descend(track, known, config)
    return _about_hips(refined) * drift.mean().exp()


def _filled(joints: Tensor, usable: Tensor, fps: float) -> Tensor:
    """Return joints about the hips; unknown ones are interpolated over time."""
    rooted = torch.where(usable[..., None], joints, 0.0)
    both = usable[:, 2] & usable[:, 3]
    middle = torch.where(usable[..., None], rooted, torch.nan).nanmean(1).nan_to_num(0)
    origin = torch.where(both[:, None], rooted[:, 2:4].mean(1), middle)
    rooted = torch.where(usable[..., None], rooted - origin[:, None], 0.0)
    weight = usable[..., None].expand_as(rooted).flatten(1).to(rooted)
    bridged = smooth(rooted.flatten(1), weight, (fps / 6) ** 4).view_as(rooted)
    return torch.where(usable[..., None], rooted, bridged)


def _about_hips(joints: Tensor) -> Tensor:
    return joints - joints[:, 2:4].mean(1, keepdim=True)


def _descend(track: _Track, known: Proportions, config: RefineConfig) -> Tensor:
    """Return the joints [L, J, 3] that minimise the energy."""
    limbs = known.segments[: len(LIMBS)]
    joints = track.joints.clone().requires_grad_(True)
    shift = _first_shift(track).requires_grad_(True)
    lengths = log_lengths(track.joints, limbs).median(0).values.requires_grad_(True)
    size = (lengths.detach() - known.mean[: len(LIMBS)]).mean().requires_grad_(True)
    adam = torch.optim.Adam([joints, shift, lengths, size], lr=config.rate)
    for step in range(config.steps):
        energy = _energy(track, known, config, joints, shift, lengths, size)
        adam.zero_grad()
        energy.backward()
        adam.step()
        if step == config.steps * 2 // 3:
            adam.param_groups[0]["lr"] *= 0.3
    return joints.detach()


def _first_shift(track: _Track) -> Tensor:
    """Return the position [L, 1, 3] of the joints' origin."""
    count = track.rays.shape[1]
    at = track.joints[:, :count]
    offset = track.rays * (at[..., 2:] + track.depth) - at[..., :2]
    total = track.seen.sum(1, keepdim=True).clamp_min(1e-9)
    return torch.cat(((track.seen * offset).sum(1, keepdim=True) / total, track.depth), -1)


def _energy(
    track: _Track,
    known: Proportions,
    config: RefineConfig,
    joints: Tensor,
    shift: Tensor,
    lengths: Tensor,
    size: Tensor,
) -> Tensor:
    """Return the energy of joints [L, J, 3], shift [L, 1, 3], log lengths [8], log size []."""
    at = joints[:, : track.rays.shape[1]]
    placed = at + shift
    across = placed[..., :2] - track.rays * placed[..., 2:]
    seen = (across / config.keypoint).square().sum(-1, keepdim=True)
    energy = (track.seen * _bounded(seen, 25)).sum()
    farther = (shift[..., 2:] - track.depth) / (config.depth * track.depth)
    energy = energy + farther.square().sum()
    moved = ((joints - track.joints) * track.precision).square().sum(-1)
    energy = energy + _bounded(moved, 30).sum()

    all_lengths = log_lengths(joints, known.segments)
    count = len(lengths)
    energy = energy + ((all_lengths[:, :count] - lengths) / config.limb).square().sum()
    expected = size + known.mean
    trunk = (all_lengths[:, count:] - expected[count:]) / known.spread[count:]
    energy = energy + trunk.square().sum()
    person = ((lengths - expected[:count]) / known.spread[:count]).square().sum()
    left, right = [a for a, _ in LIMB_PAIRS], [b for _, b in LIMB_PAIRS]
    person = person + ((lengths[left] - lengths[right]) / config.mirror).square().sum()
    energy = energy + len(joints) / 2 * person

    if len(joints) > 2:
        change = joints[2:] - 2 * joints[1:-1] + joints[:-2]
        jolt = (change / track.acceleration).square().sum(-1)
        energy = energy + _bounded(jolt, 15).sum()
    return energy


def _bounded(squared: Tensor, limit: float) -> Tensor:
    """Return squared residuals that saturate at the limit (Geman-McClure)."""
    return squared / (1 + squared / limit)
