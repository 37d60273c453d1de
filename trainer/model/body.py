"""SMPL's joints from pose and shape, without its surface.

Every joint that the trainer needs is a linear regression of surface vertices, and a skinned vertex
is linear in the posed template. So the regressor folds into the skinning once, at load time: for
evaluation joint e and bone k,

    x_e = Σ_k [ R_k · (Σ_v r_ev w_vk · posed_v) + t_k · (Σ_v r_ev w_vk) ],

and the inner sum is again linear in shape and pose features. What remains is one small matrix
product per frame, exactly equal to smplx's forward pass followed by a regression on its vertices.
Letters: N frames, V vertices, 24 bones, E evaluation joints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainer.common.npz import read_npz
from trainer.errors import BadInput
from trainer.geometry import SMPL_MIRROR

BONES = 24
LIMIT = 1e4
"""Largest absolute value in a body file (metres, weights); beyond it the file is damaged."""
LARGEST = 1 << 27
"""Bytes of all arrays; SMPL's whole posedirs, which are cut down here, have 34 million."""


def mirror_rotations(rotations: Float[Tensor, "*batch 24 3 3"]) -> Float[Tensor, "*batch 24 3 3"]:
    """Return SMPL's rotations [..., 24, 3, 3] of the mirrored people, x → −x."""
    flip = rotations.new_tensor([-1.0, 1.0, 1.0])
    return rotations[..., SMPL_MIRROR, :, :] * flip[:, None] * flip


class JointRegressor(NamedTuple):
    """Regressor of the evaluation joints from a surface; both fields are empty where unknown."""

    name: str = ""
    sha256: str = ""
    """First 16 hexadecimal digits of `regressor_hash`."""

    def __str__(self) -> str:
        name = f"{self.name} regressor" if self.name.endswith("'s own") else self.name or "unnamed"
        return f"{name} ({self.sha256[:8]})" if self.sha256 else "not recorded"

    def differs(self, other: JointRegressor) -> bool:
        """Return whether two regressors are known to define different joints.

        SMPL's kinematic joints have one definition, though each gender's file has its own weights.
        """
        same_name = self.name == other.name and "kinematic" in self.name
        return bool(self.sha256 and other.sha256) and self.sha256 != other.sha256 and not same_name


UNKNOWN = JointRegressor()


def regressor_hash(body: Mapping[str, Any]) -> str:
    """Return the hash of a body's eval_regressor [E, V], as datagen writes it to dataset.json.

    Only weights other than 0 are hashed, so that a body reduced to some vertices has the same hash.
    """
    digest = hashlib.sha256()
    for row in np.asarray(body["eval_regressor"], np.float32):
        digest.update(row[row != 0].astype("<f4").tobytes() + b"|")
    return digest.hexdigest()[:16]


FIELDS = {
    "v_template": "V 3",
    "shapedirs": "V 3 10",
    "posedirs": "V 3 207",
    "weights": "V 24",
    "J_regressor": "24 V",
    "eval_regressor": "E V",
    "parents": "24",
}


