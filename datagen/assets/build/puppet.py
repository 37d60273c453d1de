"""Animates a figure by controls for pelvis, spine, head, feet and hands; limbs follow.

`solve` converts controls over N frames to SMPL's local rotations on a reference body by closed-form
two-bone inverse kinematics, so planted feet stay in place for any pelvis motion. All controls are
arrays of N rows; `Track` makes them from key poses. Controls of a side are given in the body's own
directions, (out, up, forward), so they are the same for left and right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.retarget import RATE, SOLE, to_local

SIDES = ("left", "right")
_LEGS = {"left": (1, 4, 7, 10), "right": (2, 5, 8, 11)}
_ARMS = {"left": (13, 16, 18, 20), "right": (14, 17, 19, 21)}
_SIGN = {"left": 1.0, "right": -1.0}
_HEEL = -0.04  # metres behind the ankle: pivot of a foot with raised toes

NEUTRAL: dict[str, tuple[float, ...]] = {
    "pelvis": (0.0, 0.985, 0.0),  # x and z in metres, y as a share of the standing height
    "turn": (0.0, 0.0, 0.0),  # yaw, pitch (forward lean), roll, degrees
    "spine": (2.0, 0.0, 0.0),  # pitch, roll, yaw of the chest relative to the pelvis, degrees
    "head": (0.0, 0.0, 0.0),  # pitch, roll, yaw relative to the chest, degrees
}
for _side in SIDES:
    NEUTRAL |= {
        # out and forward in metres, lift in metres, yaw out and pitch (heel up) in degrees
        f"{_side}_foot": (0.12, 0.0, 0.0, 8.0, 0.0),
        f"{_side}_knee": (8.0,),  # degrees by which the knee points outward
        # position of the wrist relative to the shoulder, in arm lengths, in the chest's frame
        f"{_side}_hand": (0.16, -0.95, 0.1),
        f"{_side}_elbow": (0.45, -0.5, -0.75),  # direction of the elbow
        f"{_side}_palm": (10.0,),  # degrees of pronation
        # a world position for the wrist, metres, and its weight relative to `hand`
        f"{_side}_reach": (0.0, 0.0, 0.0, 0.0),
    }


@dataclass
class Track:
    """Key poses in time: `track(1.5, pelvis=(0, 0.9, 0))` sets controls at 1.5 s.

    A control keeps its last value until its next key; `hold` seconds before a key fix it there.
    """

    start: dict[str, tuple[float, ...]] = field(default_factory=dict)
    keys: dict[str, list[tuple[float, tuple[float, ...]]]] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (NEUTRAL | self.start).items():
            self.keys[name] = [(0.0, tuple(value))]

    def move(self, seconds: float, **controls: tuple[float, ...] | float) -> Track:
        """Reach the given controls after `seconds`; `hand`, `foot`, ... set both sides."""
        begin, self.now = self.now, self.now + seconds
        named: dict[str, tuple[float, ...]] = {}
        for name, value in controls.items():
            wanted = tuple(value) if isinstance(value, tuple) else (float(value),)
            for full in [name] if name in NEUTRAL else [f"{side}_{name}" for side in SIDES]:
                named.setdefault(full, wanted)
        for name, value in named.items():
            rows = self.keys[name]
            if rows[-1][0] < begin:
                rows.append((begin, rows[-1][1]))
            rows.append((self.now, value))
        return self

    def rest(self, seconds: float) -> Track:
        """Keep the current pose."""
        self.now += seconds
        return self

    def controls(self) -> dict[str, np.ndarray]:
        """Return every control as an array [N, columns] at 30 frames per second."""
        times = np.arange(round(self.now * RATE) + 1) / RATE
        return {
            name: _ease(_round_shoulder(rows) if name.endswith("_hand") else rows, times)
            for name, rows in self.keys.items()
        }


def _round_shoulder(
    rows: list[tuple[float, tuple[float, ...]]],
) -> list[tuple[float, tuple[float, ...]]]:
    """Move a hand around the front of the shoulder if the straight path would pass through it."""
    led = rows[:1]
    for (start, a), (end, b) in pairwise(rows):
        first, way = np.array(a), np.array(b) - np.array(a)
        share = np.clip(-first @ way / max(way @ way, 1e-9), 0.0, 1.0)
        if np.linalg.norm(first + share * way) < 0.42 and 0 < share < 1:
            around = first + share * way + [0.35, 0.0, 0.75]
            around = 0.72 * around / np.linalg.norm(around)
            led.append((start + float(share) * (end - start), tuple(around)))
        led.append((end, b))
    return led


def _ease(rows: list[tuple[float, tuple[float, ...]]], times: np.ndarray) -> np.ndarray:
    at = np.array([time for time, _ in rows])
    values = np.array([value for _, value in rows], dtype=np.float64)
    if len(rows) == 1:
        return np.repeat(values, len(times), axis=0)
    eased = PchipInterpolator(at, values, axis=0)(np.clip(times, at[0], at[-1]))
    return gaussian_filter1d(eased, 1.5, axis=0, mode="nearest")


def sway(count: int, columns: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """Return slow, smooth noise [count, columns] with standard deviation `size` for idle motion."""
    times = np.arange(count)[:, None, None] / RATE
    frequency = rng.uniform(0.15, 0.9, (1, columns, 5))
    waves = np.sin(2 * np.pi * (frequency * times + rng.uniform(0, 1, (1, columns, 5))))
    return size * np.sqrt(2 / 5) * waves.sum(axis=2)


def enliven(controls: dict[str, np.ndarray], rng: np.random.Generator, size: float = 1.0) -> None:
    """Add a personal stance, breathing and sway, in place."""
    count = len(controls["pelvis"])
    for side in SIDES:  # individual stance
        stance = rng.normal(0, size, 5) * [0.012, 0.025, 0.0, 3.0, 0.0]
        controls[f"{side}_foot"] = controls[f"{side}_foot"] + stance
    controls["spine"] = controls["spine"] + rng.normal(0, size, 3) * [2.0, 0.8, 1.5]
    amounts = {"pelvis": 0.006, "turn": 0.8, "spine": 1.2, "head": 2.0}
    amounts |= {f"{side}_hand": 0.012 for side in SIDES} | {f"{side}_palm": 4.0 for side in SIDES}
    for name, amount in amounts.items():
        noise = sway(count, controls[name].shape[1], size * amount, rng)
        if name == "pelvis":
            noise[:, 1] *= 0.2
        controls[name] = controls[name] + noise


def hop(controls: dict[str, np.ndarray], start: float, seconds: float, height: float) -> None:
    """Add a jump from `start` for `seconds`, in place: a ballistic arc with pointed toes."""
    times = np.arange(len(controls["pelvis"])) / RATE
    share = np.clip((times - start) / seconds, 0.0, 1.0)
    arc = 4.0 * share * (1.0 - share)
    controls["pelvis"][:, 1] += height * arc
    for side in SIDES:
        controls[f"{side}_foot"][:, 2] += height * arc
        controls[f"{side}_foot"][:, 4] += 35.0 * np.sin(np.pi * share)


def standing_height(rest: np.ndarray) -> float:
    """Return the height of the pelvis above the floor in the rest pose, metres."""
    return float(rest[0, 1] - rest[10, 1] + SOLE)


def solve(controls: dict[str, np.ndarray], rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return SMPL's local rotations [N, 24, 4] and the pelvis [N, 3] in metres, floor at y = 0."""
    count = len(controls["pelvis"])
    world = np.empty((count, 24, 4))
    pelvis = controls["pelvis"] * [1.0, standing_height(rest), 1.0]
    yaw, pitch, roll = np.radians(controls["turn"]).T
    world[:, 0] = quat.multiply(
        quat.about(1, yaw), quat.multiply(quat.about(0, pitch), quat.about(2, roll))
    )
    ankles = {}
    for side in SIDES:
        foot, toe, ankle = _place_foot(controls[f"{side}_foot"], side, rest)
        world[:, _LEGS[side][2]], world[:, _LEGS[side][3]], ankles[side] = foot, toe, ankle
    pelvis = _within_reach(pelvis, world[:, 0], ankles, rest)
    for side in SIDES:
        _bend_leg(world, pelvis, ankles[side], controls[f"{side}_knee"][:, 0], side, rest)
    _bend_spine(world, controls["spine"], controls["head"])
    for side in SIDES:
        _bend_arm(world, pelvis, controls, side, rest)
    return to_local(world), pelvis


