"""Poses of clips: parts of motions with varied limbs, speed and joints.

A collection of motions has few kinds of poses, and a network trained on it is biased towards them.
Letters: n clips, T frames, 24 bones.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainer.data.endless.motions import (
    MotionStore,
    matrix_from_quaternion,
    multiply,
    quaternion_from_axis_angle,
)
from trainer.data.endless.options import EndlessConfig

UPPER = [3, 6, 9, *range(12, 24)]
"""Spine, neck, head and arms."""
LIMBS = ([13, 16, 18, 20, 22], [14, 17, 19, 21, 23], [1, 4, 7, 10], [2, 5, 8, 11])
"""Left arm, right arm, left leg, right leg, from collar or hip to the end."""
HINGES = [4, 5, 18, 19]
"""Knees and elbows."""
TURNED = {
    1: 1.3,
    2: 1.3,
    16: 1.3,
    17: 1.3,
    3: 0.8,
    6: 0.8,
    9: 0.8,
    4: 0.5,
    5: 0.5,
    18: 0.6,
    19: 0.6,
}
"""Joints with a constant rotation per clip, and its relative size."""
MOST_BENT = 2.4
"""Largest bending angle of a hinge, radians."""
MOST_FLEX = 0.7
"""Largest change of a hinge's bending angle, radians."""


class Postures:
    """Draws the poses of clips of `frames` frames, every `spacing`-th frame of the motions."""

    def __init__(
        self, motions: MotionStore, config: EndlessConfig, frames: int, spacing: int
    ) -> None:
        self.motions, self.config = motions, config
        self.frames, self.spacing = frames, spacing
        self.begin = motions.starts((frames - 1) * spacing + 1)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return rotations [n, T, 24, 3, 3] and the pelvis [n, T, 3], 0 in the middle frame.

        World with y up; the root's rotation is body → world.
        """
        cfg = self.config
        q, pelvis = self.motions.at(self.times(n, generator))
        for bones, chance in [(UPPER, cfg.upper), *((limb, cfg.limbs) for limb in LIMBS)]:
            if chance:
                self.exchange(q, bones, chance, generator)
        if cfg.flex:
            q[:, :, HINGES] = flexed(q[:, :, HINGES], cfg.flex, generator)
        if cfg.turn:
            bones = list(TURNED)
            q[:, :, bones] = multiply(q[:, :, bones], turns(n, cfg.turn, generator)[:, None])
        if cfg.tilt:
            tilt = torch.randn(n, 1, 3, generator=generator) * math.radians(cfg.tilt)
            tilt[..., 1] = 0
            q[:, :, 0] = multiply(quaternion_from_axis_angle(tilt), q[:, :, 0])
        middle = self.frames // 2
        return matrix_from_quaternion(q), pelvis - pelvis[:, middle : middle + 1]

    def times(self, n: int, generator: torch.Generator, *, warp: bool = True) -> Tensor:
        """Return fractional frames [n, T] of the motions, for clips around drawn middle frames."""
        chosen = torch.randint(len(self.begin), (n,), generator=generator)
        start = self.begin[chosen][:, None]
        # Doubles: float32 is not precise enough for fractions among a million frames.
        steps = torch.arange(self.frames, dtype=torch.float64) * self.spacing
        if not warp or self.config.speed == 1:
            return start + steps
        speed = torch.rand(n, 1, generator=generator) * 2 - 1
        speed = torch.exp(speed * math.log(self.config.speed))
        plain = torch.rand(n, 1, generator=generator) < 0.3
        speed = torch.where(plain, torch.ones_like(speed), speed)
        middle = steps[self.frames // 2]
        time = start + middle + (steps - middle) * speed
        low, high = self.motions.first[start], self.motions.last[start]
        return time.maximum(low).minimum(high)

    def exchange(
        self,
        q: Float[Tensor, "n t b 4"],
        bones: list[int],
        chance: float,
        generator: torch.Generator,
    ) -> None:
        """Replace these bones' rotations in some clips by those of another motion, in place."""
        clips = (torch.rand(len(q), generator=generator) < chance).nonzero()[:, 0]
        time = self.times(len(clips), generator, warp=False).long()
        other = F.normalize(self.motions.quaternions[time][:, :, bones].float(), dim=-1)
        q[clips[:, None, None], torch.arange(self.frames)[:, None], torch.tensor(bones)] = other


def flexed(
    q: Float[Tensor, "n t h 4"], flex: float, generator: torch.Generator
) -> Float[Tensor, "n t h 4"]:
    """Return hinges' quaternions [n, T, H, 4] with changed bending angles.

    The relative change is constant over a clip and has the standard deviation `flex`; a hinge never
    bends beyond straight.
    """
    q = torch.where(q[..., :1] < 0, -q, q)
    length = q[..., 1:].norm(dim=-1)
    angle = 2 * torch.atan2(length, q[..., 0])
    share = torch.randn(len(q), 1, q.shape[2], generator=generator) * flex
    more = (angle * share).clamp(-MOST_FLEX, MOST_FLEX)
    more = torch.minimum(more, (MOST_BENT - angle).clamp_min(0)).maximum(-angle)
    axis = q[..., 1:] / length.clamp_min(1e-6)[..., None]
    return multiply(q, quaternion_from_axis_angle(axis * more[..., None]))


def turns(n: int, degrees: float, generator: torch.Generator) -> Float[Tensor, "n joints 4"]:
    """Return constant rotations [n, joints, 4] of the TURNED joints.

    A clip's scale is half-normal, so many clips stay near their motion and a few go far from it.
    """
    reach = torch.randn(n, 1, 1, generator=generator).abs() * math.radians(degrees)
    share = torch.tensor(list(TURNED.values()))[:, None]
    vector = torch.randn(n, len(TURNED), 3, generator=generator)
    return quaternion_from_axis_angle(reach * share * vector)
