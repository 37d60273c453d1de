"""Anatomical facts that hold for any skeleton's local frames: sides, hinges, posture.

Points are the joints [N, K, 3] of a take; roles map SMPL joints to them. A body's sides follow from
the joints' names (the left hip is left of the right one), its front from joints that bend only one
way: toes are in front of ankles, knees point forwards when bent, elbows backwards.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer, Num

_SAMPLES = 300
"""Most frames of a take that are used, evenly spaced."""

_ALONG = 0.7  # mean cosine of the line between the hips to an axis that is not up
_UPRIGHT = 0.6  # least mean cosine of trunk and shins in an upright person; 0.62 in a spinning kick
_GOES = 0.3  # relative to the body's extent: nobody moves this far along straight legs
_SWAY = 0.01  # relative to the body's extent: motion of the lowest point when standing still

LIMBS = ((1, 4, 7), (2, 5, 8), (16, 18, 20), (17, 19, 21))


def sampled(count: int) -> Integer[np.ndarray, " m"]:
    """Return indices of at most `_SAMPLES` of `count` frames, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, _SAMPLES)).round().astype(int))


def unit(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Return vectors [..., 3] scaled to length 1; zero vectors are unchanged."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def trunk_axes(
    points: Float[np.ndarray, "n k 3"], roles: dict[int, int]
) -> tuple[Float[np.ndarray, "n 3"], ...]:
    """Return the pelvis's unit vectors left, up and forward [N, 3], from names, right-handed."""
    hips = points[:, roles[1]] - points[:, roles[2]]
    spine = next(joint for joint in (3, 6, 9, 12, 15) if joint in roles)
    base = 0.5 * (points[:, roles[1]] + points[:, roles[2]])
    left = unit(hips)
    up = unit(points[:, roles[spine]] - base) + unit(points[:, roles[9]] - base)
    up = unit(up - np.sum(up * left, axis=-1, keepdims=True) * left)
    return left, up, np.cross(left, up)


def frontness(points: Float[np.ndarray, "n k 3"], roles: dict[int, int]) -> float:
    """Return how well toes, knees and elbows agree with the front implied by the sides' names.

    About 1 for a normal body, about -1 for a mirrored body with unchanged names, near 0 without
    evidence (a stiff figure without toes).
    """
    _, up, forward = trunk_axes(points, roles)
    evidence = 0.0
    for ankle, toe in ((7, 10), (8, 11)):
        if toe in roles:
            foot = unit(points[:, roles[toe]] - points[:, roles[ankle]])
            evidence += float(np.mean(np.sum(foot * forward, axis=-1)))
    chest = unit(points[:, roles[16]] - points[:, roles[17]])
    chest_front = unit(np.cross(chest, up))
    for first, middle, last in LIMBS:
        top, hinge, end = (points[:, roles[joint]] for joint in (first, middle, last))
        length = np.linalg.norm(hinge - top, axis=-1) + np.linalg.norm(end - hinge, axis=-1)
        bend = 4.0 * (hinge - 0.5 * (top + end)) / np.maximum(length, 1e-12)[:, None]
        side, weight = (forward, 2.0) if first < 3 else (-chest_front, 0.5)
        evidence += weight * float(np.mean(np.sum(bend * side, axis=-1)))
    return float(np.clip(evidence, -1.0, 1.0))


def is_mirrored(points: Float[np.ndarray, "n k 3"], roles: dict[int, int]) -> bool:
    """Return whether the take is in left-handed coordinates, so that toes and knees point back."""
    return frontness(points[sampled(len(points))], roles) < -0.25


def up_axis(points: Float[np.ndarray, "n k 3"], roles: dict[int, int]) -> Num[np.ndarray, " 3"]:
    """Return the coordinate axis [3] that is up; y unless there is evidence against it.

    When a person stands, walks or sits, trunk and shins point along this axis on average. When a
    person crawls, rolls, lies or gets up they do not, but only along this axis does the body's
    lowest point keep a constant height.
    """
    points = points[sampled(len(points))]
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    hips = points[:, roles[1]] - points[:, roles[2]]
    trunk = points[:, roles[9]] - 0.5 * (points[:, roles[1]] + points[:, roles[2]])
    shins = [points[:, roles[knee]] - points[:, roles[ankle]] for _, knee, ankle in LIMBS[:2]]
    upright = unit(np.stack([trunk, trunk, *shins])).mean(axis=(0, 1)) @ axes.T
    joints = points[:, list(roles.values())]
    size = np.median(np.ptp(joints, axis=1).max(axis=1))
    floors = np.std((joints @ axes.T).min(axis=1), axis=0) + _SWAY * size
    on_a_side = np.abs(unit(hips) @ axes.T).mean(axis=0) > _ALONG
    steady = int(np.where(on_a_side, np.inf, floors).argmin())
    best = int(upright.argmax())
    if upright[best] < _UPRIGHT:
        return axes[1 if not on_a_side[1] and floors[1] < 1.5 * floors[steady] else steady]
    thighs = [points[:, roles[hip]] - points[:, roles[knee]] for hip, knee, _ in LIMBS[:2]]
    straight = unit(np.stack(thighs)).mean(axis=(0, 1)) @ axes[best] > _ALONG
    stays = np.ptp(points[:, roles[0]], axis=0).max() < 1e-3 * size
    if stays or (straight and floors[best] > _GOES * size):
        return axes[
            best
        ]  # without a path, or with one in other axes than the body, there is no floor
    steadier = 6.0 if best == 1 else 4.0  # the person crawls along the axis, or lies along it
    return axes[steady if steadier * floors[steady] < floors[best] else best]


