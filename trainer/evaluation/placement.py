"""The body's translation in front of the camera, and the weak-perspective camera of a crop.

A joint X at translation t lies on the ray (u, v) if X_x + t_x = u (X_z + t_z), and likewise for y;
both are linear in t. Depth, which a single frame shows only by the body's size, is smoothed over
time.
Axes: x right, y down, z away; metres. Letters: L frames, E evaluation joints, K ≤ E keypoints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainer.common.smoothing import smooth

NOISE = 0.02
"""Error of a keypoint, metres at the body."""
SIZE_ERROR, SIZE_SECONDS = 0.03, 0.3
"""Relative error of a depth estimated from size, and the time over which the error persists."""
DEPTH_ACCELERATION, ACROSS_ACCELERATION = 3.0, 15.0
"""Standard deviations of acceleration, m/s²: along the camera's axis, and across it."""
MASS = (0.05, 0.12, 0.27, 0.27, 0.12, 0.05, 0.02, 0.03, 0.17, 0.17, 0.03, 0.02)
"""Mass share of LSP's first twelve joints (de Leva 1996; a segment's mass goes to its ends)."""
NEAREST = 0.2
"""Least distance from the camera to the body's nearest joint, metres."""


class _Depths(NamedTuple):
    """Depth estimated from each frame alone."""

    depth: Tensor
    information: Tensor
    """1 / variance, 0 where a frame has no estimate."""


@torch.no_grad()
def place(
    joints: Float[Tensor, "l e 3"], rays: Float[Tensor, "l k 3"], *, fps: float = 30.0
) -> Float[Tensor, "l 3"]:
    """Return translations [L, 3], metres, under which the joints lie on their rays.

    Each frame is a weighted linear least-squares problem in which outlying keypoints count less.
    Then the centre of mass, which moves more steadily than any joint, is smoothed over time, so
    that depth does not jump and gaps are bridged.

    Args:
        joints: [L, E ≥ 12, 3] metres, about any origin; the first K correspond to the keypoints.
        rays: [L, K, 3] x/z, y/z, and a weight, 0 where a keypoint is missing.
        fps: frames per second.
    """
    mass = torch.tensor(MASS, dtype=torch.float64, device=joints.device)
    middle = torch.einsum("lec,e->lc", joints[:, : len(MASS)].double(), mass / mass.sum())
    points = joints[:, : rays.shape[1]].double() - middle[:, None]
    weight = torch.where(rays.isfinite().all(-1), rays[..., 2], 0).double().clamp_min(0)
    seen = torch.where(weight[..., None] > 0, rays[..., :2], 0).double()
    loose = torch.ones_like(weight)
    least = NEAREST - (joints[..., 2].double().amin(1) - middle[:, 2])
    for _ in range(4):
        each = _depths(points, seen, weight * loose, least)
        depth = _steady(each, fps).maximum(least)
        across, error = _across(points, seen, weight * loose, depth)
        loose = 1 / (1 + (error / (3 * NOISE)) ** 2)
    known = (weight * loose).sum(1, keepdim=True) / NOISE**2
    # As directions, which do not change with the depth.
    stiffness = (fps**2 / ACROSS_ACCELERATION * float(depth.median())) ** 2
    centre = smooth(across / depth[:, None], known * depth[:, None] ** 2, stiffness)
    placed = torch.cat((centre * depth[:, None], depth[:, None]), 1)
    return (placed - middle).to(joints.dtype)


@torch.no_grad()
def steady(
    translation: Float[Tensor, "l 3"], seen: Bool[Tensor, " l"], *, fps: float = 30.0
) -> Float[Tensor, "l 3"]:
    """Return translations [L, 3], metres, with their depth smoothed over time, each on its own ray.

    For per-frame translations, whose depth is estimated from the body's size alone and jumps. seen:
    bool [L], frames with an estimate; the depth of the others is interpolated.
    """
    depth = translation[:, 2].double()
    before = depth > NEAREST
    usable = seen & before
    if not usable.any():
        return translation
    information = torch.where(usable, (SIZE_ERROR * depth).clamp_min(1e-6) ** -2, 0.0)
    smoothed = _steady(_Depths(depth, information), fps).clamp_min(NEAREST)
    rays = translation.double() / depth.clamp_min(1e-6)[:, None]
    return torch.where(before[:, None], rays * smoothed[:, None], translation.double())


