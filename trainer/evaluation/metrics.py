"""PA-MPJPE, MPJPE and acceleration error in millimetres, averaged as in the paper.

Letters: T frames, J evaluation joints (LSP's 14 in HMR's order).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from trainer.geometry import similarity

MIN_VISIBLE = 7
"""Least number of visible keypoints in a frame that counts (paper, section 4)."""


def aligned(
    predicted: Float[Tensor, "*batch j 3"], target: Float[Tensor, "*batch j 3"]
) -> Float[Tensor, "*batch j 3"]:
    """Return predicted joints [..., J, 3] aligned to the target by a similarity per frame."""
    predicted, target = predicted.double(), target.double()
    return similarity(predicted, target)(predicted)


def pa_mpjpe(
    predicted: Float[Tensor, "*batch j 3"], target: Float[Tensor, "*batch j 3"]
) -> Float[Tensor, "*batch"]:
    """Return each frame's mean joint distance after similarity alignment, mm [...]."""
    return 1000 * (aligned(predicted, target) - target.double()).norm(dim=-1).mean(-1)


def mpjpe(
    predicted: Float[Tensor, "*batch j 3"],
    target: Float[Tensor, "*batch j 3"],
    hips: tuple[int, int],
) -> Float[Tensor, "*batch"]:
    """Return each frame's mean joint distance relative to the hips' midpoint, mm."""
    difference = about_hips(predicted.double(), hips) - about_hips(target.double(), hips)
    return 1000 * difference.norm(dim=-1).mean(-1)


def acceleration_error(
    predicted: Float[Tensor, "t j 3"], target: Float[Tensor, "t j 3"], hips: tuple[int, int]
) -> Float[Tensor, " inner"]:
    """Return each inner frame's mean difference of joint accelerations, mm/frame² [T - 2].

    Of joints about the hips (a weak-perspective camera has no depth), by second differences as in
    HMMR.
    """
    difference = about_hips(predicted.double(), hips) - about_hips(target.double(), hips)
    acceleration = difference[2:] - 2 * difference[1:-1] + difference[:-2]
    return 1000 * acceleration.norm(dim=-1).mean(-1)


def about_hips(
    joints: Float[Tensor, "*batch j 3"], hips: tuple[int, int]
) -> Float[Tensor, "*batch j 3"]:
    """Return joints about the midpoint of the hips."""
    return joints - joints[..., list(hips), :].mean(-2, keepdim=True)


@dataclass
class Tally:
    """Errors of one person, summed over its clips."""

    pa_mpjpe: list[np.ndarray] = field(default_factory=list)
    mpjpe: list[np.ndarray] = field(default_factory=list)
    acceleration: list[np.ndarray] = field(default_factory=list)
    counted: list[np.ndarray] = field(default_factory=list)
    missing: list[np.ndarray] = field(default_factory=list)

    def add(
        self,
        predicted: Tensor,
        target: Tensor,
        counted: Tensor,
        hips: tuple[int, int],
        known: Tensor | None = None,
        missing: Tensor | None = None,
    ) -> None:
        """Add a clip: predicted and true joints [T, J, 3], and which frames count (bool [T]).

        known: frames whose target is known (bool [T]; default: all); others enter no mean. missing
        [T]: each frame's number of missing input keypoints, OCCLUDED if totally occluded; default:
        0.
        """
        keep = torch.ones_like(counted) if known is None else known
        self.pa_mpjpe.append(pa_mpjpe(predicted, target)[keep].numpy())
        self.mpjpe.append(mpjpe(predicted, target, hips)[keep].numpy())
        self.counted.append(counted[keep].numpy())
        lacking = torch.zeros(len(target)) if missing is None else missing
        self.missing.append(lacking[keep].numpy())
        three = counted[2:] & counted[1:-1] & counted[:-2]
        if len(target) > 2:
            self.acceleration.append(acceleration_error(predicted, target, hips)[three].numpy())

    def row(self, counted_only: bool = True) -> dict[str, float | None]:
        """Return the person's means over its frames; None where none counts."""
        keep = np.concatenate(self.counted)
        if not counted_only:
            keep = np.ones_like(keep)
        acceleration = np.concatenate(self.acceleration) if self.acceleration else np.empty(0)
        return {
            "pa_mpjpe": _mean(np.concatenate(self.pa_mpjpe)[keep]),
            "mpjpe": _mean(np.concatenate(self.mpjpe)[keep]),
            "acceleration": _mean(acceleration),
            "frames": int(keep.sum()),
        }


