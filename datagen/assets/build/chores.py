"""Everyday acts: reaching, lifting, wiping, drinking, sitting, kneeling."""

from __future__ import annotations

import numpy as np

from datagen.assets.build.poses import BACK, CHEST, DOWN, HANG, OUT, Controls, vary
from datagen.assets.build.puppet import SIDES, Track


def reach_high(rng: np.random.Generator) -> Controls:
    """Take things from a high shelf and put them down at the side."""
    track = Track().rest(0.2)
    for number in range(4):
        side, sign = (("left", 1.0), ("right", -1.0))[number % 2]
        high = (float(rng.uniform(-0.1, 0.3)), 0.85, float(rng.uniform(0.2, 0.45)))
        track.move(
            0.8 * vary(rng),
            **{f"{side}_hand": high, f"{side}_elbow": OUT, f"{side}_palm": (40.0,)},
            spine=(-4.0, -7.0 * sign, 0.0),
            head=(-28.0, 0.0, 8.0 * sign),
            pelvis=(0.03 * sign, 1.03, 0.03),
            foot=(0.12, 0.0, 0.0, 8.0, 22.0),
        ).rest(0.3)
        track.move(
            0.8 * vary(rng),
            **{f"{side}_hand": (0.45, -0.5, 0.5), f"{side}_elbow": DOWN},
            spine=(8.0, 0.0, 18.0 * sign),
            head=(22.0, 0.0, 15.0 * sign),
            pelvis=(0.0, 0.975, 0.0),
            foot=(0.12, 0.0, 0.0, 8.0, 0.0),
        ).rest(0.25)
        track.move(0.5, hand=HANG, elbow=BACK, palm=10.0, spine=(2, 0, 0), head=(0, 0, 0))
    return track.controls()


def reach_around(rng: np.random.Generator) -> Controls:
    """Reach for things at table height, left, right and ahead."""
    track = Track()
    for number in range(6):
        side, sign = (("left", 1.0), ("right", -1.0))[int(rng.integers(2))]
        out, ahead = float(rng.uniform(-0.3, 0.8)), float(rng.uniform(0.25, 0.75))
        track.move(
            0.7 * vary(rng),
            **{f"{side}_hand": (out, -0.42, ahead), f"{side}_elbow": DOWN, f"{side}_palm": (70.0,)},
            turn=(sign * 14 * out, 10.0, 0.0),
            spine=(14.0, -sign * 8 * out, sign * 22 * out),
            head=(18.0, 0.0, sign * 20 * out),
            pelvis=(sign * 0.06 * out, 0.965, -0.03),
        ).rest(0.25)
        if number % 2:
            track.move(0.5, hand=CHEST, elbow=DOWN, palm=30.0, spine=(3, 0, 0), turn=(0, 1, 0))
    return track.move(0.8, hand=HANG, elbow=BACK, palm=10.0, spine=(2, 0, 0), turn=(0, 0, 0),
                      head=(0, 0, 0), pelvis=(0, 0.985, 0)).controls()  # fmt: skip


def pick_up(rng: np.random.Generator) -> Controls:
    """Crouch, pick a thing up from the ground, rise, put it down elsewhere."""
    track = Track().rest(0.2)
    for sign in (1.0, -1.0):
        side = "left" if sign > 0 else "right"
        x = sign * float(rng.uniform(0.15, 0.3))
        track.move(
            1.0 * vary(rng),
            pelvis=(0.3 * x, 0.5, -0.16),
            turn=(8.0 * sign, 38.0, 0.0),
            spine=(26.0, 0.0, 8.0 * sign),
            head=(5.0, 0.0, 0.0),
            foot=(0.15, 0.0, 0.0, 14.0, 18.0),
            knee=16.0,
            **{f"{side}_reach": (x, 0.12, 0.38, 1.0), f"{side}_palm": (50.0,)},
        ).rest(0.3)
        track.move(
            1.0 * vary(rng),
            pelvis=(0.0, 0.98, 0.0),
            turn=(0.0, 1.0, 0.0),
            spine=(2.0, 0.0, 0.0),
            head=(12.0, 0.0, 0.0),
            foot=(0.12, 0.0, 0.0, 8.0, 0.0),
            knee=8.0,
            **{
                f"{side}_reach": (0.5 * x, 1.15, 0.36, 0.0),
                f"{side}_hand": (-0.1, -0.4, 0.5),
                f"{side}_elbow": DOWN,
            },
        ).rest(0.4)
        track.move(0.7, hand=HANG, elbow=BACK, palm=10.0, head=(0, 0, 0))
    return track.controls()


