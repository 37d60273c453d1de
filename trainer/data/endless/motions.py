"""Motions from the labels of shards, stored compactly and sampled at fractional frames.

Letters: F frames of all takes, n clips, T frames of a clip, 24 bones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn import functional as F

from trainer import geometry
from trainer.errors import BadInput

DOWN_FROM_CAMERA = np.array([0.0, 1.0, 0.0], np.float32)
"""Default direction of gravity: that of a level camera, whose y points down."""


@dataclass(frozen=True)
class MotionStore:
    """All takes concatenated, in a world with y up, at the records' frame rate."""

    quaternions: Tensor
    """[F, 24, 4] quaternions, float16, w first, continuous sign; the root's is body → world."""
    pelvis: Tensor
    """[F, 3] metres."""
    first: Tensor
    """[F] index of the first frame of each frame's take."""
    last: Tensor
    """[F] index of the last frame of each frame's take."""

    def starts(self, span: int) -> Tensor:
        """Return the frames at which a stretch of `span` frames within one take can start."""
        index = torch.arange(len(self.first))
        found = index[index + span - 1 <= self.last]
        if not len(found):
            longest = int((self.last - self.first).max()) + 1 if len(self.first) else 0
            raise BadInput(
                f"No motion has the {span} frames of a clip, the longest has {longest}; "
                "lower --frames or --spacing."
            )
        return found

    def at(
        self, time: Num[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch 24 4"], Float[Tensor, "*batch 3"]]:
        """Return quaternions [..., 24, 4] and pelvis [..., 3] at times [...] (frames, fractional).

        Neighbouring frames are interpolated linearly, rotations as normalised quaternions.
        """
        low = time.floor().long()
        high = torch.minimum(low + 1, self.last[low])
        share = (time - low).float()[..., None]
        q = torch.lerp(
            self.quaternions[low].float(), self.quaternions[high].float(), share[..., None]
        )
        place = torch.lerp(self.pelvis[low], self.pelvis[high], share)
        return F.normalize(q, dim=-1), place


def gather(
    takes: Iterable[dict[str, np.ndarray]], rest_pelvis: Float[np.ndarray, " 3"]
) -> MotionStore:
    """Return the motions of records' labels: pose [L,72], trans [L,3] and optionally gravity [3].

    rest_pelvis [3]: the body's pelvis in its rest pose, about which SMPL rotates the root.
    """
    quaternions, places, lengths = [], [], []
    for labels in takes:
        pose = torch.from_numpy(labels["pose"].astype(np.float32)).unflatten(-1, (24, 3))
        place = torch.from_numpy(
            labels["trans"].astype(np.float32) + rest_pelvis.astype(np.float32)
        )
        gravity = np.asarray(labels.get("gravity", DOWN_FROM_CAMERA), np.float64)
        world = upright(torch.tensor(gravity)).float()
        q = quaternion_from_axis_angle(pose)
        q[:, 0] = multiply(quaternion_from_matrix(world), q[:, 0])
        quaternions.append(one_sign(q).half())
        places.append(place @ world.T)
        lengths.append(len(pose))
    if not lengths:
        raise BadInput("The shards hold no motion that can be read; run datagen.verify on them.")
    ends = np.cumsum(lengths)
    first = torch.from_numpy(np.repeat(ends - lengths, lengths))
    last = torch.from_numpy(np.repeat(ends - 1, lengths))
    return MotionStore(torch.cat(quaternions), torch.cat(places), first, last)


def upright(gravity: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """Return the rotation [3, 3] from camera axes to a world with y up, where gravity [3] is −y.

    For a level camera (gravity +y) it is a half turn about x. For other cameras it is the smallest
    rotation to level followed by that half turn, or, where gravity points up in the picture, the
    smallest rotation alone.
    """
    down = F.normalize(gravity, dim=0)
    side = 1.0 if down[1] >= 0 else -1.0
    level = down.new_tensor([0.0, side, 0.0])
    x, y, z = torch.linalg.cross(down, level).tolist()
    skew = down.new_tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    identity = torch.eye(3, dtype=down.dtype)
    turn = identity + skew + skew @ skew / (1 + down @ level)  # at least 1: no singular case
    return torch.diag(down.new_tensor([1.0, -1.0, -1.0])) @ turn if side > 0 else turn


def quaternion_from_axis_angle(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 4"]:
    """Return quaternions [..., 4], w first, of axis-angle vectors [..., 3]."""
    angle = vector.norm(dim=-1, keepdim=True)
    half = angle / 2
    scale = torch.where(
        angle < 1e-6, torch.full_like(angle, 0.5), half.sin() / angle.clamp_min(1e-6)
    )
    return torch.cat((half.cos(), vector * scale), -1)


def quaternion_from_matrix(matrix: Float[Tensor, "3 3"]) -> Float[Tensor, " 4"]:
    """Return the quaternion [4] of one rotation matrix [3, 3]."""
    return quaternion_from_axis_angle(geometry.axis_angle_from_matrix(matrix))


def multiply(
    a: Float[Tensor, "*#batch 4"], b: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "... 4"]:
    """Return the products a·b of quaternions [..., 4]."""
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    av, bv = torch.broadcast_tensors(av, bv)
    vector = aw * bv + bw * av + torch.linalg.cross(av, bv)
    return torch.cat((aw * bw - (av * bv).sum(-1, keepdim=True), vector), -1)


def matrix_from_quaternion(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Return rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    w, x, y, z = q.unbind(-1)
    return torch.stack(
        (
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ),
        -1,
    ).unflatten(-1, (3, 3))  # fmt: skip


def one_sign(q: Float[Tensor, "l *batch 4"]) -> Float[Tensor, "l *batch 4"]:
    """Return quaternions [L, ..., 4] with signs that make them continuous over time."""
    dot = (q[1:] * q[:-1]).sum(-1, keepdim=True)
    sign = torch.where(dot < 0, -1.0, 1.0).cumprod(0)
    return torch.cat((q[:1], q[1:] * sign))