MISSING = {"0": (0, 0), "1-3": (1, 3), "4 and more": (4, 12)}
"""Groups of frames: least and most missing keypoints."""
FEW = 50
"""Frames below which a group's mean is marked: neighbouring frames are alike, so that fewer may be
a single movement."""
OCCLUDED = 99
"""The number of missing keypoints that marks a totally occluded frame."""


def by_missing(tally: Tally) -> dict[str, dict[str, float | int | None]]:
    """Return the mean PA-MPJPE of all frames by their number of missing input keypoints."""
    error, missing = np.concatenate(tally.pa_mpjpe), np.concatenate(tally.missing)
    groups = {name: (missing >= a) & (missing <= b) for name, (a, b) in MISSING.items()}
    groups["totally occluded"] = missing == OCCLUDED
    return {
        name: {"pa_mpjpe": _mean(error[chosen]), "frames": int(chosen.sum())}
        for name, chosen in groups.items()
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None  # JSON has no NaN


def summarize(tallies: dict[str, Tally]) -> dict[str, object]:
    """Return the results per person, averaged over people (the paper's figure) and over frames.

    `persons` takes frames with ≥ 7 visible keypoints and averages per person, then over people;
    `frames` averages those frames directly; `every_frame` averages all frames, except for
    acceleration, which always needs three counted frames in a row; `by_missing_keypoints` groups
    all frames by their number of missing input keypoints.
    """
    rows = {name: tally.row() for name, tally in sorted(tallies.items())}
    whole = Tally()
    for tally in tallies.values():
        whole.pa_mpjpe += tally.pa_mpjpe
        whole.mpjpe += tally.mpjpe
        whole.acceleration += tally.acceleration
        whole.counted += tally.counted
        whole.missing += tally.missing
    names = ("pa_mpjpe", "mpjpe", "acceleration")
    persons = {}
    for name in names:
        values = [row[name] for row in rows.values()]
        persons[name] = _mean(np.array([value for value in values if value is not None]))
    return {
        "persons": persons,
        "frames": whole.row(),
        "every_frame": whole.row(counted_only=False),
        "by_missing_keypoints": by_missing(whole),
        "per_person": rows,
    }


def visible_frames(
    seen: Num[Tensor, "t k"] | Bool[Tensor, "t k"], usable: Bool[Tensor, " t"]
) -> Bool[Tensor, " t"]:
    """Return which frames count: bool [T], usable and with at least 7 seen keypoints [T, K]."""
    return usable & ((seen == 1).sum(-1) >= MIN_VISIBLE)


def hips_of(names: tuple[str, ...]) -> tuple[int, int]:
    """Return the indices of the right and left hip among the evaluation joints' names."""
    right, left = (
        next(i for i, name in enumerate(names) if name.endswith(f"{side}_hip"))
        for side in ("right", "left")
    )
    return right, left


def mean_over(values: Float[Tensor, "*batch"], keep: Bool[Tensor, "*batch"]) -> float:
    """Return the mean of the kept values, NaN if there are none."""
    return float(values[keep].mean()) if bool(keep.any()) else float("nan")


def clip_pa_mpjpe(
    predicted: Float[Tensor, "b t j 3"], target: Float[Tensor, "b t j 3"], keep: Bool[Tensor, "b t"]
) -> float:
    """Return the mean PA-MPJPE of a batch [B, T, J, 3] over kept frames [B, T], mm."""
    with torch.no_grad():
        return mean_over(pa_mpjpe(predicted, target), keep)
