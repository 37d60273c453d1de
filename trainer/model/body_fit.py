"""Fit SMPL's pose per frame and one shape per track to joints and initial bone rotations.

Limbs are fitted to the joints. What joints do not determine (twists, wrists, feet, how the spine
bends) comes from the guess, the initial bone rotations. Angular accelerations are small, betas are
limited, and knees and elbows bend one way only. The fit starts from a closed-form solution
(trainer/model/swing.py) and takes a few Gauss-Newton steps (trainer/model/pose_system.py) on

    Σ ρ(|(x(R, β) + t − s·J) / (s·σ)|²) + |log(R₀ᵀR)|² + hinges + smoothness + |β − β₀|²,

first for shape and scale on at most 96 frames, with all poses eliminated (Schur complement), then
for the poses, 256 frames at a time. Letters: L frames, N frames of a piece, E evaluation joints in
LSP's order (right ankle … left wrist, neck, head top), 24 bones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from trainer.model.articulation import Linkage
from trainer.model.body import BONES, BodyJoints
from trainer.model.pose_system import BodyFitConfig, Energy, State, System, Targets
from trainer.model.swing import swung

SHAPE_FRAMES = 96
"""Number of evenly spaced frames from which shape and scale are estimated."""
INDEPENDENT = 20.0
"""Number of independent frames that a track counts as in the shape fit, as its errors repeat."""
PIECE, CONTEXT = 256, 12
"""Frames fitted together, and additional frames on each side, whose result is discarded."""
CLOSEST = 0.003
"""Least sigma, metres: a body model's joints differ from a person's by at least this much."""
SHAPE_STEPS, POSE_STEPS = 6, 4


class BodyFit(NamedTuple):
    """A body on a track of joints: body(rotations, betas) + translation ≈ scale · joints."""

    rotations: Tensor
    """[L, 24, 3, 3]; the root's is body → the joints' axes."""
    betas: Tensor
    """[10], the same in every frame."""
    scale: Tensor
    """[] metres per unit of the joints."""
    translation: Tensor
    """[L, 3] metres: SMPL's origin in the joints' axes."""
    joints: Tensor
    """[L, E, 3] metres: the body's evaluation joints, translation added."""


@torch.no_grad()
def fit_body(
    body: BodyJoints,
    joints: Float[Tensor, "l 14 3"],
    sigma: Float[Tensor, "l 14"] | Float[Tensor, "l 14 3"],
    rotations: Float[Tensor, "l 24 3 3"],
    betas: Float[Tensor, "*l 10"],
    *,
    fps: float = 30.0,
    config: BodyFitConfig | None = None,
) -> BodyFit:
    """Fit a body to the joints of one track.

    Args:
        body: its evaluation joints are LSP's 14.
        joints: [L, 14, 3] any unit, any origin in each frame; one scale for the whole track.
        sigma: [L, 14] or, along the three axes, [L, 14, 3]: standard deviations in the joints'
            unit. A joint whose sigma or position is not finite is missing.
        rotations: [L, 24, 3, 3] guess, such as a network's; the root's is body → the joints' axes.
        betas: [10] or [L, 10] guess.
        fps: frames per second, for the smoothness.
        config: standard deviations of everything else.
    """
    config = config or BodyFitConfig()
    betas = betas.float().reshape(-1, betas.shape[-1]).mean(0)
    betas = betas.clamp(-config.betas_limit, config.betas_limit)
    seen = _observed(joints.float(), sigma.float())
    guess = rotations.float()
    length = len(joints)

    sample = torch.linspace(0, length - 1, min(length, SHAPE_FRAMES)).round().long()
    scale = _first_scale(body, betas, seen)
    betas, scale = _fit_shape(body, config, _of(seen, sample), guess[sample], betas, scale)

    linkage = Linkage(body, betas)
    energy = Energy(Linkage(body, torch.zeros_like(betas)), config, fps)
    parts = []
    for first in range(0, length, PIECE):
        last = min(first + PIECE, length)
        begin = max(first - CONTEXT, 0)
        piece = slice(begin, min(last + CONTEXT, length))
        state = _fit_pose(linkage, energy, _in_metres(_of(seen, piece), scale), guess[piece])
        found = linkage.posed(state.rotations).joints + state.translation[:, None]
        parts.append([part[first - begin : last - begin] for part in (*state, found)])
    turned, moved, found = (torch.cat(part) for part in zip(*parts, strict=True))
    return BodyFit(turned, betas, scale, moved, found)


def _observed(joints: Tensor, sigma: Tensor) -> Targets:
    """Return the observed joints, in their own unit."""
    sigma = sigma[..., None].expand_as(joints) if sigma.dim() == 2 else sigma
    seen = (sigma.isfinite() & (sigma > 0) & joints.isfinite()).all(-1)
    joints = torch.where(seen[..., None], joints, torch.zeros_like(joints))
    return Targets(joints, torch.where(seen[..., None], 1 / sigma, torch.zeros_like(sigma)), seen)