def fault(points: Float[np.ndarray, "n k 3"], roles: dict[int, int]) -> str | None:
    """Return why the take's joints are not a human body in most frames, None if they are."""
    points = points[sampled(len(points))]
    left, up, _ = trunk_axes(points, roles)
    shoulders = unit(points[:, roles[16]] - points[:, roles[17]])
    if np.median(np.sum(shoulders * left, axis=-1)) < 0.0:
        return "its shoulders face against its hips"
    top = roles.get(12, roles.get(15, roles[9]))
    neck = unit(0.5 * (points[:, roles[16]] + points[:, roles[17]]) - points[:, roles[0]])
    if top != roles[9]:
        neck = unit(points[:, top] - points[:, roles[0]])
    if np.median(np.sum(neck * up, axis=-1)) < -0.2:
        return "its neck lies below its hips' side of the spine"
    thighs = np.stack(
        [unit(points[:, roles[b]] - points[:, roles[a]]) for a, b in ((1, 4), (2, 5))]
    )
    if np.median(np.sum(thighs * up, axis=-1).mean(axis=0)) > 0.7:
        return "its legs lie along its trunk"
    return _length_fault(points, roles)


def _length_fault(points: np.ndarray, roles: dict[int, int]) -> str | None:
    lengths = []
    for first, middle, last in LIMBS:
        a, b, c = (points[:, roles[joint]] for joint in (first, middle, last))
        lengths.append(np.median(np.linalg.norm(b - a, axis=-1) + np.linalg.norm(c - b, axis=-1)))
    leg, arm = min(lengths[:2]), min(lengths[2:])
    if max(lengths[:2]) > 1.6 * leg or max(lengths[2:]) > 1.6 * arm:
        return "its left and right limbs differ in length by more than half"
    if not 0.25 < arm / max(leg, 1e-12) < 2.0:
        return f"its arms are {arm / max(leg, 1e-12):.2g} times as long as its legs"
    return None


def is_rest(rest: Float[np.ndarray, "k 3"], roles: dict[int, int]) -> bool:
    """Return whether one figure [K, 3] is a posture that can serve as a rest pose.

    Valid are T pose, A pose and hanging arms, also rotated, leaning or stooping. Invalid are bones
    that are all in one line because each lies along its own axis.
    """
    points = rest[None]
    _, up, forward = (axis[0] for axis in trunk_axes(points, roles))

    def along(first: int, last: int) -> np.ndarray:
        return unit(rest[roles[last]] - rest[roles[first]])

    if fault(points, roles) or frontness(points, roles) < 0.0:
        return False
    chest_left = unit(rest[roles[16]] - rest[roles[17]])
    trunk = unit(0.5 * (rest[roles[16]] + rest[roles[17]]) - rest[roles[0]])
    for hip, knee, ankle, toe, side, arm, wrist in (
        (1, 4, 7, 10, 16, 18, 20),
        (2, 5, 8, 11, 17, 19, 21),
    ):
        outward = chest_left if hip == 1 else -chest_left
        if along(hip, knee) @ up > -0.2 or along(hip, knee) @ along(knee, ankle) < 0.5:
            return False
        if toe in roles and along(ankle, toe) @ forward < 0.3:
            return False
        if along(side, arm) @ trunk > 0.75 or along(side, arm) @ outward < -0.3:
            return False
        if along(side, arm) @ along(arm, wrist) < -0.2:
            return False
    return True


def is_spread(rest: Float[np.ndarray, "k 3"], roles: dict[int, int]) -> bool:
    """Return whether one figure [K, 3] is a T or A pose, which no frame of a performance has."""
    if not is_rest(rest, roles):
        return False
    left, up, _ = (axis[0] for axis in trunk_axes(rest[None], roles))
    for first, middle, last in LIMBS:
        upper = unit(rest[roles[middle]] - rest[roles[first]])
        lower = unit(rest[roles[last]] - rest[roles[middle]])
        side = left if first in (1, 16) else -left
        if upper @ lower < 0.94 or (upper @ side < 0.6 if first > 2 else upper @ up > -0.94):
            return False
    return True
