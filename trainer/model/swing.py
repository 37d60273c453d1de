"""The closed-form start of a body fit: rotate bones onto the directions of given joints.

The root is rotated by the trunk's least-squares rotation (Kabsch), each limb segment by the
smallest rotation onto its target's direction, and an upper limb about its own axis until the hinge
below it bends in its possible direction. Everything that joints do not determine is kept from the
guess. Letters: N frames, 24 bones, E evaluation joints in LSP's order (right ankle … left wrist,
neck, head top).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from trainer import geometry as so3
from trainer.model.articulation import Linkage

R_ANKLE, R_KNEE, R_HIP, L_HIP, L_KNEE, L_ANKLE = range(6)
R_WRIST, R_ELBOW, R_SHOULDER, L_SHOULDER, L_ELBOW, L_WRIST, NECK, HEAD = range(6, 14)
TRUNK = (R_HIP, L_HIP, R_SHOULDER, L_SHOULDER, NECK)
UPPER = (
    (1, L_HIP, L_KNEE),
    (2, R_HIP, R_KNEE),
    (16, L_SHOULDER, L_ELBOW),
    (17, R_SHOULDER, R_ELBOW),
    (12, NECK, HEAD),
)
"""SMPL bone, and the evaluation joints at its two ends."""
LOWER = (
    (4, L_KNEE, L_ANKLE),
    (5, R_KNEE, R_ANKLE),
    (18, L_ELBOW, L_WRIST),
    (19, R_ELBOW, R_WRIST),
)

DOUBTED = 0.6
"""Radians of twist error above which a guess gets less weight; above twice that, none."""
BACKWARD = -0.1
"""Sine of the backward bend of an elbow or knee above which the guess is not used."""


class Hinge(NamedTuple):
    """A knee or elbow of the rest body, in the frame of the bone above it."""

    bone: int
    above: int
    along: Tensor
    """[3] direction of the bone above, towards the hinge."""
    forward: Tensor
    """[3] direction in which the limb below moves as the hinge bends, perpendicular to `along`."""
    below: Tensor
    """[3] rest direction of the bone below."""


def hinges(linkage: Linkage) -> list[Hinge]:
    """Return knees, which bend backward, and elbows, which bend forward (SMPL's rest faces +z)."""
    out = []
    for bone, above, child, side in (
        (4, 1, 7, -1),
        (5, 2, 8, -1),
        (18, 16, 20, 1),
        (19, 17, 21, 1),
    ):
        rest = linkage.rest
        along = F.normalize(rest[bone] - rest[above], dim=0)
        ahead = rest.new_tensor([0.0, 0.0, side])
        forward = F.normalize(ahead - (ahead @ along) * along, dim=0)
        out.append(Hinge(bone, above, along, forward, F.normalize(rest[child] - rest[bone], dim=0)))
    return out


def swung(
    linkage: Linkage,
    guess: Float[Tensor, "n 24 3 3"],
    joints: Float[Tensor, "n e 3"],
    seen: Bool[Tensor, "n e"],
) -> tuple[Float[Tensor, "n 24 3 3"], Float[Tensor, "n 24 3 3"]]:
    """Return rotations [N, 24, 3, 3] whose bones point along the given joints, and the guess.

    The returned guess has only possible hinge angles: it is replaced where its elbow or knee bends
    backward, or where the twist of its upper limb is incompatible with the joints.

    Args:
        linkage: the body.
        guess: [N, 24, 3, 3] start; twists and bones with missing joints are not changed.
        joints: [N, E, 3] any origin, any unit, the axes of the root's rotation.
        seen: bool [N, E].
    """
    rotations, guess = guess.clone(), guess.clone()
    rotations[:, 0] = kabsch(linkage.posed(rotations).joints, joints, seen) @ rotations[:, 0]
    _swing(rotations, linkage, UPPER, joints, seen)
    world = linkage.posed(rotations).world
    for hinge, (_, start, end) in zip(hinges(linkage), LOWER, strict=True):
        target = F.normalize(joints[:, end] - joints[:, start], dim=-1)
        local = (world[:, hinge.above].transpose(-1, -2) @ target[..., None]).squeeze(-1)
        turn = _twist(hinge, local, guess[:, hinge.bone] @ hinge.below)
        turn = turn * (seen[:, start] & seen[:, end])
        rotations[:, hinge.above] = rotations[:, hinge.above] @ _about(hinge.along, turn)
        # A small twist corrects the limb above and moves the limb below with it. A large one means
        # that the guess bends the hinge the wrong way: then the limb below keeps its rotation.
        excess = turn * ((turn.abs() - DOUBTED) / DOUBTED).clamp(0, 1)
        guess[:, hinge.above] = guess[:, hinge.above] @ _about(hinge.along, excess)
        back = _about(hinge.along, -excess)
        guess[:, hinge.bone] = back @ guess[:, hinge.bone]
        rotations[:, hinge.bone] = back @ rotations[:, hinge.bone]
    _swing(rotations, linkage, LOWER, joints, seen)
    for hinge in hinges(linkage):
        backward = guess[:, hinge.bone] @ hinge.below @ hinge.forward < BACKWARD
        guess[:, hinge.bone] = torch.where(
            backward[:, None, None], rotations[:, hinge.bone], guess[:, hinge.bone]
        )
    return rotations, guess


def _about(axis: Tensor, angle: Tensor) -> Tensor:
    """Return rotations [N, 3, 3] about a unit axis [3] by angles [N]."""
    return so3.matrix_from_axis_angle(angle[:, None] * axis)


def kabsch(
    source: Float[Tensor, "n e 3"], target: Float[Tensor, "n e 3"], seen: Bool[Tensor, "n e"]
) -> Float[Tensor, "n 3 3"]:
    """Return the rotations [N, 3, 3] that bring the source's trunk [N, E, 3] onto the target's.

    Limbs have a small weight, and the identity a tiny one: where too few joints are given to
    determine a rotation, the result is the smallest that fits.
    """
    weight = torch.full_like(source[:, :, :1], 0.05)
    weight[:, list(TRUNK)] = 1
    weight = weight * seen[..., None]
    total = weight.sum(1, keepdim=True).clamp_min(1e-6)
    x = source - (source * weight).sum(1, keepdim=True) / total
    y = target - (target * weight).sum(1, keepdim=True) / total
    y = y * ((weight * x**2).sum((1, 2)) / (weight * y**2).sum((1, 2)).clamp_min(1e-9)).sqrt()[
        :, None, None
    ].clamp(1e-3, 1e3)
    covariance = (weight * y).transpose(-1, -2) @ x
    floor = 1e-4 + 1e-3 * (weight * x**2).sum((1, 2))
    eye = torch.eye(3, dtype=source.dtype, device=source.device)
    return so3.nearest(covariance + floor[:, None, None] * eye)


def between(
    start: Float[Tensor, "*batch 3"], end: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """Return the smallest rotations [..., 3, 3] that turn unit vectors [..., 3] onto others."""
    axis = torch.linalg.cross(start, end)
    cosine = (start * end).sum(-1, keepdim=True)
    # For opposite vectors any axis perpendicular to both will do.
    spare = F.normalize(
        torch.linalg.cross(start, torch.roll(start, 1, -1) + start.new_tensor([0.3, 0.5, 0.7])),
        dim=-1,
    )
    sine = axis.norm(dim=-1, keepdim=True)
    axis = torch.where(sine > 1e-6, axis / sine.clamp_min(1e-6), spare)
    return so3.matrix_from_axis_angle(axis * torch.atan2(sine, cosine))


def _swing(
    rotations: Tensor,
    linkage: Linkage,
    segments: tuple[tuple[int, int, int], ...],
    joints: Tensor,
    seen: Tensor,
) -> None:
    """Rotate each segment's bone, in place, onto the direction of its two given joints."""
    bones = [bone for bone, _, _ in segments]
    start, end = [s for _, s, _ in segments], [e for _, _, e in segments]
    posed = linkage.posed(rotations)
    now = F.normalize(posed.joints[:, end] - posed.joints[:, start], dim=-1)
    wanted = F.normalize(joints[:, end] - joints[:, start], dim=-1)
    usable = seen[:, start] & seen[:, end]
    turn = between(now, torch.where(usable[..., None], wanted, now))
    above = posed.world[:, [linkage.body.parents[bone] for bone in bones]]
    rotations[:, bones] = above.transpose(-1, -2) @ turn @ above @ rotations[:, bones]


def _twist(hinge: Hinge, wanted: Tensor, guess: Tensor) -> Tensor:
    """Return the twist [N] to apply to the bone above a hinge, radians.

    The direction of the limb below, wanted [N, 3], should have the azimuth of the guess [N, 3]
    about the bone above, or point straight forward where the guess hardly bends or bends backward.
    A nearly straight limb has no azimuth and so no twist.
    """
    side = torch.linalg.cross(hinge.along, hinge.forward)
    azimuth = torch.atan2(wanted @ side, wanted @ hinge.forward)
    own = torch.atan2(guess @ side, guess @ hinge.forward)
    bend = (guess - (guess @ hinge.along)[:, None] * hinge.along).norm(dim=-1)
    own = own * (2 - own.abs()).clamp(0, 1) * ((bend - 0.1) / 0.3).clamp(0, 1)
    turn = torch.remainder(azimuth - own + math.pi, 2 * math.pi) - math.pi
    clear = (wanted - (wanted @ hinge.along)[:, None] * hinge.along).norm(dim=-1)
    return turn * ((clear - 0.1) / 0.3).clamp(0, 1)
