"""Recognises the layout of keypoints from their positions, by human body proportions.

For each layout with the right number of points, the skeleton's bones are compared with a person's:
relative lengths, left against right, and points that must lie close together (neck and shoulders,
eyes and nose). Only the correct order looks like a person. Means and spreads come from 6,800 poses
of CMU's motion capture (dance, martial arts, climbing, sport) viewed from random directions. On
these, 30 frames distinguish every layout from the others, and the correct layout has a median cost
of 0.6 and a maximum of 1.25.
"""

# N frames of people, K points of a layout

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from datagen.common.errors import BadInput
from datagen.footage.layouts import LAYOUTS, OPENPOSE, KeypointLayout, layout_of, swapped

_LIMBS = (
    ("knee", "ankle", 0.836, 0.165), ("hip", "knee", 0.835, 0.147),
    ("elbow", "wrist", 0.466, 0.148), ("shoulder", "elbow", 0.578, 0.137),
    ("shoulder", "hip", 1.135, 0.130),
)  # fmt: skip
BONES = (
    *(
        (f"{side}_{a}", f"{side}_{b}", *sizes)
        for a, b, *sizes in _LIMBS
        for side in ("left", "right")
    ),
    ("left_shoulder", "right_shoulder", 0.547, 0.229),
    ("left_hip", "right_hip", 0.331, 0.136),
)
"""Joints, mean and standard deviation of a bone's image length, relative to the RMS distance of the
limbs from their centre."""
UNEQUAL = 0.2
"""Spread of the difference between a bone and its counterpart on the other side."""
NEAR = (
    ("neck", ("left_shoulder", "right_shoulder"), 0.0, 0.2),
    ("pelvis", ("left_hip", "right_hip"), 0.0, 0.12),
    ("spine", ("left_shoulder", "right_shoulder", "left_hip", "right_hip"), 0.0, 0.25),
    ("nose", ("left_eye", "right_eye", "left_ear", "right_ear"), 0.0, 0.25),
    ("left_ear", ("left_eye", "nose"), 0.0, 0.3),
    ("right_ear", ("right_eye", "nose"), 0.0, 0.3),
    ("crown", ("neck",), 0.617, 0.15),
    ("nose", ("left_shoulder", "right_shoulder"), 0.45, 0.2),
)
"""A point, the points whose centre it is compared with, the mean distance and its spread."""
CLIP = 6.0
"""Standard deviations at which a bone's cost is clipped."""
LIMIT = 1.3
"""Cost above which points are not a person, for many frames; twice that for a single frame."""
MARGIN = 0.12
"""Difference of two layouts' costs below which either may be correct."""
CONTRARY = 0.5
"""Difference at which a given layout is rejected in favour of another."""
TILT = 0.577
"""Lowest rise over run of an upright trunk: 60° from the vertical."""
FEWEST_BONES = 6
"""Fewest visible bones for a frame to be used."""
MOST = 600
"""Most people (frames) that are used, evenly spread."""


def recognise(
    points: Float[np.ndarray, "*batch k 3"],
    asked: str | KeypointLayout | None,
    source: object,
    threshold: float | None = None,
) -> KeypointLayout:
    """Return the layout of points [...,K,3] (x, y, confidence); `asked` is a given layout or its
    name.

    threshold: confidence above which a point is used; default: OpenPose's.

    Raises:
        BadInput: the layout is unknown, ambiguous or clearly not the given one; or no layout is
            given and the people lie or stand on their heads in most frames. `source` begins the
            message.
    """
    people = sample(points, OPENPOSE if threshold is None else threshold)
    choices = [layout for layout in LAYOUTS.values() if layout.points == points.shape[-2]]
    if asked is not None:
        layout = layout_of(asked) if isinstance(asked, str) else asked
        name = getattr(asked, "name", asked)
        if layout is None or layout.points != points.shape[-2]:
            what = "is unknown" if layout is None else f"has {layout.points} points"
            raise BadInput(
                f"{source} has {points.shape[-2]} points per person; layout {name} {what}"
            )
        return _as_asked(people, layout, choices, source)
    if not choices:
        counts = sorted({known.points for known in LAYOUTS.values()})
        raise BadInput(
            f"{source} has {points.shape[-2]} points per person, which is no known layout; "
            f"the known ones have {', '.join(map(str, counts))} ({', '.join(LAYOUTS)})"
        )
    costs = {layout.name: cost(people, layout) for layout in choices}
    best, *others = sorted(choices, key=lambda layout: costs[layout.name])
    if not np.isfinite(costs[best.name]):
        return choices[0]  # too little is seen to doubt the most common layout of this length
    if costs[best.name] > LIMIT * (1 + 1 / len(people)):
        raise BadInput(
            f"{source} does not look like a person in any known layout of {points.shape[-2]} "
            f"points ({', '.join(costs)}); if it is one of these, name it with --layout"
        )
    if others and costs[others[0].name] - costs[best.name] < MARGIN:
        names = " or ".join(sorted((best.name, others[0].name)))
        raise BadInput(f"{source} may be {names}; name it with --layout")
    require_upright(people, best, source)
    if best is not choices[0]:
        print(f"note: {source} is read as {best.name}, recognised from its points")
    return best


