"""Evaluation joints of bodies whose bone lengths may differ from those of their betas.

As `trainer.model.body`, but each bone is scaled together with the surface around it, and pose blend
shapes are left out, which move these joints by a few millimetres.
Letters: n clips, T frames, 24 bones, E evaluation joints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from trainer.geometry import SMPL_MIRROR
from trainer.model.body import BONES, BodyJoints

LEAST_WEIGHT = 1e-3
"""Bones whose weight is smaller in every evaluation joint are left out."""


class StretchedBody:
    """One body model: rotations, shape and bone lengths → evaluation joints."""

    def __init__(self, body: BodyJoints) -> None:
        self.parents = body.parents
        weight = body.folded_weight
        self.bones = [
            k for k in range(BONES) if k == 0 or bool(weight[:, k].abs().max() > LEAST_WEIGHT)
        ]
        needed = set(self.bones)
        for bone in reversed(range(1, BONES)):
            if bone in needed:
                needed.add(self.parents[bone])
        self.chain = sorted(needed - {0})
        self.rest, self.rest_shape = body.rest, body.rest_shape
        joints = len(weight)
        basis = body.folded_basis[:10].unflatten(1, (joints, BONES, 3))
        self.weight = weight[:, self.bones]
        self.place = body.folded[:, self.bones]
        self.basis = basis[:, :, self.bones]
        self.joints = joints

    def __call__(self, rotations: Tensor, pelvis: Tensor, betas: Tensor, size: Tensor) -> Tensor:
        """Return joints [n, T, E, 3], metres.

        Args:
            rotations: [n, T, 24, 3, 3], the root's body → world.
            pelvis: [n, T, 3] position, metres.
            betas: [n, 10].
            size: [n, 24] scale of each bone; 1 is the shape's own length.
        """
        rest = self.rest + torch.einsum("jcs,ns->njc", self.rest_shape, betas)
        world, place = {0: rotations[:, :, 0]}, {0: pelvis}
        for bone in self.chain:
            above = self.parents[bone]
            offset = (rest[:, bone] - rest[:, above]) * size[:, above, None]
            world[bone] = world[above] @ rotations[:, :, bone]
            place[bone] = place[above] + (world[above] @ offset[:, None, :, None]).squeeze(-1)
        turned = torch.stack([world[bone] for bone in self.bones], 2)
        moved = torch.stack([place[bone] for bone in self.bones], 2)
        local = self.place + torch.einsum("sekc,ns->nekc", self.basis, betas)
        local = local - self.weight[None, :, :, None] * rest[:, None, self.bones]
        local = local * size[:, None, self.bones, None]
        # One product: rows (frame), columns (bone, axis) x (joint).
        flat = turned.permute(0, 1, 3, 2, 4).flatten(3)  # n T 3 (k j)
        surface = flat @ local.flatten(2).mT[:, None]  # n T 3 E
        share = self.weight / self.weight.sum(1, keepdim=True)
        return surface.mT + torch.einsum("ek,ntki->ntei", share, moved)


def bone_sizes(n: int, spread: float, generator: torch.Generator) -> Float[Tensor, "n 24"]:
    """Return bone scales [n, 24] near 1: left and right nearly equal, one for the spine."""
    drawn = torch.randn(n, BONES, generator=generator) * spread
    other = drawn[:, SMPL_MIRROR]
    size = 1 + 0.65 * (drawn + other) + 0.15 * (drawn - other)
    size[:, [6, 9]] = size[:, [3]]
    return size
