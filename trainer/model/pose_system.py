"""The Gauss-Newton system of a body fit: joints, prior on the guess, hinges, smoothness.

N frames have 75 unknowns each, 24 rotations and a translation. Only smoothness couples frames, so
the system is solved by conjugate gradients, preconditioned by each frame's own block.
Letters: N frames, E evaluation joints, 24 bones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainer import geometry as so3
from trainer.model.articulation import Linkage, Posed
from trainer.model.body import BONES
from trainer.model.swing import Hinge, hinges

POSE = 3 * BONES
ROBUST = 3.0
"""Residuals above this many standard deviations count less (Cauchy)."""
LARGEST_TURN = 0.6
"""Largest rotation of a bone in one step, radians."""
LIMBS = {1: 4, 2: 5, 4: 7, 5: 8, 16: 18, 17: 19, 18: 20, 19: 21}
"""Bones of a limb segment, and the bone at its end."""


@dataclass(frozen=True, kw_only=True)
class BodyFitConfig:
    """Standard deviations of a fit's other terms; angles are relative to the guess."""

    root: float = 40.0
    """Degrees: the global orientation."""
    spine: float = 8.0
    """Degrees: each spine bone and collar."""
    swing: float = 45.0
    """Degrees: a limb segment's direction, and how far a knee or elbow bends."""
    twist: float = 15.0
    """Degrees: twist of thighs and upper arms; neck and head."""
    hinge: float = 9.0
    """Degrees: shanks and forearms, twist and sideways."""
    ends: float = 8.0
    """Degrees: hands and feet, which joints do not show."""
    acceleration: float = 6.0
    """Degrees per (1/30 s)²: angular acceleration of a bone relative to its parent."""
    betas: float = 1.0
    """Betas, from the guess's mean."""
    betas_limit: float = 2.5
    """Largest absolute value of a beta."""


class State(NamedTuple):
    """The unknowns of every frame."""

    rotations: Tensor
    """[N, 24, 3, 3]."""
    translation: Tensor
    """[N, 3] metres."""

    def moved(self, step: Float[Tensor, "n 75"]) -> State:
        """Return the state after a step [N, 75]."""
        turn = step[:, :POSE].unflatten(1, (BONES, 3))
        turn = turn * (LARGEST_TURN / turn.norm(dim=-1, keepdim=True).clamp_min(LARGEST_TURN))
        rotations = self.rotations @ so3.matrix_from_axis_angle(turn)
        return State(rotations, self.translation + step[:, POSE:])


class Targets(NamedTuple):
    """Observed joints, metres."""

    joints: Tensor
    """[N, E, 3], 0 where missing."""
    weight: Tensor
    """[N, E, 3] 1 / standard deviation, 0 where missing."""
    seen: Tensor
    """bool [N, E]."""


class Energy:
    """The parts of a fit's energy that do not depend on the track."""

    def __init__(self, rest: Linkage, config: BodyFitConfig, fps: float) -> None:
        """Prepare for a rest body and frames per second; 0: frames are independent."""
        sd = math.radians(config.acceleration) * (30 / fps) ** 2 if fps else math.inf
        self.smooth = 1 / sd**2
        self.hinges = hinges(rest)
        self.trust = _trust(rest, self.hinges, config)

    def system(
        self,
        linkage: Linkage,
        target: Targets,
        guess: Float[Tensor, "n 24 3 3"],
        state: State,
        *,
        robust: bool,
    ) -> System:
        """Return the linear system of a step from a state; guess [N, 24, 3, 3]."""
        posed = linkage.posed(state.rotations)
        weight = target.weight
        residual = (posed.joints + state.translation[:, None] - target.joints) * weight
        if robust:
            loose = (1 + (residual**2).sum(-1, keepdim=True) / ROBUST**2).rsqrt()
            weight, residual = weight * loose, residual * loose
        shift = torch.eye(3).to(weight).expand(*weight.shape[:2], 3, 3)
        jacobian = torch.cat((linkage.by_rotation(posed), shift), -1) * weight[..., None]
        jacobian, residual = jacobian.flatten(1, 2), residual.flatten(1)
        matrix = jacobian.transpose(1, 2) @ jacobian
        gradient = (jacobian.transpose(1, 2) @ residual[..., None]).squeeze(-1)

        away = so3.axis_angle_from_matrix(guess.transpose(-1, -2) @ state.rotations).flatten(1)
        matrix[:, :POSE, :POSE] += self.trust
        gradient[:, :POSE] += away @ self.trust
        # 10 m: a weak prior on the translation of frames without joints.
        matrix.diagonal(dim1=1, dim2=2).add_(1e-2)
        for hinge in self.hinges:
            _add_hinge(hinge, state.rotations, matrix, gradient)
        system = System(posed, jacobian, residual, weight, matrix, gradient)
        system.couple(state.rotations, self.smooth)
        return system