def _as_asked(
    people: np.ndarray, asked: KeypointLayout, choices: Iterable[KeypointLayout], source: object
) -> KeypointLayout:
    """Return the given layout; raise BadInput if the points clearly have another."""
    mine = cost(people, asked)
    for other in choices if np.isfinite(mine) else ():
        if other.names != asked.names and cost(people, other) < min(mine - CONTRARY, LIMIT):
            raise BadInput(
                f"{source} does not look like {asked.name} but like {other.name}; "
                f"pass --layout {other.name}"
            )
    return asked


def sample(points: Float[np.ndarray, "*batch k 3"], threshold: float) -> Float[np.ndarray, "n k 3"]:
    """Return at most MOST people [N,K,3] from points [...,K,3], NaN where a point is not seen."""
    people = points.reshape(-1, *points.shape[-2:])
    seen = np.isfinite(people).all(-1) & (np.nan_to_num(people[..., 2]) > threshold)
    shown = np.flatnonzero(seen.any(1))
    shown = shown[np.linspace(0, len(shown) - 1, min(len(shown), MOST)).astype(int)]
    return np.where(seen[shown, :, None], people[shown], np.nan)


def cost(people: Float[np.ndarray, "n k 3"], layout: KeypointLayout) -> float:
    """Return how much the bones of people [N,K,3] in a layout differ from a person's; NaN is not
    seen.

    It is the median over frames of the mean deviation, in standard deviations; infinite if no frame
    shows FEWEST_BONES bones.
    """
    place = {name: index for index, name in enumerate(layout.names)}
    ends = np.array([(place[a], place[b]) for a, b, *_ in BONES])
    mean, spread = np.array([bone[2:] for bone in BONES]).T
    lengths = np.linalg.norm(people[:, ends[:, 0], :2] - people[:, ends[:, 1], :2], axis=-1)
    seen = np.isfinite(lengths)
    enough = seen.sum(1) >= FEWEST_BONES
    if not enough.any():
        return np.inf
    people, lengths, seen = people[enough], lengths[enough], seen[enough]
    unit = np.where(seen, lengths, 0).sum(1) / (seen * mean).sum(1)
    unit = np.maximum(unit, 1e-9)[:, None]
    lengths = lengths / unit
    paired = lengths[:, :10:2] - lengths[:, 1:10:2]
    parts = [(lengths - mean) / spread, paired / UNEQUAL]
    for name, around, distance, wide in NEAR:
        others = [place[other] for other in around if other in place]
        if name in place and others:
            middle = people[:, others, :2].mean(1)
            apart = np.linalg.norm(people[:, place[name], :2] - middle, axis=-1, keepdims=True)
            parts.append((apart / unit - distance) / wide)
    deviation = np.minimum(np.abs(np.concatenate(parts, 1)), CLIP)
    return float(np.median(np.nanmean(deviation, 1)))


def require_upright(
    people: Float[np.ndarray, "n k 3"], layout: KeypointLayout, source: object
) -> None:
    """Raise BadInput if the shoulders of people [N,K,3] are above the hips in few frames.

    Even during somersaults, people are upright in most frames. Frames without a visible trunk are
    ignored.
    """
    place = {name: index for index, name in enumerate(layout.names)}
    shoulders, hips = (
        people[:, [place[f"left_{part}"], place[f"right_{part}"]], :2].mean(1)
        for part in ("shoulder", "hip")
    )
    trunk = hips - shoulders
    trunk = trunk[np.isfinite(trunk).all(1)]
    if not len(trunk) or (trunk[:, 1] > TILT * np.abs(trunk[:, 0])).mean() > 0.5:
        return
    down, across = -np.median(trunk[:, 1]), np.abs(np.median(trunk[:, 0]))
    if across > down:
        other = swapped(layout).name
        raise BadInput(
            f"{source} has people who lie on their side in most frames: points (y, x) need "
            f"--layout {other}, and points of a rotated picture must be rotated with it; if people "
            f"do lie there, pass --layout {layout.name}"
        )
    raise BadInput(
        f"{source} has shoulders below the hips in most frames: y must count from the top of the "
        f"picture; if people do stand on their heads there, pass --layout {layout.name}"
    )