def _place_foot(
    foot: np.ndarray, side: str, rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the world rotations of foot and toes [N, 4] and the ankle's position [N, 3]."""
    sign = _SIGN[side]
    ankle_height = rest[7, 1] - rest[10, 1] + SOLE
    out, forward, lift, yaw, pitch = foot.T
    heading = quat.about(1, np.radians(sign * yaw))
    tilt = np.radians(pitch)
    turn = quat.multiply(heading, quat.about(0, tilt))
    # a raised heel rotates about the ball of the foot, raised toes about the heel
    ball = rest[10, 2] - rest[7, 2]
    pivot = np.stack([0 * tilt, 0 * tilt, np.where(tilt > 0, ball, _HEEL)], axis=1)
    to_ankle = np.array([0.0, ankle_height, 0.0]) - pivot
    ankle = np.stack([sign * out, lift, forward], axis=1)
    ankle = ankle + quat.rotate(heading, pivot) + quat.rotate(turn, to_ankle)
    # toes stay on the ground while the heel rises, within their range, and relax in the air
    bend = np.clip(tilt, 0.0, np.radians(55)) * np.exp(-((lift / 0.12) ** 2))
    return turn, quat.multiply(turn, quat.about(0, -bend)), ankle


def _within_reach(
    pelvis: np.ndarray, turn: np.ndarray, ankles: dict[str, np.ndarray], rest: np.ndarray
) -> np.ndarray:
    """Return the pelvis lowered smoothly where a leg would be too short to reach its foot."""
    limit = np.full(len(pelvis), np.inf)
    for side in SIDES:
        hip, knee, ankle, _ = _LEGS[side]
        reach = 0.995 * (
            np.linalg.norm(rest[knee] - rest[hip]) + np.linalg.norm(rest[ankle] - rest[knee])
        )
        offset = quat.rotate(turn, rest[hip] - rest[0])
        gap = ankles[side] - pelvis - offset
        flat = np.minimum(gap[:, 0] ** 2 + gap[:, 2] ** 2, (0.97 * reach) ** 2)
        limit = np.minimum(limit, ankles[side][:, 1] - offset[:, 1] + np.sqrt(reach**2 - flat))
    excess = np.maximum(pelvis[:, 1] - limit, 0.0)
    lowered = gaussian_filter1d(-minimum_filter1d(-excess, 5), 1.5)
    return pelvis - np.stack([0 * lowered, lowered, 0 * lowered], axis=1)


def _bend_leg(
    world: np.ndarray,
    pelvis: np.ndarray,
    ankle: np.ndarray,
    splay: np.ndarray,
    side: str,
    rest: np.ndarray,
) -> None:
    hip, knee, foot, _ = _LEGS[side]
    start = pelvis + quat.rotate(world[:, 0], rest[hip] - rest[0])
    # the knee points between pelvis and toes, and a little outward
    forward = np.array([0.0, 0.0, 1.0])
    splayed = quat.about(1, np.radians(_SIGN[side] * splay))
    pole = quat.rotate(quat.multiply(world[:, 0], splayed), forward)
    toes = quat.rotate(world[:, foot], forward)
    # with the feet ahead of a low seat, knees point up rather than forward
    ahead = np.sum((ankle - start) * quat.rotate(world[:, 0], forward), axis=1, keepdims=True)
    seated = np.clip(ahead / 0.3, 0.0, 1.5)
    pole = pole + 0.6 * toes * [1.0, 0.0, 1.0] + seated * [0.0, 1.0, 0.0]
    upper, lower = rest[knee] - rest[hip], rest[foot] - rest[knee]
    along, shin, hinge = _two_bones(start, ankle, upper, lower, pole)
    world[:, hip] = _orient(upper, forward, along, hinge)
    world[:, knee] = _orient(lower, forward, shin, hinge)


def _bend_spine(world: np.ndarray, spine: np.ndarray, head: np.ndarray) -> None:
    pitch, roll, yaw = np.radians(spine).T / 3
    third = quat.multiply(
        quat.about(1, yaw), quat.multiply(quat.about(0, pitch), quat.about(2, roll))
    )
    for below, joint in ((0, 3), (3, 6), (6, 9)):
        world[:, joint] = quat.multiply(world[:, below], third)
    pitch, roll, yaw = np.radians(head).T / 2
    half = quat.multiply(
        quat.about(1, yaw), quat.multiply(quat.about(0, pitch), quat.about(2, roll))
    )
    world[:, 12] = quat.multiply(world[:, 9], half)
    world[:, 15] = quat.multiply(world[:, 12], half)


def _bend_arm(
    world: np.ndarray,
    pelvis: np.ndarray,
    controls: dict[str, np.ndarray],
    side: str,
    rest: np.ndarray,
) -> None:
    collar, shoulder, elbow, wrist = _ARMS[side]
    sign = np.array([_SIGN[side], 1.0, 1.0])
    upper, lower = rest[elbow] - rest[shoulder], rest[wrist] - rest[elbow]
    length = float(np.linalg.norm(upper) + np.linalg.norm(lower))
    chest = world[:, 9]
    place = pelvis
    for below, joint in ((0, 3), (3, 6), (6, 9), (9, collar)):
        place = place + quat.rotate(world[:, below], rest[joint] - rest[below])

    # the shoulder blade follows a raised arm
    hand = controls[f"{side}_hand"] * sign
    reach = controls[f"{side}_reach"]
    unturned = place + quat.rotate(chest, rest[shoulder] - rest[collar])
    asked = unturned + quat.rotate(chest, hand * length)
    asked = asked + reach[:, 3:] * (reach[:, :3] - asked)
    aim = quat.rotate(quat.inverse(chest), asked - unturned) / length
    shrug = np.radians(28.0) * np.clip(0.6 * aim[:, 1] + 0.15, 0.0, 1.0)
    swing = np.radians(14.0) * np.clip(aim[:, 2] - 0.3, 0.0, 1.0)
    lift = quat.multiply(quat.about(1, -sign[0] * swing), quat.about(2, sign[0] * shrug))
    world[:, collar] = quat.multiply(chest, lift)

    start = place + quat.rotate(world[:, collar], rest[shoulder] - rest[collar])
    pole = quat.rotate(chest, controls[f"{side}_elbow"] * sign)
    along, forearm, hinge = _two_bones(start, asked, upper, lower, pole)
    backward = np.array([0.0, 0.0, -1.0])  # direction of a spread arm's elbow
    world[:, shoulder] = _orient(upper, backward, along, hinge)
    lower_turn = _orient(lower, backward, forearm, hinge)
    # positive palm turns it down when the forearm points forward; shared by forearm and wrist
    angle = np.radians(controls[f"{side}_palm"][:, 0]) * sign[0]
    axis = forearm / np.linalg.norm(forearm, axis=1, keepdims=True)
    half = quat.from_axis_angle(axis * (0.5 * angle)[:, None])
    world[:, elbow] = quat.multiply(half, lower_turn)
    world[:, wrist] = quat.multiply(half, world[:, elbow])
    world[:, wrist + 2] = world[:, wrist]


def _two_bones(
    start: np.ndarray, end: np.ndarray, upper: np.ndarray, lower: np.ndarray, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both bones' vectors [N, 3] for a joint that bends towards `pole`, and its axis."""
    a, b = float(np.linalg.norm(upper)), float(np.linalg.norm(lower))
    line = end - start
    distance = np.linalg.norm(line, axis=1, keepdims=True)
    line = line / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(a - b) + 0.05, 0.998 * (a + b))
    cosine = (a**2 + distance**2 - b**2) / (2 * a * distance)
    sideways = pole - np.sum(pole * line, axis=1, keepdims=True) * line
    sideways = sideways / np.maximum(np.linalg.norm(sideways, axis=1, keepdims=True), 1e-9)
    along = a * (cosine * line + np.sqrt(np.maximum(1 - cosine**2, 0.0)) * sideways)
    return along, line * distance - along, np.cross(line, sideways)


def _orient(
    rest_bone: np.ndarray, rest_pole: np.ndarray, bone: np.ndarray, hinge: np.ndarray
) -> np.ndarray:
    """Return rotations [N, 4] that map the rest bone to `bone` and its rest pole to the outside.

    The outside of a limb is a quarter turn about its `hinge` [N, 3] from the bone. The joint's pole
    cannot be used: for a strongly bent limb it may be on the other side of the bone.
    """
    pole = np.cross(hinge, bone)
    aligned = quat.between(np.broadcast_to(rest_bone, bone.shape), bone)
    axis = bone / np.linalg.norm(bone, axis=1, keepdims=True)

    def across(vector: np.ndarray) -> np.ndarray:
        return vector - np.sum(vector * axis, axis=1, keepdims=True) * axis

    now, wanted = across(quat.rotate(aligned, rest_pole)), across(pole)
    sine = np.sum(np.cross(now, wanted) * axis, axis=1)
    angle = np.arctan2(sine, np.sum(now * wanted, axis=1))
    return quat.multiply(quat.from_axis_angle(axis * angle[:, None]), aligned)