class System:
    """(matrix + smoothness) · step = −gradient, for N frames of 75 unknowns."""

    def __init__(
        self,
        posed: Posed,
        jacobian: Tensor,
        residual: Tensor,
        weight: Tensor,
        matrix: Tensor,
        gradient: Tensor,
    ) -> None:
        """Start from a system of independent frames.

        Args:
            posed: the body at the state.
            jacobian: [N, 3E, 75] of the weighted joints.
            residual: [N, 3E] weighted joints minus their targets.
            weight: [N, E, 3] of the joints.
            matrix: [N, 75, 75] of each frame.
            gradient: [N, 75].
        """
        self.posed, self.jacobian, self.residual, self.weight = posed, jacobian, residual, weight
        self.matrix, self.gradient = matrix, gradient
        self.smooth: Tensor | None = None

    def couple(self, rotations: Float[Tensor, "n 24 3 3"], smooth: float) -> None:
        """Add smoothness between neighbours, 1 / rad² of the second difference, and factorize."""
        block = self.matrix
        if smooth and len(rotations) > 2:
            turn = so3.axis_angle_from_matrix(rotations[:-1].transpose(-1, -2) @ rotations[1:])
            change = turn[1:] - turn[:-1]
            # A fast rotation is real, or a jump of the guess; neither should be smoothed.
            loose = 1 / (1 + smooth * (change**2).sum(-1, keepdim=True) / ROBUST**2)
            self.smooth = (smooth * loose).expand_as(change).flatten(1)
            self.gradient[:, :POSE] += _second_transposed(self.smooth * change.flatten(1))
            own = torch.zeros_like(self.gradient)
            own[:-2, :POSE] += self.smooth
            own[1:-1, :POSE] += 4 * self.smooth
            own[2:, :POSE] += self.smooth
            block = block + torch.diag_embed(own)
        self.factor = torch.linalg.cholesky(block)

    def alone(self, right: Float[Tensor, "n 75 c"]) -> Float[Tensor, "n 75 c"]:
        """Return each frame's own solution [N, 75, C] for right-hand sides [N, 75, C]."""
        return torch.cholesky_solve(right, self.factor)

    def solve(self, rounds: int = 8) -> Float[Tensor, "n 75"]:
        """Return the step [N, 75], by preconditioned conjugate gradients if frames are coupled."""
        residual = -self.gradient
        inverse = self.alone(residual[..., None]).squeeze(-1)
        if self.smooth is None:
            return inverse
        step, direction = torch.zeros_like(residual), inverse
        energy = (residual * inverse).sum()
        for _ in range(rounds):
            image = self.times(direction)
            length = energy / (direction * image).sum().clamp_min(1e-20)
            step = step + length * direction
            residual = residual - length * image
            inverse = self.alone(residual[..., None]).squeeze(-1)
            before, energy = energy, (residual * inverse).sum()
            direction = inverse + energy / before.clamp_min(1e-20) * direction
        return step

    def times(self, step: Float[Tensor, "n 75"]) -> Float[Tensor, "n 75"]:
        """Return the product of the whole matrix and a step [N, 75]."""
        out = (self.matrix @ step[..., None]).squeeze(-1)
        if self.smooth is not None:
            pose = step[:, :POSE]
            second = pose[2:] - 2 * pose[1:-1] + pose[:-2]
            out[:, :POSE] += _second_transposed(self.smooth * second)
        return out


def _second_transposed(values: Tensor) -> Tensor:
    """Return the transposed second difference [N, ...] of values [N - 2, ...]."""
    out = values.new_zeros(len(values) + 2, *values.shape[1:])
    out[:-2] += values
    out[1:-1] -= 2 * values
    out[2:] += values
    return out


def _add_hinge(hinge: Hinge, rotations: Tensor, matrix: Tensor, gradient: Tensor) -> None:
    """Add a one-sided penalty on backward bending, in place; standard deviation 2 degrees."""
    forward = rotations[:, hinge.bone].transpose(-1, -2) @ hinge.forward
    ahead = forward @ hinge.below
    slope = torch.linalg.cross(hinge.below.expand_as(forward), forward)
    weight = torch.where(ahead < 0, 1 / math.radians(2) ** 2, 0.0)
    at = slice(3 * hinge.bone, 3 * hinge.bone + 3)
    matrix[:, at, at] += (weight[:, None] * slope)[:, :, None] * slope[:, None]
    gradient[:, at] += (weight * ahead)[:, None] * slope


def _trust(linkage: Linkage, joints: list[Hinge], config: BodyFitConfig) -> Tensor:
    """Return inverse variances [72, 72] of rotations relative to the guess, in bone axes."""
    degrees = torch.full((BONES, 3), config.ends)
    degrees[0] = config.root
    degrees[[3, 6, 9, 13, 14]] = config.spine
    degrees[[12, 15]] = config.twist
    axes = torch.eye(3).repeat(BONES, 1, 1)
    rest, hinge_of = linkage.rest, {hinge.bone: hinge for hinge in joints}
    for bone, child in LIMBS.items():
        along = F.normalize(rest[child] - rest[bone], dim=0)
        hinge = hinge_of.get(bone)
        ahead = hinge.forward if hinge else rest.new_tensor([0.0, 0.0, 1.0])
        ahead = F.normalize(ahead - (ahead @ along) * along, dim=0)
        # Rotation axes: along the bone, the direction of bending (sideways), the hinge's axis.
        axes[bone] = torch.stack((along, ahead, torch.linalg.cross(along, ahead)), 1)
        twist, sideways = (config.hinge, config.hinge) if hinge else (config.twist, config.swing)
        degrees[bone] = torch.tensor([twist, sideways, config.swing])
    precision = axes * (1 / torch.deg2rad(degrees) ** 2)[:, None] @ axes.transpose(-1, -2)
    return torch.block_diag(*precision).to(rest)
