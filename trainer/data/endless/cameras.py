"""Virtual cameras: people in a world with y up become joints in a camera's axes.

Letters: n clips, T frames, E evaluation joints.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from trainer.data.endless.options import EndlessConfig

NEAREST = 0.8
"""Least distance of every joint in front of the camera, metres."""


def turn_about(axis: int, angle: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    """Return rotations [n, 3, 3] by angles [n], radians, about x, y or z (0, 1, 2)."""
    out = torch.zeros(len(angle), 3, 3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = angle.cos()
    out[:, j, i] = angle.sin()
    out[:, i, j] = -angle.sin()
    return out


def draw_cameras(
    n: int, cfg: EndlessConfig, generator: torch.Generator
) -> tuple[Float[Tensor, "n 3 3"], Float[Tensor, " n"]]:
    """Return rotations [n, 3, 3], world (y up) → camera (x right, y down), and distances [n]."""

    def uniform() -> Tensor:
        return torch.rand(n, generator=generator)

    low, high = cfg.pitch
    yaw = uniform() * 2 * math.pi
    pitch = torch.deg2rad(low + uniform() * (high - low))
    roll = torch.randn(n, generator=generator) * math.radians(cfg.roll)
    level = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    near, far = cfg.distance
    distance = near * torch.exp(uniform() * math.log(far / near))
    turn = turn_about(2, roll) @ turn_about(0, pitch) @ level @ turn_about(1, yaw)
    return turn, distance


def place(
    joints: Float[Tensor, "n t e 3"], distance: Float[Tensor, " n"]
) -> Float[Tensor, "n t e 3"]:
    """Return joints [n, T, E, 3] (camera axes) whose mean lies `distance` [n] metres ahead.

    Clips that would come nearer than NEAREST to the camera are moved back.
    """
    joints = joints - joints.mean((1, 2), keepdim=True)
    nearest = joints[..., 2].amin((1, 2))
    ahead = torch.zeros(len(joints), 1, 1, 3)
    ahead[..., 2] = (distance + (NEAREST - distance - nearest).clamp_min(0))[:, None, None]
    return joints + ahead


def mirror_joints(
    joints: Float[Tensor, "*batch e 3"], order: list[int]
) -> Float[Tensor, "*batch e 3"]:
    """Return mirrored joints [..., E, 3], x → −x; order: left-right counterpart of each joint."""
    return joints[..., order, :] * joints.new_tensor([-1.0, 1.0, 1.0])