def lift_box(rng: np.random.Generator) -> Controls:
    """Squat to a box, lift it with both hands, turn with it, set it on a shelf."""
    low = {"left_reach": (0.2, 0.25, 0.4, 1.0), "right_reach": (-0.2, 0.25, 0.4, 1.0)}
    mid = {"left_reach": (0.2, 0.95, 0.4, 1.0), "right_reach": (-0.2, 0.95, 0.4, 1.0)}
    high = {"left_reach": (0.2, 1.5, 0.5, 1.0), "right_reach": (-0.2, 1.5, 0.5, 1.0)}
    free = {"left_reach": (0.2, 0.95, 0.4, 0.0), "right_reach": (-0.2, 0.95, 0.4, 0.0)}
    squat = {"pelvis": (0.0, 0.48, -0.28), "turn": (0.0, 32.0, 0.0), "spine": (14.0, 0.0, 0.0)}
    stand = {"pelvis": (0.0, 0.98, 0.0), "turn": (0.0, 0.0, 0.0), "spine": (0.0, 0.0, 0.0)}
    pace = vary(rng)
    track = Track({f"{s}_foot": (0.19, 0.0, 0.0, 15.0, 0.0) for s in SIDES}).rest(0.3)
    track.move(1.1 * pace, **squat, **low, elbow=DOWN, knee=14.0, head=(0, 0, 0)).rest(0.3)
    track.move(1.1 * pace, **stand, **mid, knee=8.0).rest(0.5)
    track.move(0.9 * pace, **high, head=(-15, 0, 0), spine=(-5, 0, 0)).rest(0.4)
    track.move(0.9 * pace, **mid, head=(12, 0, 0), spine=(3, 0, 0)).rest(0.2)
    track.move(1.1 * pace, **squat, **low, knee=14.0).rest(0.3)
    return track.move(1.1, **stand, **free, hand=HANG, elbow=BACK, head=(0, 0, 0)).controls()


def wash_window(rng: np.random.Generator) -> Controls:
    """Wipe a pane in circles and lines."""
    track = Track().move(0.7, right_hand=(0.2, 0.3, 0.75), right_elbow=DOWN, right_palm=90.0)
    for _ in range(9):
        angle = rng.uniform(0, 2 * np.pi)
        for step in range(3):
            turn = angle + step * 2.1
            at = (0.15 + 0.38 * np.cos(turn), 0.2 + 0.42 * np.sin(turn), 0.66)
            track.move(
                0.26 * vary(rng),
                right_hand=tuple(map(float, at)),
                pelvis=(-0.05 * float(np.cos(turn)), 0.98 + 0.01 * float(np.sin(turn)), 0.02),
                spine=(4.0, 5.0 * float(np.cos(turn)), -8.0 * float(np.cos(turn))),
                head=(-12.0 * float(np.sin(turn)), 0.0, -8.0),
            )
    return track.move(0.8, right_hand=HANG, right_elbow=BACK, right_palm=10.0).controls()


def drink(rng: np.random.Generator) -> Controls:
    """Take a cup from a table, drink, put it back."""
    track = Track().rest(0.2)
    for _ in range(2):
        track.move(0.8 * vary(rng), right_hand=(0.1, -0.45, 0.62), right_elbow=DOWN,
                   head=(20, 0, -12), spine=(9, 0, -6)).rest(0.25)  # fmt: skip
        track.move(0.9, right_hand=(-0.22, 0.1, 0.32), head=(-4, 0, 0), spine=(1, 0, 0))
        track.move(0.4, right_hand=(-0.24, 0.17, 0.28), head=(-20, 0, 0)).rest(0.5 * vary(rng))
        track.move(0.9, right_hand=(0.1, -0.45, 0.62), head=(18, 0, -12), spine=(9, 0, -6))
        track.move(0.7, right_hand=HANG, right_elbow=BACK, head=(0, 0, 0), spine=(2, 0, 0))
    return track.controls()


