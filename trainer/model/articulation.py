"""A body of fixed shape: its evaluation joints and their derivatives by the bone rotations.

A regressed joint is a sum of contributions c_ek of bones k (trainer/model/body.py),

    x_e = Σ_k c_ek,   c_ek = G_k · posed_ek + a_ek · (p_k − G_k · rest_k),

so rotating bone b by ω about its origin p_b moves the joint by ω × Σ_{k at or below b}
(c_ek − a_ek · p_b). Pose correctives are exact in the joints but omitted in the derivatives (a few
percent of them). Letters: N frames, 24 bones, E evaluation joints, S = 10 betas.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from trainer.model.body import BONES, BodyJoints


class Posed(NamedTuple):
    """A posed body, about SMPL's origin, metres."""

    world: Tensor
    """[N, 24, 3, 3] bone axes → the axes that the root's rotation leads to."""
    place: Tensor
    """[N, 24, 3] origins of the bones."""
    carried: Tensor
    """[N, E, 24, 3] c_ek: each bone's contribution to each evaluation joint."""
    joints: Tensor
    """[N, E, 3]."""


class Linkage:
    """The skeleton of a fixed shape; gives its evaluation joints and their derivatives."""

    def __init__(self, body: BodyJoints, betas: Float[Tensor, " 10"]) -> None:
        """Prepare a body for betas [10], the same in every frame."""
        self.body = body
        self.betas = betas
        joints = body.folded.shape[0]
        self.rest = body.rest + body.rest_shape @ betas
        basis = body.folded_basis.unflatten(1, (joints, BONES, 3))
        shapes = len(betas)
        self.shape_basis = basis[:shapes]
        self.pose_basis = body.folded_basis[shapes:]
        self.folded = body.folded + torch.einsum("s,sekc->ekc", betas, self.shape_basis)
        self.weight = body.folded_weight
        self.below = descendants(body.parents).to(self.rest)

    def posed(self, rotations: Float[Tensor, "n 24 3 3"]) -> Posed:
        """Return the body posed by bone rotations [N, 24, 3, 3]."""
        rest = self.rest.expand(len(rotations), -1, -1)
        world, place = self.body.chain(rotations.unbind(1), rest.unbind(1))
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        feature = (rotations[:, 1:] - identity).flatten(1)
        local = self.folded + (feature @ self.pose_basis).unflatten(1, self.folded.shape)
        offset = place - (world @ self.rest[..., None]).squeeze(-1)
        carried = torch.einsum("nkij,nekj->neki", world, local)
        carried = carried + self.weight[..., None] * offset[:, None]
        return Posed(world, place, carried, carried.sum(2))

    def by_rotation(self, posed: Posed) -> Float[Tensor, "n e 3 72"]:
        """Return ∂joints/∂δ [N, E, 3, 72] for R_b → R_b · exp(δ_b)."""
        arms = torch.einsum("bk,nekc->nebc", self.below, posed.carried)
        share = self.weight @ self.below.T
        arms = arms - share[..., None] * posed.place[:, None]
        columns = posed.world.transpose(-1, -2)[:, None]  # [N, 1, 24, axis, 3]
        moved = torch.linalg.cross(
            columns.expand(-1, arms.shape[1], -1, -1, -1), arms[:, :, :, None]
        )
        return moved.permute(0, 1, 4, 2, 3).flatten(3)

    def by_shape(self, posed: Posed) -> Float[Tensor, "n e 3 10"]:
        """Return ∂joints/∂betas [N, E, 3, S]; exact, as joints are linear in betas."""
        world = posed.world
        parents = [0, *self.body.parents[1:]]
        offset = self.body.rest_shape - self.body.rest_shape[parents]
        offset[0] = self.body.rest_shape[0]
        turned = world[:, parents] @ offset
        turned[:, 0] = offset[0]  # the root's origin does not move
        place = torch.einsum("bk,nbcs->nkcs", self.below, turned)
        carried = torch.einsum("nkij,sekj->neis", world, self.shape_basis)
        moved = place - world @ self.body.rest_shape
        return carried + torch.einsum("ek,nkcs->necs", self.weight, moved)


def descendants(parents: list[int]) -> Float[Tensor, "bones bones"]:
    """Return [24, 24]: 1 where bone k is bone b itself or below it in the tree."""
    below = torch.zeros(len(parents), len(parents))
    for bone in range(len(parents)):
        above = bone
        while above >= 0:
            below[above, bone] = 1
            above = parents[above]
    return below