def _of(targets: Targets, frames: slice | Tensor) -> Targets:
    return Targets(*(part[frames] for part in targets))


def _in_metres(targets: Targets, scale: Tensor) -> Targets:
    weight = targets.weight / scale
    weight = weight / (1 + (weight * CLOSEST) ** 2).sqrt()
    return Targets(targets.joints * scale, weight, targets.seen)


def _first_scale(body: BodyJoints, betas: Tensor, targets: Targets) -> Tensor:
    """Return metres per unit: the ratio of joint distances of the rest body to the given ones."""
    start = [0, 1, 5, 4, 6, 7, 11, 10, 2, 8, 2, 3]
    end = [1, 2, 4, 3, 7, 8, 10, 9, 3, 9, 8, 9]
    rest = Linkage(body, betas).posed(torch.eye(3).to(betas).expand(1, BONES, 3, 3)).joints[0]
    own = (rest[start] - rest[end]).norm(dim=-1)
    given = (targets.joints[:, start] - targets.joints[:, end]).norm(dim=-1)
    both = targets.seen[:, start] & targets.seen[:, end]
    total = (given * both).sum()
    return torch.where(total > 1e-9, (own * both).sum() / total.clamp_min(1e-9), 1.0)


def _start(linkage: Linkage, target: Targets, guess: Tensor) -> tuple[State, Tensor]:
    """Return the closed-form start, and the guess without impossible elbow and knee angles."""
    rotations, guess = swung(linkage, guess, target.joints, target.seen)
    offset = target.joints - linkage.posed(rotations).joints
    weight = target.weight**2
    return State(rotations, (offset * weight).sum(1) / weight.sum(1).clamp_min(1e-9)), guess


def _fit_pose(linkage: Linkage, energy: Energy, target: Targets, guess: Tensor) -> State:
    """Return the poses of consecutive frames for a fixed shape and scale."""
    state, guess = _start(linkage, target, guess)
    for step in range(POSE_STEPS):
        state = state.moved(energy.system(linkage, target, guess, state, robust=step > 0).solve())
    return state


def _fit_shape(
    body: BodyJoints,
    config: BodyFitConfig,
    seen: Targets,
    guess: Tensor,
    betas: Tensor,
    scale: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the betas [10] and the scale shared by frames [N, ...]."""
    energy = Energy(Linkage(body, torch.zeros_like(betas)), config, fps=0)
    mean, linkage = betas, Linkage(body, betas)
    state, guess = _start(linkage, _in_metres(seen, scale), guess)
    share = min(1.0, INDEPENDENT / len(guess))
    for step in range(SHAPE_STEPS):
        target = _in_metres(seen, scale)
        system = energy.system(linkage, target, guess, state, robust=step > 0)
        matrix, gradient, follow = _eliminated(linkage, system, state)
        matrix, gradient = share * matrix, share * gradient
        _add_reach(matrix, gradient, betas, mean, config)
        shared = -torch.linalg.solve(matrix, gradient).clamp(-1, 1)
        betas, scale = betas + shared[:-1], scale * shared[-1].exp()
        state = state.moved(-follow[..., -1] - follow[..., :-1] @ shared)
        linkage = Linkage(body, betas)
    return betas.clamp(-config.betas_limit, config.betas_limit), scale


def _eliminated(linkage: Linkage, system: System, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """Return matrix [11, 11] and gradient [11] of betas and log scale, with all poses eliminated.

    The third [N, 75, 12] gives the poses' step: minus its last column, minus the others · the step.
    """
    found = system.posed.joints + state.translation[:, None]
    # The noise is in the joints' own unit, so the scale divides the body.
    shared = torch.cat((linkage.by_shape(system.posed), -found[..., None]), -1)
    shared = (shared * system.weight[..., None]).flatten(1, 2)
    across = system.jacobian.transpose(1, 2) @ shared
    follow = system.alone(torch.cat((across, system.gradient[..., None]), -1))
    matrix = shared.transpose(1, 2) @ shared - across.transpose(1, 2) @ follow[..., :-1]
    gradient = shared.transpose(1, 2) @ system.residual[..., None]
    gradient = gradient - across.transpose(1, 2) @ follow[..., -1:]
    return matrix.sum(0), gradient.sum(0).squeeze(-1), follow


def _add_reach(
    matrix: Tensor, gradient: Tensor, betas: Tensor, mean: Tensor, config: BodyFitConfig
) -> None:
    """Add, in place, the prior on betas and a penalty beyond their limit."""
    near = 1 / config.betas**2
    beyond = betas - betas.clamp(-config.betas_limit, config.betas_limit)
    wall = torch.where(beyond != 0, 1e3, 0.0)
    diagonal = torch.cat((near + wall, betas.new_full((1,), 1e-6)))
    matrix.diagonal().add_(diagonal)
    gradient[:-1] += near * (betas - mean) + wall * beyond