def sit_stand(rng: np.random.Generator) -> Controls:
    """Sit down on a chair, look around, rise, sit again."""
    seat = {"pelvis": (0.0, 0.5, -0.44), "spine": (5.0, 0.0, 0.0)}
    lap = {"hand": (-0.02, -0.62, 0.42), "elbow": BACK, "palm": 60.0}
    track = Track({f"{s}_foot": (0.13, 0.0, 0.0, 8.0, 0.0) for s in SIDES}).rest(0.4)
    for number in range(2):
        track.move(0.7 * vary(rng), pelvis=(0, 0.8, -0.28), turn=(0, 38, 0), spine=(16, 0, 0),
                   hand=(0.05, -0.75, 0.5))  # fmt: skip
        track.move(0.6, **seat, turn=(0, 4, 0), **lap).rest(0.3)
        track.move(0.8, head=(0, 0, 35), spine=(5, 0, 14)).move(0.9, head=(8, 0, -30))
        track.move(0.7, head=(0, 0, 0), turn=(0, -6, 0), spine=(8, 0, 0)).rest(0.4)
        if number == 0:
            track.move(0.6, turn=(0, 42, 0), spine=(18, 0, 0), hand=(0.05, -0.7, 0.45))
            track.move(0.5, pelvis=(0, 0.8, -0.2), turn=(0, 30, 0))
            track.move(0.6, pelvis=(0, 0.985, 0), turn=(0, 0, 0), spine=(2, 0, 0), hand=HANG)
            track.rest(0.4)
    return track.controls()


def sit_talk(rng: np.random.Generator) -> Controls:
    """Sit and talk, lean in and back."""
    start: dict[str, tuple[float, ...]] = {"pelvis": (0.0, 0.5, -0.42), "turn": (0.0, -4.0, 0.0)}
    start |= {f"{s}_foot": (0.14, float(rng.uniform(-0.08, 0.12)), 0, 10, 0) for s in SIDES}
    start |= {f"{s}_hand": (-0.02, -0.62, 0.42) for s in SIDES}
    track = Track(start)
    for _ in range(10):
        placed: dict[str, tuple[float, ...]] = {}
        for side in SIDES:
            at = (rng.uniform(-0.2, 0.4), rng.uniform(-0.5, 0.0), rng.uniform(0.35, 0.65))
            lap = (-0.02, -0.62, 0.42)
            placed[f"{side}_hand"] = tuple(map(float, at)) if rng.uniform() < 0.6 else lap
            placed[f"{side}_palm"] = (float(rng.uniform(-40, 60)),)
        track.move(
            float(rng.uniform(0.45, 0.9)),
            **placed,
            elbow=DOWN,
            turn=(float(rng.uniform(-6, 6)), float(rng.uniform(-8, 14)), 0.0),
            spine=tuple(map(float, rng.normal((9, 0, 0), (5, 3, 7)))),
            head=tuple(map(float, rng.normal((0, 0, 0), (7, 4, 16)))),
        ).rest(float(rng.uniform(0, 0.4)))
    return track.controls()


def type_seated(rng: np.random.Generator) -> Controls:
    """Sit at a keyboard: type, move the mouse, lean back and stretch."""
    start: dict[str, tuple[float, ...]] = {"pelvis": (0.0, 0.5, -0.42), "turn": (0.0, 2.0, 0.0)}
    keys = (-0.12, -0.42, 0.58)
    start |= {f"{s}_hand": keys for s in SIDES} | {f"{s}_elbow": DOWN for s in SIDES}
    start |= {f"{s}_palm": (80.0,) for s in SIDES} | {"head": (12.0, 0.0, 0.0)}
    track = Track(start)
    for _ in range(8):
        for side in SIDES:
            shift = rng.normal(0, 0.025, 3)
            track.move(0.2, **{f"{side}_hand": tuple(map(float, np.array(keys) + shift))})
    track.move(0.5, right_hand=(0.3, -0.45, 0.55), head=(8, 0, -8)).rest(0.3)
    track.move(0.3, right_hand=(0.22, -0.45, 0.6)).move(0.3, right_hand=(0.34, -0.45, 0.52))
    track.move(1.0, hand=(0.3, 0.85, -0.1), elbow=OUT, turn=(0, -14, 0), spine=(-12, 0, 0),
               head=(-16, 0, 0)).rest(0.6)  # fmt: skip
    track.move(1.0, hand=keys, elbow=DOWN, turn=(0, 2, 0), spine=(5, 0, 0), head=(12, 0, 0))
    return track.rest(0.3).controls()