class BodyJoints(nn.Module):
    """Pose and shape → joints [N, 24 + E, 3] in metres: SMPL's 24, then the evaluation joints."""

    rest: Tensor
    rest_shape: Tensor
    folded: Tensor
    folded_basis: Tensor
    folded_weight: Tensor

    def __init__(self, body: dict[str, np.ndarray]) -> None:
        super().__init__()
        b = {name: np.asarray(body[name], np.float64) for name in FIELDS}
        parents = [int(p) for p in body["parents"]]
        parents[0] = -1
        self.parents = parents
        self.levels = _levels(parents)
        share = np.einsum("ev,vk->ekv", b["eval_regressor"], b["weights"])
        basis = np.concatenate((b["shapedirs"], b["posedirs"]), axis=2)
        joints = b["eval_regressor"].shape[0]
        buffers = {
            "rest": b["J_regressor"] @ b["v_template"],
            "rest_shape": np.einsum("jv,vcs->jcs", b["J_regressor"], b["shapedirs"]),
            "folded": np.einsum("ekv,vc->ekc", share, b["v_template"]),
            "folded_basis": (share.reshape(joints * BONES, -1) @ basis.reshape(len(basis), -1))
            .reshape(joints * BONES * 3, -1)
            .T,
            "folded_weight": share.sum(-1),
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def forward(
        self, rotations: Float[Tensor, "n 24 3 3"], betas: Float[Tensor, "n 10"]
    ) -> Float[Tensor, "n joints 3"]:
        """Return joints [N, 24 + E, 3] for bone rotations [N, 24, 3, 3] and betas [N, 10]."""
        rest = self.rest + torch.einsum("jcs,ns->njc", self.rest_shape, betas)
        world, place = self.chain(rotations.unbind(1), rest.unbind(1))

        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        feature = torch.cat((betas, (rotations[:, 1:] - identity).flatten(1)), dim=1)
        posed = self.folded + (feature @ self.folded_basis).unflatten(1, self.folded.shape)
        skin_offset = place - (world @ rest[..., None]).squeeze(-1)
        surface = torch.einsum("nkij,nekj->nei", world, posed)
        surface = surface + torch.einsum("ek,nki->nei", self.folded_weight, skin_offset)
        return torch.cat((place, surface), dim=1)

    def chain(
        self, local: tuple[Tensor, ...], rest: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "n 24 3 3"], Float[Tensor, "n 24 3"]]:
        """Return world rotations [N, 24, 3, 3] and origins [N, 24, 3], one tree level at a time."""
        # Lists and stacks instead of index tensors, which would be copied to a GPU at every step.
        world, place = list(local), list(rest)
        for bones in self.levels:
            above = [self.parents[bone] for bone in bones]
            parent = torch.stack([world[bone] for bone in above], 1)
            offset = torch.stack([rest[b] - rest[a] for a, b in zip(above, bones, strict=True)], 1)
            turned = (parent @ torch.stack([local[bone] for bone in bones], 1)).unbind(1)
            moved = (parent @ offset[..., None]).squeeze(-1).unbind(1)
            for i, bone in enumerate(bones):
                world[bone] = turned[i]
                place[bone] = place[above[i]] + moved[i]
        return torch.stack(world, 1), torch.stack(place, 1)


def _levels(parents: list[int]) -> list[list[int]]:
    """Return the bones below the root, grouped by their depth in the tree."""
    depth = [0] * len(parents)
    for bone in range(1, len(parents)):
        depth[bone] = depth[parents[bone]] + 1
    return [[b for b, d in enumerate(depth) if d == level] for level in range(1, max(depth) + 1)]


def read_body(path: Path) -> dict[str, np.ndarray]:
    """Return the checked arrays of a reduced body file (`body.npz`); BadInput if it is none."""
    try:
        body = read_npz(path, LARGEST, FIELDS)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} is not a readable body file ({error}); "
            "copy body.npz from the folder of the data set."
        ) from None
    return checked_body(body, str(path))


def checked_body(body: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """Return a reduced body's checked arrays; BadInput, naming the source, if they are wrong."""
    missing = [name for name in FIELDS if name not in body]
    if missing:
        raise BadInput(f"{source} lacks {', '.join(missing)}; it must have a data set's body.npz.")
    first, last = body["v_template"], body["eval_regressor"]
    sizes = {"V": first.shape[0] if first.ndim else 0, "E": last.shape[0] if last.ndim else 0}
    for name, axes in FIELDS.items():
        expected = tuple(sizes[axis] if axis.isalpha() else int(axis) for axis in axes.split())
        if body[name].shape != expected or body[name].dtype.kind not in "fiu":
            raise BadInput(
                f"{source}: {name} is {body[name].dtype} {body[name].shape}, not {expected}; "
                "the body must have SMPL's layout."
            )
        if name != "parents" and not (np.abs(body[name]) < LIMIT).all():
            raise BadInput(f"{source}: {name} has NaN, infinite or impossible numbers.")
    parents = np.asarray(body["parents"], np.float64)[1:]  # the root's is none
    if not ((parents >= 0) & (parents < np.arange(1, BONES))).all():
        raise BadInput(f"{source}: parents is no tree of {BONES} bones.")
    return dict(body)
