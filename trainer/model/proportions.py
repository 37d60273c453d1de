"""Human proportions: distributions of lengths between evaluation joints of a body model.

Lengths are logarithms, so a person's size is one number added to all of them. Letters: L frames,
J evaluation joints in LSP's order (12, or 14 with neck and head top), S segments.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainer.common.smoothing import smooth
from trainer.geometry import matrix_from_axis_angle
from trainer.model.body import BONES, BodyJoints

LIMBS = ((1, 0), (2, 1), (3, 4), (4, 5), (7, 6), (8, 7), (9, 10), (10, 11))
"""Shanks, thighs, forearms, upper arms: the joints at their ends, right first for the legs."""
LIMB_PAIRS = ((0, 3), (1, 2), (4, 7), (5, 6))
"""Pairs of the same limb on the right and left."""
TRUNK = ((2, 3), (8, 9), (2, 8), (3, 9), (2, 9), (3, 8), (8, 12), (9, 12), (12, 13))
"""Pairs of joints whose distance varies little with the pose."""
SAMPLES = 512
SHAPE_SPREAD = 1.2
"""Standard deviation of the sampled betas."""
LIMB_SPREAD = 0.03
"""Standard deviation of limbs' log lengths in people that ten betas do not explain."""
SECONDS = 1.0
"""Time scale on which a track's unit may drift, as with separately normalised windows."""
FRAME_SPREAD = 0.15
"""Error of one frame's log size."""
POSTURE = {  # bone: mean and standard deviation of its rotation vector, degrees
    1: ((-25, 0, 8), (25, 10, 10)),
    2: ((-25, 0, -8), (25, 10, 10)),
    4: ((45, 0, 0), (30, 0, 0)),
    5: ((45, 0, 0), (30, 0, 0)),
    3: ((3, 0, 0), (7, 4, 4)),
    6: ((2, 0, 0), (6, 4, 4)),
    9: ((0, 0, 0), (5, 4, 4)),
    12: ((5, 0, 0), (10, 10, 6)),
    15: ((0, 0, 0), (12, 12, 8)),
    13: ((0, 0, 0), (2, 4, 4)),
    14: ((0, 0, 0), (2, 4, 4)),
    16: ((15, -25, -55), (25, 30, 35)),
    17: ((15, 25, 55), (25, 30, 35)),
    18: ((0, -55, 15), (0, 30, 15)),
    19: ((0, 55, -15), (0, 30, 15)),
}


class Proportions(NamedTuple):
    """Log lengths of a population; S = the 8 limbs, then the trunk."""

    mean: Tensor
    """[S] metres."""
    spread: Tensor
    """[S] standard deviation about the person's own size."""
    segments: tuple[tuple[int, int], ...]
    """The two joints of each segment."""


def log_lengths(
    joints: Float[Tensor, "*batch j 3"], segments: tuple[tuple[int, int], ...]
) -> Float[Tensor, "*batch s"]:
    """Return log distances [..., S] between joints [..., J, 3]."""
    start, end = [a for a, _ in segments], [b for _, b in segments]
    return (joints[..., start, :] - joints[..., end, :]).norm(dim=-1).clamp_min(1e-4).log()


@torch.no_grad()
def proportions(body: BodyJoints, joints: int = 14) -> Proportions:
    """Return the proportions of a body model's people, for the first 12 or 14 evaluation joints.

    Shapes and everyday poses are drawn with a fixed seed. The spread is doubled, as people, and
    detectors' definitions of joints, differ by more than the shape space.
    """
    generator = torch.Generator().manual_seed(0)
    betas = SHAPE_SPREAD * torch.randn(SAMPLES, 10, generator=generator)
    turns = torch.randn(SAMPLES, BONES, 3, generator=generator)
    mean, spread = torch.zeros(BONES, 3), torch.zeros(BONES, 3)
    for bone, (middle, wide) in POSTURE.items():
        mean[bone], spread[bone] = torch.tensor(middle).float(), torch.tensor(wide).float()
    turns = torch.deg2rad(mean + spread * turns)
    device = body.rest.device
    posed = body(matrix_from_axis_angle(turns).to(device), betas.to(device))[:, BONES:]
    segments = LIMBS + tuple(pair for pair in TRUNK if max(pair) < joints)
    lengths = log_lengths(posed, segments)
    size = lengths[:, : len(LIMBS)].mean(1, keepdim=True)
    relative = lengths - size
    wide = 2 * (relative.var(0) + LIMB_SPREAD**2).sqrt()
    return Proportions(relative.mean(0) + size.mean(), wide, segments)


@torch.no_grad()
def sizes(
    joints: Float[Tensor, "l j 3"], seen: Bool[Tensor, "l j"], known: Proportions, fps: float
) -> Float[Tensor, " l"]:
    """Return each frame's log size [L]: log limb lengths minus a mean person's, smoothed over time.

    joints · exp(−size) are in the metres of a body of mean proportions. seen: bool [L, J].
    """
    limbs = known.segments[: len(LIMBS)]
    off = log_lengths(joints, limbs) - known.mean[: len(LIMBS)]
    both = seen[:, [a for a, _ in limbs]] & seen[:, [b for _, b in limbs]]
    weight = both / known.spread[: len(LIMBS)] ** 2
    total = weight.sum(1)
    mean = (off * weight).sum(1) / total.clamp_min(1e-9)
    stiffness = (SECONDS * fps) ** 4 / FRAME_SPREAD**2
    share = total / total.max().clamp_min(1e-9)
    return smooth(mean[:, None], (share / FRAME_SPREAD**2)[:, None], stiffness)[:, 0]