def _depths(points: Tensor, rays: Tensor, weight: Tensor, least: Tensor) -> _Depths:
    """Return each frame's least-squares depth [L]."""
    total = weight.sum(1).clamp_min(1e-9)
    # Optimal t_x and t_y for any t_z: rays and right-hand sides minus their weighted means.
    right = rays * points[..., 2:] - points[..., :2]
    spread = _centred(rays, weight, total)
    power = (weight[..., None] * spread**2).sum((1, 2))
    match = (weight[..., None] * spread * _centred(right, weight, total)).sum((1, 2))
    depth = -match / power.clamp_min(1e-12)
    usable = ((weight > 1e-6).sum(1) > 1) & (depth > least) & (power > 1e-8)
    depth = torch.where(usable, depth, least + 1)
    return _Depths(depth, torch.where(usable, power / NOISE**2, 0.0))


def _centred(values: Tensor, weight: Tensor, total: Tensor) -> Tensor:
    mean = (weight[..., None] * values).sum(1) / total[:, None]
    return values - mean[:, None]


def _steady(each: _Depths, fps: float) -> Tensor:
    """Return depths [L] smoothed over time; a frame far from its neighbours counts less."""
    fixed = (SIZE_ERROR * each.depth) ** 2 * max(SIZE_SECONDS * fps, 1)
    known = each.information > 0
    weight = torch.where(known, 1 / (1 / each.information.clamp_min(1e-12) + fixed), 0.0)
    stiffness = (fps**2 / DEPTH_ACCELERATION) ** 2
    depth, loose = each.depth, torch.ones_like(weight)
    for _ in range(3):
        depth = smooth(each.depth[:, None], (weight * loose)[:, None], stiffness)[:, 0]
        alone = 1 / each.information.clamp_min(1e-12) + (SIZE_ERROR * each.depth) ** 2
        loose = 1 / (1 + (each.depth - depth) ** 2 / (9 * alone))
    return depth


def _across(points: Tensor, rays: Tensor, weight: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Return t_x, t_y [L, 2] at given depths, and each keypoint's residual [L, K], metres."""
    aim = rays * (points[..., 2:] + depth[:, None, None])
    offset = aim - points[..., :2]
    across = (weight[..., None] * offset).sum(1) / weight.sum(1, keepdim=True).clamp_min(1e-9)
    return across, (offset - across[:, None]).norm(dim=-1)


@torch.no_grad()
def weak_camera(
    joints: Float[Tensor, "l e 3"],
    translation: Float[Tensor, "l 3"],
    crop: Float[Tensor, "l 2 3"],
    k: Float[Tensor, "3 3"],
    size: int,
) -> Float[Tensor, "l 3"]:
    """Return s, tx, ty [L, 3] of x = s · (X + t) that best fit the joints' perspective projection.

    x is in crop units, [-1, 1] from the crop's left or top edge to the other.

    Args:
        joints: [L, E, 3] metres, about SMPL's origin.
        translation: [L, 3] metres, of that origin.
        crop: [L, 2, 3] source pixels → crop pixels.
        k: [3, 3] intrinsics of the source.
        size: side of the crop, pixels.
    """
    points = (joints + translation[:, None]).double() @ k.double().T
    pixels = points[..., :2] / points[..., 2:].clamp_min(1e-6)
    crop = crop.double()
    inside = pixels @ crop[:, :, :2].transpose(1, 2) + crop[:, None, :, 2]
    image = (2 * inside + 1) / size - 1
    flat = joints[..., :2].double()
    body, seen = flat.mean(1), image.mean(1)
    from_body, from_seen = flat - body[:, None], image - seen[:, None]
    scale = (from_body * from_seen).sum((1, 2)) / (from_body**2).sum((1, 2)).clamp_min(1e-12)
    scale = scale.clamp_min(1e-6)[:, None]
    return torch.cat((scale, seen / scale - body), 1).to(joints.dtype)