def sit_floor(rng: np.random.Generator) -> Controls:
    """Get from standing down to the floor, sit, lean back on the hands, get up again."""
    behind = {"left_reach": (0.28, 0.1, -0.72, 1.0), "right_reach": (-0.28, 0.1, -0.72, 1.0)}
    free = {"left_reach": (0.28, 0.1, -0.72, 0.0), "right_reach": (-0.28, 0.1, -0.72, 0.0)}
    squat = {"pelvis": (0.0, 0.36, -0.2), "turn": (0.0, 30.0, 0.0), "spine": (24.0, 0.0, 0.0)}
    pace = vary(rng, 0.15)
    track = Track({f"{s}_foot": (0.16, 0.0, 0.0, 12.0, 0.0) for s in SIDES}).rest(0.2)
    track.move(1.0 * pace, **squat, knee=16.0, hand=(0.1, -0.3, 0.8), elbow=DOWN,
               foot=(0.16, 0.0, 0.0, 12.0, 12.0))  # fmt: skip
    track.move(0.9 * pace, pelvis=(0, 0.12, -0.42), turn=(0, -12, 0), spine=(18, 0, 0), **behind,
               foot=(0.16, 0.0, 0.0, 12.0, 0.0))  # fmt: skip
    track.rest(0.4).move(0.9 * pace, right_foot=(0.13, 0.42, 0.0, 12.0, -12.0), head=(0, 0, 30))
    track.rest(0.6).move(0.8, head=(0, 0, -30), spine=(10, 0, -8)).rest(0.4)
    track.move(0.9 * pace, right_foot=(0.16, 0.0, 0.0, 12.0, 0.0), head=(0, 0, 0))
    track.move(0.7 * pace, **free, hand=(0.12, 0.55, 0.75), turn=(0, 34, 0), spine=(34, 0, 0),
               pelvis=(0, 0.16, -0.34))  # fmt: skip
    track.move(0.7 * pace, **squat, foot=(0.16, 0.0, 0.0, 12.0, 12.0))
    track.move(1.0 * pace, pelvis=(0, 0.985, 0), turn=(0, 0, 0), spine=(2, 0, 0), hand=HANG,
               elbow=BACK, knee=8.0, foot=(0.16, 0.0, 0.0, 12.0, 0.0))  # fmt: skip
    return track.rest(0.3).controls()


def kneel(rng: np.random.Generator) -> Controls:
    """Kneel on one knee, tie a shoe, rise."""
    tie = {"left_reach": (-0.08, 0.17, 0.42, 1.0), "right_reach": (-0.18, 0.17, 0.42, 1.0)}
    free = {"left_reach": (-0.08, 0.17, 0.42, 0.0), "right_reach": (-0.18, 0.17, 0.42, 0.0)}
    track = Track().rest(0.2)
    track.move(0.4, right_foot=(0.13, 0.22, 0.1, 5, 0), pelvis=(0, 0.96, 0.06))
    track.move(0.4, right_foot=(0.13, 0.42, 0.0, 5, 0), pelvis=(0, 0.88, 0.16))
    track.move(0.9 * vary(rng), pelvis=(0, 0.5, 0.08), left_foot=(0.1, -0.3, 0.0, 0, 62),
               turn=(0, 8, 0), left_knee=4.0)  # fmt: skip
    track.move(0.7, turn=(0, 30, 0), spine=(34, 0, -6), head=(16, 0, -6), **tie, elbow=DOWN)
    for _ in range(5):
        x, y = rng.uniform(-0.05, 0.05, 2)
        track.move(0.3, left_reach=(-0.08 + float(x), 0.19, 0.42, 1.0),
                   right_reach=(-0.18, 0.17 + float(abs(y)), 0.42, 1.0))  # fmt: skip
    track.move(0.7, **free, hand=HANG, elbow=BACK, turn=(0, 10, 0), spine=(6, 0, 0),
               head=(0, 0, 0)).rest(0.3)  # fmt: skip
    track.move(0.8, pelvis=(0, 0.88, 0.2), left_foot=(0.1, -0.05, 0.0, 4, 25), turn=(0, 8, 0))
    track.move(0.35, left_foot=(0.12, 0.22, 0.08, 8, 5), pelvis=(0, 0.96, 0.34))
    track.move(0.35, left_foot=(0.12, 0.42, 0.0, 8, 0), pelvis=(0, 0.985, 0.42), turn=(0, 0, 0),
               spine=(2, 0, 0))  # fmt: skip
    return track.rest(0.4).controls()
