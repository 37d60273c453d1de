"""Keypoints as coordinates: rays of a window, centred on the person and scaled by their size.

The input should not depend on the camera's distance or on the person's position in the picture. So
each window is seen by a virtual camera that is rotated towards the person (an exact change of view,
as it only rotates the rays), and its coordinates are divided by the person's size there.
Letters: B windows, T frames, K keypoints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

ENOUGH = 6
"""Keypoints that a frame needs to give the person's size and position."""
USUAL_SIZE = 0.45
"""A person's usual size: the box diagonal of the rays (x/z, y/z) at about 3 m."""


LEAST_AHEAD = 0.05
"""Least depth of a ray of length 1 or more; keeps points beside or behind the camera finite."""
TURNS = 5
"""Iterations that move the axis to the person; each leaves about a fifth of the error."""


class WindowView(NamedTuple):
    """A window's keypoints as given to the network, and the transform back."""

    points: Tensor
    """[B, T, K, 2] rays relative to the person's position and size; 0 where missing."""
    seen: Tensor
    """[B, T, K] 1 or 0."""
    size: Tensor
    """[B] the person's box diagonal in rays, about height divided by distance."""
    turn: Tensor
    """[B, 3, 3] the camera's axes → the view's."""


def view(rays: Float[Tensor, "b t k 3"]) -> WindowView:
    """Return the view of rays [B, T, K, 3] (x/z, y/z, seen).

    Size and position are medians over the frames with enough keypoints; a window without such a
    frame is not rotated and has USUAL_SIZE. The position is measured in the view itself and lies on
    its axis, so a camera that is rotated towards the person has the same view, and a ray in it is a
    point divided by its depth. Never in half precision, where a coordinate is off by millimetres.
    """
    with torch.autocast(rays.device.type, enabled=False):
        return _view(rays)


def _view(rays: Tensor) -> WindowView:
    seen = rays[..., 2]
    ahead = torch.cat((rays[..., :2], torch.ones_like(rays[..., :1])), -1)
    points, turn = rays[..., :2], torch.eye(3, dtype=rays.dtype, device=rays.device)
    size, middle = boxes(points, seen)
    for _ in range(TURNS):
        axis = (F.pad(middle, (0, 1), value=1.0)[:, None] @ turn).squeeze(1)
        turn = turn_to(axis[:, :2] / axis[:, 2:].clamp_min(LEAST_AHEAD))
        turned = ahead @ turn[:, None].mT
        points = turned[..., :2] / turned[..., 2:].clamp_min(LEAST_AHEAD)
        size, middle = boxes(points, seen)
    return WindowView(points / size[:, None, None, None] * seen[..., None], seen, size, turn)


def boxes(
    points: Float[Tensor, "b t k 2"], seen: Float[Tensor, "b t k"]
) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 2"]]:
    """Return the median box diagonal [B] and box centre [B, 2] of points [B, T, K, 2]."""
    shown = seen[..., None] > 0
    low = torch.where(shown, points, torch.inf).amin(2)
    high = torch.where(shown, points, -torch.inf).amax(2)
    enough = (seen.sum(2) >= ENOUGH)[..., None]
    nothing = torch.full_like(low, torch.nan)
    diagonal = torch.where(enough, high - low, nothing).norm(dim=-1)
    middle = torch.where(enough, (low + high) / 2, nothing)
    size = diagonal.nanmedian(1).values.nan_to_num(USUAL_SIZE).clamp_min(1e-3)
    return size, middle.nanmedian(1).values.nan_to_num(0.0)


def turn_to(middle: Float[Tensor, "b 2"]) -> Float[Tensor, "b 3 3"]:
    """Return the smallest rotations [B, 3, 3] that bring rays [B, 2] onto the optical axis."""
    x, y, z = torch.cat((middle, torch.ones_like(middle[:, :1])), 1).div(
        (1 + (middle**2).sum(1, keepdim=True)).sqrt()
    ).unbind(1)  # fmt: skip
    share = 1 / (1 + z)
    return torch.stack(
        (1 - x * x * share, -x * y * share, -x, -x * y * share, 1 - y * y * share, -y, x, y, z), 1
    ).unflatten(1, (3, 3))


class CoordinateEncoder(nn.Module):
    """A window's view → features [B, T, width]."""

    def __init__(self, keypoints: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3 * keypoints + 1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )

    def forward(self, seen: WindowView) -> Float[Tensor, "b t width"]:
        size = torch.log(seen.size / USUAL_SIZE)[:, None, None]
        flat = torch.cat((seen.points, seen.seen[..., None]), -1).flatten(2)
        with torch.autocast(flat.device.type, enabled=False):  # keep the keypoints' precision
            return self.layers(torch.cat((flat, size.expand(*flat.shape[:2], 1)), -1))
