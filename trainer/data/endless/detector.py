"""A simulated detector's errors on keypoints.

Letters: n clips, T frames, K = 12 keypoints in the record's order (`ORDER`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainer.data.endless.options import EndlessConfig

ORDER = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
"""Names of the keypoints, by which the tables below are indexed."""
HELD = {"hip": 1.3}
"""Factors of the constant error: larger for hips, which no visible feature marks."""
OFTEN = {"ankle": 1.5, "knee": 1.0, "hip": 0.3, "wrist": 2.0, "elbow": 1.5, "shoulder": 0.3}
"""Relative frequency of long detections in a wrong place."""


def shares(table: dict[str, float]) -> Tensor:
    """Return each keypoint's factor [K] from a table, 1 by default."""
    return torch.tensor([table.get(name.partition("_")[2], 1.0) for name in ORDER])


class Detector:
    """Draws detections of true keypoints."""

    def __init__(self, cfg: EndlessConfig, generator: torch.Generator) -> None:
        self.cfg, self.generator = cfg, generator

    def uniform(self, *size: int) -> Float[Tensor, "*size"]:
        """Return numbers in [0, 1)."""
        return torch.rand(size, generator=self.generator)

    def normal(self, *size: int) -> Float[Tensor, "*size"]:
        """Return standard normal numbers."""
        return torch.randn(size, generator=self.generator)

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return keypoints [n, T, K, 2] with errors, and which are detected (bool [n, T, K]).

        points [n, T, K, 2] in any unit of the image plane; errors scale with the person's size.
        """
        size = diagonal(points)[:, None, None, None]
        return self.moved(points, size), self.found(points)

    def moved(self, points: Float[Tensor, "n t k 2"], size: Tensor) -> Float[Tensor, "n t k 2"]:
        """Return the points with jitter, bias, drift, outliers and bursts."""
        cfg = self.cfg
        n, frames, count, _ = points.shape
        jitter, bias = self.normal(n, frames, count, 2), self.normal(n, 1, count, 2)
        knots = self.normal(n, 2 * count, 5)
        drift = F.interpolate(knots, size=frames, mode="linear", align_corners=True)
        drift = drift.reshape(n, count, 2, frames).permute(0, 3, 1, 2)
        error = jitter * self.level(n, cfg.noise) + drift * self.level(n, cfg.drift)
        error = error + bias * shares(HELD)[:, None] * self.level(n, cfg.bias)
        wrong = self.uniform(n, frames, count, 1) < cfg.outlier
        error = error + wrong * self.normal(n, frames, count, 2) * 0.15
        if cfg.burst:
            often = self.uniform(n, 1, count) < cfg.burst * shares(OFTEN)
            lost = (often & self.stretches(n, frames, count, 0.5))[..., None]
            place = self.normal(n, 1, count, 2) * 0.08 + self.normal(n, frames, count, 2) * 0.02
            error = error + lost * place
        return points + error * size

    def level(self, n: int, most: float) -> Tensor:
        """Return each clip's level [n, 1, 1, 1] of one kind of error."""
        drawn = self.uniform(n, 1, 1, 1)
        return torch.full_like(drawn, most) if self.cfg.fixed_levels else drawn * most

    def found(self, points: Tensor) -> Tensor:
        """Return which keypoints are detected (bool [n, T, K])."""
        cfg = self.cfg
        n, frames, count, _ = points.shape
        found = self.uniform(n, frames, count) >= self.uniform(n, 1, 1) * cfg.drop
        often = self.uniform(n, 1, count) < self.uniform(n, 1, 1) * cfg.gap / 2
        found &= ~(often & self.stretches(n, frames, count, 0.6))
        if cfg.occluder:
            hidden = self.uniform(n, 1, 1) < cfg.occluder
            found &= ~(hidden & self.stretches(n, frames, 1, 0.8) & self.behind_bar(points))
        if cfg.blackout:
            hidden = self.uniform(n, 1, 1) < cfg.blackout
            found &= ~(hidden & self.stretches(n, frames, 1, 0.4))
        return found

    def stretches(self, n: int, frames: int, count: int, longest: float) -> Tensor:
        """Return one stretch of frames per clip and keypoint (bool [n, T, count]).

        A stretch lasts at most the share `longest` of the clip and may begin before it or end after
        it.
        """
        time = torch.linspace(0, 1, frames)[None, :, None]
        begin = self.uniform(n, 1, count) * 1.2 - 0.2
        return (begin < time) & (time < begin + self.uniform(n, 1, count) * longest)

    def behind_bar(self, points: Tensor) -> Tensor:
        """Return which points (bool [n, T, K]) lie behind an infinite bar at a random angle.

        The bar is fixed in the picture, crosses the person, and is 0.2 to 0.7 of the person's
        diagonal wide.
        """
        n, size = len(points), diagonal(points)[:, None, None]
        angle = self.uniform(n, 1, 1) * torch.pi
        along = points[..., 0] * angle.cos() + points[..., 1] * angle.sin()
        low, high = along.amin((1, 2), keepdim=True), along.amax((1, 2), keepdim=True)
        middle = low + self.uniform(n, 1, 1) * (high - low)
        width = (0.2 + 0.5 * self.uniform(n, 1, 1)) * size
        return (along - middle).abs() < width / 2


def diagonal(points: Float[Tensor, "n t k 2"]) -> Float[Tensor, " n"]:
    """Return the median diagonal [n] of the boxes of points [n, T, K, 2]."""
    return (points.amax(2) - points.amin(2)).norm(dim=-1).median(1).values
