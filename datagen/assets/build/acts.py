"""What the puppet does on the spot: standing, gesturing, reaching, sitting, crouching, jumping.

Hands are placed in arm lengths from the shoulder as (out, up, forward); see `puppet.NEUTRAL`.
Every act takes a generator, so that two performers of one act differ in pace and reach.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from datagen.assets.build.puppet import SIDES, Track, hop

Controls = dict[str, np.ndarray]

HANG = (0.16, -0.95, 0.1)
FRONT = (0.0, -0.05, 0.96)
SIDE = (0.97, 0.0, 0.05)
UP = (0.14, 0.96, 0.06)
HIPS = (0.22, -0.66, 0.08)
CHEST = (-0.16, -0.3, 0.42)
CHIN = (-0.24, 0.08, 0.34)
EAR = (-0.06, 0.3, 0.14)
GUARD = (-0.12, -0.06, 0.4)

BACK = (0.45, -0.5, -0.75)  # elbow poles
DOWN = (0.35, -0.95, -0.1)
OUT = (1.0, -0.2, -0.35)
FLAT = (0.05, -0.3, -1.0)


def _pace(rng: np.random.Generator, spread: float = 0.2) -> float:
    return float(rng.uniform(1 - spread, 1 + spread))


def idle(rng: np.random.Generator) -> Controls:
    """Stand about: shift weight, look here and there, touch hips, fold hands."""
    track = Track()
    for _ in range(6):
        side = float(rng.choice([-1, 1]))
        look = float(rng.uniform(-45, 45))
        hands = [HANG, HANG, HIPS, (-0.3, -0.75, 0.25)][rng.integers(4)]
        pole = OUT if hands == HIPS else BACK
        track.move(
            _pace(rng) * 0.9,
            pelvis=(0.045 * side, 0.978, 0.0),
            turn=(-6.0 * side, 1.0, 3.0 * side),
            spine=(3.0, -5.0 * side, 0.2 * look),
            head=(float(rng.uniform(-6, 14)), 0.0, 0.7 * look),
            hand=hands,
            elbow=pole,
        ).rest(0.6 * _pace(rng))
    return track.controls()


def talk(rng: np.random.Generator) -> Controls:
    """Speak with both hands."""
    track = Track()
    for _ in range(11):
        busy = rng.uniform(size=2) < [0.8, 0.8]
        placed: dict[str, tuple[float, ...]] = {}
        for side, moves in zip(SIDES, busy, strict=True):
            at = (rng.uniform(-0.25, 0.45), rng.uniform(-0.6, 0.05), rng.uniform(0.3, 0.68))
            placed[f"{side}_hand"] = tuple(map(float, at)) if moves else HANG
            placed[f"{side}_palm"] = (float(rng.uniform(-50, 60)),)
        track.move(
            float(rng.uniform(0.35, 0.85)),
            **placed,
            elbow=DOWN,
            pelvis=(float(rng.uniform(-0.03, 0.03)), 0.98, 0.0),
            turn=(float(rng.uniform(-8, 8)), 1.0, 0.0),
            spine=tuple(map(float, rng.normal((4, 0, 0), (3, 2, 6)))),
            head=tuple(map(float, rng.normal((2, 0, 0), (6, 4, 14)))),
        ).rest(float(rng.uniform(0.0, 0.35)))
    return track.controls()


def wave(rng: np.random.Generator) -> Controls:
    """Wave somebody over, then wave goodbye."""
    track = Track().rest(0.3)
    for high in (0.55, 0.75):
        track.move(0.6, right_hand=(0.35, high, 0.25), right_elbow=OUT, head=(-4, 0, -12))
        for _ in range(4):
            track.move(0.24 * _pace(rng), right_hand=(0.6, high - 0.05, 0.2), spine=(2, -3, -3))
            track.move(0.24 * _pace(rng), right_hand=(0.1, high, 0.25), spine=(2, 1, 2))
        track.move(0.7, right_hand=HANG, right_elbow=BACK, head=(0, 0, 0)).rest(0.3)
    return track.controls()


def point(rng: np.random.Generator) -> Controls:
    """Point out places all around, looking where the arm points."""
    track = Track()
    for _ in range(6):
        right = bool(rng.uniform() < 0.5)
        angle, up = float(rng.uniform(-10, 85)), float(rng.uniform(-0.35, 0.5))
        sign, side = (-1.0, "right") if right else (1.0, "left")
        flat = np.sqrt(0.95**2 - up**2)
        at = (float(flat * np.sin(np.radians(angle))), up, float(flat * np.cos(np.radians(angle))))
        track.move(
            0.55 * _pace(rng),
            **{f"{side}_hand": at, f"{side}_elbow": DOWN, f"{side}_palm": (45.0,)},
            spine=(3.0, 0.0, sign * 0.25 * angle),
            head=(-25.0 * up, 0.0, sign * 0.5 * angle),
            turn=(sign * 0.12 * angle, 1.0, 0.0),
        ).rest(0.5 * _pace(rng))
        track.move(0.5, hand=HANG, elbow=BACK, palm=10.0, head=(0, 0, 0), spine=(2, 0, 0))
    return track.controls()


def phone(rng: np.random.Generator) -> Controls:
    """Take a call, shift from foot to foot, gesture with the free hand."""
    track = Track().rest(0.3).move(0.8, right_hand=EAR, right_elbow=DOWN, head=(5, -6, -4))
    for _ in range(6):
        side = float(rng.choice([-1, 1]))
        free = (float(rng.uniform(0, 0.4)), float(rng.uniform(-0.6, -0.2)), 0.5)
        track.move(
            0.7 * _pace(rng),
            pelvis=(0.04 * side, 0.978, 0.0),
            turn=(12.0 * side, 1.0, 2.5 * side),
            left_hand=free if rng.uniform() < 0.6 else HANG,
            left_elbow=DOWN,
            head=(float(rng.uniform(0, 16)), -6.0, float(rng.uniform(-25, 25))),
        ).rest(0.4)
    return track.move(0.8, hand=HANG, elbow=BACK, head=(0, 0, 0)).rest(0.3).controls()


def think(rng: np.random.Generator) -> Controls:
    """Fold the arms, scratch the chin, shrug."""
    folded = {"left_hand": (-0.42, -0.42, 0.3), "right_hand": (-0.42, -0.36, 0.4)}
    track = Track().rest(0.3).move(0.8, **folded, elbow=DOWN, palm=30.0, head=(10, 0, 8))
    track.rest(1.0).move(0.7, right_hand=CHIN, head=(12, 5, -10), turn=(8, 1, 2))
    track.rest(1.2 * _pace(rng)).move(0.6, right_hand=(-0.42, -0.36, 0.4), head=(0, 0, 15))
    track.rest(0.6).move(0.5, hand=(0.42, -0.55, 0.42), palm=-60.0, head=(-4, 10, 0))
    return track.rest(0.6).move(0.8, hand=HANG, elbow=BACK, palm=10.0, head=(0, 0, 0)).controls()


def clap(rng: np.random.Generator) -> Controls:
    """Applaud, then cheer with both arms."""
    track = Track().move(0.6, hand=(0.05, -0.2, 0.5), elbow=DOWN)
    for _ in range(9):
        track.move(0.16, hand=(-0.2, -0.17, 0.55)).move(0.17 * _pace(rng), hand=(0.1, -0.2, 0.5))
    for _ in range(3):
        track.move(0.45, hand=UP, elbow=OUT, head=(-14, 0, 0), pelvis=(0, 0.99, 0))
        track.move(0.4, hand=(0.35, 0.45, 0.2), pelvis=(0, 0.955, 0), spine=(6, 0, 0))
    return track.move(0.8, hand=HANG, elbow=BACK, head=(0, 0, 0)).rest(0.3).controls()


def direct_traffic(rng: np.random.Generator) -> Controls:
    """Stop, come, left, right."""
    track = Track().rest(0.2)
    for _ in range(2):
        track.move(0.5, right_hand=FRONT, right_elbow=DOWN, right_palm=80.0).rest(0.6)
        track.move(0.5, left_hand=SIDE, left_elbow=FLAT, head=(0, 0, 50), spine=(2, 0, 15))
        for _ in range(3):
            track.move(0.3, left_hand=(0.45, 0.3, 0.25), left_elbow=DOWN)
            track.move(0.3 * _pace(rng), left_hand=SIDE, left_elbow=FLAT)
        track.move(0.5, hand=SIDE, elbow=FLAT, palm=0.0, head=(0, 0, -45), spine=(2, 0, -10))
        track.rest(0.4).move(0.6, hand=HANG, elbow=BACK, head=(0, 0, 0), spine=(2, 0, 0))
    return track.controls()


def reach_high(rng: np.random.Generator) -> Controls:
    """Take things from a high shelf and put them down at the side."""
    track = Track().rest(0.2)
    for number in range(4):
        side, sign = (("left", 1.0), ("right", -1.0))[number % 2]
        high = (float(rng.uniform(-0.1, 0.3)), 0.85, float(rng.uniform(0.2, 0.45)))
        track.move(
            0.8 * _pace(rng),
            **{f"{side}_hand": high, f"{side}_elbow": OUT, f"{side}_palm": (40.0,)},
            spine=(-4.0, -7.0 * sign, 0.0),
            head=(-28.0, 0.0, 8.0 * sign),
            pelvis=(0.03 * sign, 1.03, 0.03),
            foot=(0.12, 0.0, 0.0, 8.0, 22.0),
        ).rest(0.3)
        track.move(
            0.8 * _pace(rng),
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
            0.7 * _pace(rng),
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
            1.0 * _pace(rng),
            pelvis=(0.3 * x, 0.5, -0.16),
            turn=(8.0 * sign, 38.0, 0.0),
            spine=(26.0, 0.0, 8.0 * sign),
            head=(5.0, 0.0, 0.0),
            foot=(0.15, 0.0, 0.0, 14.0, 18.0),
            knee=16.0,
            **{f"{side}_reach": (x, 0.12, 0.38, 1.0), f"{side}_palm": (50.0,)},
        ).rest(0.3)
        track.move(
            1.0 * _pace(rng),
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
    pace = _pace(rng)
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
                0.26 * _pace(rng),
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
        track.move(0.8 * _pace(rng), right_hand=(0.1, -0.45, 0.62), right_elbow=DOWN,
                   head=(20, 0, -12), spine=(9, 0, -6)).rest(0.25)  # fmt: skip
        track.move(0.9, right_hand=(-0.22, 0.1, 0.32), head=(-4, 0, 0), spine=(1, 0, 0))
        track.move(0.4, right_hand=(-0.24, 0.17, 0.28), head=(-20, 0, 0)).rest(0.5 * _pace(rng))
        track.move(0.9, right_hand=(0.1, -0.45, 0.62), head=(18, 0, -12), spine=(9, 0, -6))
        track.move(0.7, right_hand=HANG, right_elbow=BACK, head=(0, 0, 0), spine=(2, 0, 0))
    return track.controls()


def stretch(rng: np.random.Generator) -> Controls:
    """Stretch up, bend to both sides, circle the arms, touch the toes."""
    pace = _pace(rng, 0.12)
    track = Track({f"{s}_foot": (0.2, 0.0, 0.0, 10.0, 0.0) for s in SIDES}).rest(0.2)
    track.move(1.1 * pace, hand=UP, elbow=OUT, head=(-12, 0, 0), spine=(-6, 0, 0)).rest(0.4)
    for sign in (1.0, -1.0):
        track.move(0.9 * pace, spine=(0, 32 * sign, 0), pelvis=(0.07 * sign, 0.97, 0),
                   head=(0, 8 * sign, 0)).rest(0.3)  # fmt: skip
    track.move(0.8 * pace, spine=(0, 0, 0), pelvis=(0, 0.985, 0), hand=SIDE, elbow=FLAT)
    for _ in range(2):
        track.move(0.4 * pace, hand=UP, elbow=OUT).move(0.4 * pace, hand=(0.5, 0.3, -0.45))
        track.move(0.4 * pace, hand=(0.3, -0.85, -0.2)).move(0.4 * pace, hand=FRONT, elbow=DOWN)
    track.move(1.3 * pace, turn=(0, 68, 0), spine=(42, 0, 0), pelvis=(0, 0.96, -0.14),
               hand=(0.0, 0.35, 0.9), head=(10, 0, 0)).rest(0.5)  # fmt: skip
    track.move(1.3 * pace, turn=(0, 0, 0), spine=(2, 0, 0), pelvis=(0, 0.985, 0), hand=HANG)
    return track.move(0.3, elbow=BACK, head=(0, 0, 0)).controls()


def bow(rng: np.random.Generator) -> Controls:
    """Bow deeply, hand on the heart, and look up."""
    track = Track().rest(0.3)
    for _ in range(2):
        track.move(0.9 * _pace(rng), right_hand=(-0.25, -0.28, 0.25), right_elbow=DOWN,
                   turn=(0, 32, 0), spine=(28, 0, 0), head=(14, 0, 0),
                   pelvis=(0, 0.97, -0.09), left_hand=(0.45, -0.75, -0.1)).rest(0.5)  # fmt: skip
        track.move(1.0, hand=HANG, elbow=BACK, turn=(0, 0, 0), spine=(1, 0, 0), head=(-6, 0, 0),
                   pelvis=(0, 0.985, 0)).rest(0.3)  # fmt: skip
    return track.controls()


def throw(rng: np.random.Generator) -> Controls:
    """Throw a ball overarm, three times, stepping into it."""
    track = Track({"left_foot": (0.13, 0.12, 0, 5, 0), "right_foot": (0.13, -0.12, 0, 30, 0)})
    for _ in range(3):
        track.move(0.6 * _pace(rng), right_hand=(0.75, 0.35, -0.35), right_elbow=(0.5, -0.5, -0.7),
                   left_hand=(0.1, 0.0, 0.8), left_elbow=DOWN, spine=(-6, 4, -38),
                   turn=(-32, 0, 4), pelvis=(-0.05, 0.96, -0.12), head=(0, 0, 50),
                   left_foot=(0.13, 0.2, 0.12, 5, 10))  # fmt: skip
        track.move(0.24, left_foot=(0.13, 0.42, 0.0, 5, 0), pelvis=(0, 0.93, 0.12),
                   turn=(4, 6, 0), spine=(2, 0, -12), right_hand=(0.55, 0.5, -0.1))  # fmt: skip
        track.move(0.17, right_hand=(0.1, 0.4, 0.85), right_elbow=OUT, spine=(14, 0, 22),
                   turn=(16, 10, 0), pelvis=(0.02, 0.93, 0.2), head=(0, 0, 0))  # fmt: skip
        track.move(0.3, right_hand=(-0.55, -0.6, 0.4), spine=(24, 0, 30), left_hand=(0.3, -0.7, 0),
                   right_foot=(0.13, -0.05, 0.0, 10, 30))  # fmt: skip
        track.move(0.9, hand=HANG, elbow=BACK, spine=(2, 0, 0), turn=(0, 0, 0), head=(0, 0, 0),
                   left_foot=(0.13, 0.12, 0, 5, 0), right_foot=(0.13, -0.12, 0, 30, 0),
                   pelvis=(0, 0.98, 0.0)).rest(0.3)  # fmt: skip
    return track.controls()


def sit_stand(rng: np.random.Generator) -> Controls:
    """Sit down on a chair, look around, rise, sit again."""
    seat = {"pelvis": (0.0, 0.5, -0.44), "spine": (5.0, 0.0, 0.0)}
    lap = {"hand": (-0.02, -0.62, 0.42), "elbow": BACK, "palm": 60.0}
    track = Track({f"{s}_foot": (0.13, 0.0, 0.0, 8.0, 0.0) for s in SIDES}).rest(0.4)
    for number in range(2):
        track.move(0.7 * _pace(rng), pelvis=(0, 0.8, -0.28), turn=(0, 38, 0), spine=(16, 0, 0),
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
    pace = _pace(rng, 0.15)
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


def squats(rng: np.random.Generator) -> Controls:
    """Squat with the arms stretched forward."""
    track = Track({f"{s}_foot": (0.2, 0.0, 0.0, 18.0, 0.0) for s in SIDES}).rest(0.2)
    for _ in range(4):
        depth = float(rng.uniform(0.42, 0.55))
        track.move(0.9 * _pace(rng, 0.1), pelvis=(0, depth, -0.24), turn=(0, 30, 0), knee=18.0,
                   spine=(10, 0, 0), hand=(0.05, 0.1, 0.93), elbow=DOWN, palm=70.0,
                   head=(-18, 0, 0)).rest(0.15)  # fmt: skip
        track.move(0.8, pelvis=(0, 0.985, 0), turn=(0, 0, 0), spine=(2, 0, 0), hand=HANG,
                   elbow=BACK, palm=10.0, head=(0, 0, 0), knee=10.0).rest(0.15)  # fmt: skip
    return track.controls()


def lunges(rng: np.random.Generator) -> Controls:
    """Step forward into a lunge and back, left and right, hands on the hips."""
    track = Track().move(0.6, hand=HIPS, elbow=OUT)
    for number in range(4):
        side, other = SIDES[number % 2], SIDES[1 - number % 2]
        track.move(0.3, **{f"{side}_foot": (0.12, 0.3, 0.12, 5, 5)}, pelvis=(0, 0.97, 0.1))
        track.move(0.35, **{f"{side}_foot": (0.12, 0.72, 0.0, 5, 0)}, pelvis=(0, 0.86, 0.3))
        track.move(0.6 * _pace(rng), pelvis=(0, 0.6, 0.36), spine=(4, 0, 0),
                   **{f"{other}_foot": (0.12, 0.0, 0.0, 4, 42)}).rest(0.2)  # fmt: skip
        track.move(0.6, pelvis=(0, 0.86, 0.28), **{f"{other}_foot": (0.12, 0.0, 0.0, 8, 20)})
        track.move(0.3, **{f"{side}_foot": (0.12, 0.3, 0.12, 5, 5)}, pelvis=(0, 0.97, 0.08))
        track.move(0.35, foot=(0.12, 0.0, 0.0, 8, 0), pelvis=(0, 0.985, 0)).rest(0.1)
    return track.move(0.6, hand=HANG, elbow=BACK).controls()


def kneel(rng: np.random.Generator) -> Controls:
    """Kneel on one knee, tie a shoe, rise."""
    tie = {"left_reach": (-0.08, 0.17, 0.42, 1.0), "right_reach": (-0.18, 0.17, 0.42, 1.0)}
    free = {"left_reach": (-0.08, 0.17, 0.42, 0.0), "right_reach": (-0.18, 0.17, 0.42, 0.0)}
    track = Track().rest(0.2)
    track.move(0.4, right_foot=(0.13, 0.22, 0.1, 5, 0), pelvis=(0, 0.96, 0.06))
    track.move(0.4, right_foot=(0.13, 0.42, 0.0, 5, 0), pelvis=(0, 0.88, 0.16))
    track.move(0.9 * _pace(rng), pelvis=(0, 0.5, 0.08), left_foot=(0.1, -0.3, 0.0, 0, 62),
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


def duck(rng: np.random.Generator) -> Controls:
    """Duck and dodge: drop, look around in a crouch, lean aside, rise."""
    track = Track({f"{s}_foot": (0.2, 0.0, 0.0, 12.0, 0.0) for s in SIDES}).rest(0.3)
    for _ in range(3):
        x = float(rng.uniform(-0.16, 0.16))
        track.move(0.35 * _pace(rng), pelvis=(x, 0.62, -0.1), turn=(0, 26, 40 * x),
                   spine=(26, 60 * x, 0), hand=GUARD, elbow=DOWN, head=(-14, 0, 0))  # fmt: skip
        track.rest(0.2).move(0.6, head=(-18, 0, 35)).move(0.7, head=(-18, 0, -35))
        track.move(0.5, pelvis=(-x, 0.7, -0.08), head=(-10, 0, 0))
        track.move(0.7, pelvis=(0, 0.98, 0), turn=(0, 0, 0), spine=(2, 0, 0), hand=HANG,
                   elbow=BACK, head=(0, 0, 0)).rest(0.2)  # fmt: skip
    return track.controls()


def jumping_jacks(rng: np.random.Generator) -> Controls:
    """Jump the legs apart and together, the arms up and down."""
    period = 0.95 * _pace(rng, 0.12)
    track = Track().rest(0.3)
    hops = []
    for _ in range(7):
        hops += [track.now + 0.06, track.now + 0.06 + period / 2]
        track.move(period / 2, foot=(0.36, 0.0, 0.0, 14.0, 0.0), hand=(0.3, 0.9, 0.05),
                   elbow=(0.8, 0.0, -0.7), pelvis=(0, 0.93, 0))  # fmt: skip
        track.move(period / 2, foot=(0.1, 0.0, 0.0, 8.0, 0.0), hand=(0.22, -0.93, 0.08),
                   elbow=BACK, pelvis=(0, 0.955, 0))  # fmt: skip
    controls = track.rest(0.3).controls()
    for start in hops:
        hop(controls, start, period / 2 - 0.12, 0.07)
    return controls


def jump_up(rng: np.random.Generator) -> Controls:
    """Jump as high as you can, three times, swinging the arms."""
    track = Track({f"{s}_foot": (0.15, 0.0, 0.0, 8.0, 0.0) for s in SIDES}).rest(0.3)
    hops = []
    for _ in range(3):
        track.move(0.55 * _pace(rng), pelvis=(0, 0.66, -0.14), turn=(0, 26, 0), spine=(20, 0, 0),
                   hand=(0.2, -0.75, -0.5), head=(-14, 0, 0))  # fmt: skip
        track.move(0.22, pelvis=(0, 0.985, 0), turn=(0, 2, 0), spine=(-2, 0, 0), hand=UP,
                   elbow=OUT, head=(-12, 0, 0))  # fmt: skip
        height = float(rng.uniform(0.24, 0.36))
        seconds = 2 * float(np.sqrt(2 * height / 9.81))
        hops.append((track.now - 0.03, seconds, height))
        track.rest(seconds - 0.08).move(0.3, pelvis=(0, 0.78, -0.08), turn=(0, 18, 0),
                                        spine=(12, 0, 0), hand=(0.3, -0.5, 0.4),
                                        elbow=BACK)  # fmt: skip
        track.move(0.6, pelvis=(0, 0.985, 0), turn=(0, 0, 0), spine=(2, 0, 0), hand=HANG,
                   head=(0, 0, 0)).rest(0.2)  # fmt: skip
    controls = track.controls()
    for start, seconds, height in hops:
        hop(controls, start, seconds, height)
    return controls


def skip_rope(rng: np.random.Generator) -> Controls:
    """Skip with a rope."""
    beat = 0.46 * _pace(rng, 0.12)
    track = Track().move(0.5, hand=(0.28, -0.6, 0.25), elbow=BACK, palm=-20.0)
    starts = []
    for _ in range(13):
        starts.append(track.now + 0.05)
        track.move(beat / 2, hand=(0.34, -0.56, 0.2), pelvis=(0, 0.975, 0))
        track.move(beat / 2, hand=(0.26, -0.64, 0.28), pelvis=(0, 0.95, 0))
    controls = track.move(0.6, hand=HANG, palm=10.0, pelvis=(0, 0.985, 0)).controls()
    for start in starts:
        hop(controls, start, beat - 0.14, float(rng.uniform(0.06, 0.1)))
    return controls


def dance(rng: np.random.Generator) -> Controls:
    """Step to the side and back on the beat, hips and arms with it."""
    beat = 0.55 * _pace(rng, 0.15)
    patterns = [
        ((0.3, -0.2, 0.55), (-0.1, -0.25, 0.5), DOWN),
        ((0.5, 0.45, 0.25), (0.25, 0.65, 0.3), OUT),
        ((0.75, -0.1, 0.3), (0.1, -0.55, 0.45), DOWN),
        ((0.16, 0.85, 0.2), (0.45, -0.5, 0.4), OUT),
        (HIPS, HIPS, OUT),
    ]
    track = Track()
    width = 0.13
    for count in range(16):
        if count % 4 == 0:
            first, second, pole = patterns[int(rng.integers(len(patterns)))]
        sign = 1.0 if count % 2 else -1.0
        side, other = SIDES if sign > 0 else SIDES[::-1]
        deep = 0.93 if count % 4 == 3 else 0.955
        ahead = float(rng.uniform(-0.05, 0.12))
        track.move(
            0.5 * beat,
            pelvis=(0.05 * sign, 0.975, 0.0),
            **{f"{side}_foot": (width + 0.06, 0.5 * ahead, 0.06, 10.0, 12.0)},
            **{f"{other}_foot": (width, 0.0, 0.0, 10.0, 12.0)},
        )
        track.move(
            0.5 * beat,
            pelvis=(0.1 * sign, deep, 0.3 * ahead),
            turn=(10.0 * sign, 3.0, 5.0 * sign),
            spine=(4.0, -9.0 * sign, -14.0 * sign),
            head=(float(rng.uniform(-6, 8)), 4.0 * sign, 6.0 * sign),
            elbow=pole,
            **{f"{side}_foot": (width + 0.12, ahead, 0.0, 12.0, 0.0)},
            **{f"{side}_hand": first, f"{other}_hand": second},
        )
    return track.controls()


def twist(rng: np.random.Generator) -> Controls:
    """Twist hips against shoulders, going down and up."""
    beat = 0.36 * _pace(rng, 0.15)
    track = Track({f"{s}_foot": (0.15, 0.0, 0.0, 10.0, 20.0) for s in SIDES})
    for count in range(22):
        sign = 1.0 if count % 2 else -1.0
        depth = 0.9 - 0.13 * np.sin(np.pi * count / 11) ** 2
        track.move(
            beat,
            pelvis=(0.03 * sign, float(depth), -0.03),
            turn=(26.0 * sign, 6.0, 0.0),
            spine=(8.0, 0.0, -36.0 * sign),
            head=(0.0, 0.0, 10.0 * sign),
            left_foot=(0.15, 0.0, 0.0, 10 + 24.0 * sign, 24.0),
            right_foot=(0.15, 0.0, 0.0, 10 - 24.0 * sign, 24.0),
            left_hand=(0.2, -0.42, 0.4 + 0.2 * sign),
            right_hand=(0.2, -0.42, 0.4 - 0.2 * sign),
            elbow=BACK,
        )
    return track.controls()


def box(rng: np.random.Generator) -> Controls:
    """Box against a shadow: jabs, crosses, hooks, bobbing in between."""
    start = {"left_foot": (0.14, 0.18, 0.0, 0.0, 0.0), "right_foot": (0.16, -0.16, 0.0, 35.0, 18.0)}
    guard = {"hand": (-0.16, -0.02, 0.36), "elbow": DOWN, "palm": 20.0}
    stance = {"turn": (-24.0, 5.0, 0.0), "spine": (10.0, 0.0, -4.0), "head": (4.0, 0.0, 26.0)}
    track = Track(start).move(0.5, **guard, **stance, pelvis=(0, 0.93, 0))
    for _ in range(11):
        blow = int(rng.integers(3))
        if blow == 0:
            track.move(0.16, left_hand=(-0.05, 0.08, 0.96), left_palm=80.0, spine=(10, 0, -16),
                       pelvis=(0, 0.92, 0.06))  # fmt: skip
        elif blow == 1:
            track.move(0.2, right_hand=(-0.15, 0.08, 0.95), right_palm=80.0, spine=(12, 0, 34),
                       turn=(6, 7, 0), pelvis=(0, 0.91, 0.1))  # fmt: skip
        else:
            track.move(0.22, left_hand=(0.05, 0.05, 0.55), left_elbow=OUT, spine=(10, 0, -30),
                       turn=(-40, 5, 0))  # fmt: skip
        track.move(0.24, **guard, **stance, pelvis=(float(rng.uniform(-0.06, 0.06)), 0.93, 0.0))
        if rng.uniform() < 0.4:
            track.move(0.3, pelvis=(float(rng.uniform(-0.1, 0.1)), 0.83, 0), spine=(20, 8, -4))
            track.move(0.3, pelvis=(0, 0.93, 0), spine=(10, 0, -4))
    return track.controls()


def tai_chi(rng: np.random.Generator) -> Controls:
    """Flow slowly from one wide stance to the other, pushing hands."""
    track = Track({f"{s}_foot": (0.34, 0.0, 0.0, 20.0, 0.0) for s in SIDES})
    for count in range(5):
        sign = 1.0 if count % 2 else -1.0
        side, other = SIDES if sign > 0 else SIDES[::-1]
        track.move(1.0 * _pace(rng), pelvis=(-0.02 * sign, 0.86, -0.03), hand=CHEST, elbow=DOWN,
                   turn=(-6 * sign, 2, 0), spine=(2, 0, -8 * sign), palm=70.0,
                   head=(2, 0, -6 * sign))  # fmt: skip
        push = {f"{side}_hand": (0.25, 0.05, 0.85), f"{other}_hand": (0.1, -0.5, 0.45)}
        track.move(1.1 * _pace(rng), pelvis=(0.17 * sign, 0.79, 0.0), turn=(24 * sign, 3, 0),
                   spine=(2, 0, 22 * sign), head=(0, 0, 10 * sign), **push)  # fmt: skip
    return track.controls()


def balance(rng: np.random.Generator) -> Controls:
    """Stand on one leg, arms spread, then the tree pose; then the other leg."""
    track = Track().rest(0.2)
    for side, sign in (("right", 1.0), ("left", -1.0)):
        track.move(1.0 * _pace(rng), pelvis=(0.11 * sign, 0.975, 0), hand=SIDE, elbow=FLAT,
                   turn=(0, 0, 3 * sign), spine=(1, -5 * sign, 0),
                   **{f"{side}_foot": (0.08, 0.2, 0.45, 5, 25)})  # fmt: skip
        track.rest(0.6).move(1.0, hand=(-0.12, 0.9, 0.1), elbow=OUT,
                             **{f"{side}_foot": (-0.03, 0.03, 0.42, 60, 40)},
                             **{f"{side}_knee": (65.0,)})  # fmt: skip
        track.rest(0.8).move(0.9, pelvis=(0, 0.985, 0), hand=HANG, elbow=BACK, turn=(0, 0, 0),
                             spine=(2, 0, 0), foot=(0.12, 0.0, 0.0, 8.0, 0.0),
                             knee=8.0).rest(0.2)  # fmt: skip
    return track.controls()


def front_kicks(rng: np.random.Generator) -> Controls:
    """Kick forward, left and right, guard up."""
    track = Track().move(0.4, hand=GUARD, elbow=DOWN, pelvis=(0, 0.96, 0))
    for number in range(5):
        side, sign = (("right", 1.0), ("left", -1.0))[number % 2]
        high = float(rng.uniform(0.6, 0.95))
        shift = {"pelvis": (0.1 * sign, 0.96, -0.02), "spine": (-2.0, -4.0 * sign, 0.0)}
        track.move(0.4, **shift, **{f"{side}_foot": (0.1, 0.05, 0.42, 5, 45)}, turn=(0, -4, 0))
        track.move(0.17, **{f"{side}_foot": (0.08, 0.68, high, 5, 12)}, turn=(0, -14, 0),
                   spine=(6, 0, 0))  # fmt: skip
        track.move(0.22, **{f"{side}_foot": (0.1, 0.1, 0.42, 5, 45)}, turn=(0, -4, 0))
        track.move(0.4, foot=(0.12, 0.0, 0.0, 8, 0), pelvis=(0, 0.96, 0), turn=(0, 2, 0),
                   spine=(4, 0, 0)).rest(0.2 * _pace(rng))  # fmt: skip
    return track.controls()


def dribble(rng: np.random.Generator) -> Controls:
    """Bounce a ball low, change hands, shoot."""
    low = {"pelvis": (0.0, 0.84, -0.05), "turn": (0.0, 16.0, 0.0), "spine": (16.0, 0.0, 0.0)}
    track = Track({"left_foot": (0.18, 0.12, 0, 8, 0), "right_foot": (0.18, -0.1, 0, 12, 0)})
    track.move(0.5, **low, head=(-18, 0, 0), elbow=BACK, palm=80.0)
    for _ in range(2):
        for side, sign in (("right", -1.0), ("left", 1.0)):
            for _ in range(4):
                track.move(0.2, **{f"{side}_hand": (0.25, -0.78, 0.4)}, spine=(18, 0, 6 * sign))
                track.move(0.22 * _pace(rng), **{f"{side}_hand": (0.22, -0.52, 0.45)})
    track.move(0.5, hand=(-0.18, -0.2, 0.5), elbow=DOWN, pelvis=(0, 0.8, -0.04))
    track.move(0.35, hand=(-0.1, 0.5, 0.35), pelvis=(0, 0.97, 0), turn=(0, 2, 0), spine=(0, 0, 0))
    start = track.now - 0.05
    track.move(0.2, right_hand=(0.0, 0.85, 0.45), left_hand=(0.05, 0.75, 0.4), head=(-22, 0, 0))
    track.rest(0.35).move(0.8, hand=HANG, elbow=BACK, palm=10.0, head=(0, 0, 0),
                          pelvis=(0, 0.98, 0))  # fmt: skip
    controls = track.rest(0.3).controls()
    hop(controls, start, 0.42, 0.2)
    return controls


ACTS: dict[str, Callable[[np.random.Generator], Controls]] = {
    act.__name__: act
    for act in (
        idle, talk, wave, point, phone, think, clap, direct_traffic, reach_high, reach_around,
        pick_up, lift_box, wash_window, drink, stretch, bow, throw, sit_stand, sit_talk,
        type_seated, sit_floor, squats, lunges, kneel, duck, jumping_jacks, jump_up, skip_rope,
        dance, twist, box, tai_chi, balance, front_kicks, dribble,
    )
}  # fmt: skip
