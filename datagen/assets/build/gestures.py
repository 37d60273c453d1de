"""Acts while standing: waiting, talking, waving, pointing, bowing."""

from __future__ import annotations

import numpy as np

from datagen.assets.build.poses import (
    BACK,
    CHIN,
    DOWN,
    EAR,
    FLAT,
    FRONT,
    HANG,
    HIPS,
    OUT,
    SIDE,
    UP,
    Controls,
    vary,
)
from datagen.assets.build.puppet import SIDES, Track


def idle(rng: np.random.Generator) -> Controls:
    """Stand about: shift weight, look here and there, touch hips, fold hands."""
    track = Track()
    for _ in range(6):
        side = float(rng.choice([-1, 1]))
        look = float(rng.uniform(-45, 45))
        hands = [HANG, HANG, HIPS, (-0.3, -0.75, 0.25)][rng.integers(4)]
        pole = OUT if hands == HIPS else BACK
        track.move(
            vary(rng) * 0.9,
            pelvis=(0.045 * side, 0.978, 0.0),
            turn=(-6.0 * side, 1.0, 3.0 * side),
            spine=(3.0, -5.0 * side, 0.2 * look),
            head=(float(rng.uniform(-6, 14)), 0.0, 0.7 * look),
            hand=hands,
            elbow=pole,
        ).rest(0.6 * vary(rng))
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
            track.move(0.24 * vary(rng), right_hand=(0.6, high - 0.05, 0.2), spine=(2, -3, -3))
            track.move(0.24 * vary(rng), right_hand=(0.1, high, 0.25), spine=(2, 1, 2))
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
            0.55 * vary(rng),
            **{f"{side}_hand": at, f"{side}_elbow": DOWN, f"{side}_palm": (45.0,)},
            spine=(3.0, 0.0, sign * 0.25 * angle),
            head=(-25.0 * up, 0.0, sign * 0.5 * angle),
            turn=(sign * 0.12 * angle, 1.0, 0.0),
        ).rest(0.5 * vary(rng))
        track.move(0.5, hand=HANG, elbow=BACK, palm=10.0, head=(0, 0, 0), spine=(2, 0, 0))
    return track.controls()


def phone(rng: np.random.Generator) -> Controls:
    """Take a call, shift from foot to foot, gesture with the free hand."""
    track = Track().rest(0.3).move(0.8, right_hand=EAR, right_elbow=DOWN, head=(5, -6, -4))
    for _ in range(6):
        side = float(rng.choice([-1, 1]))
        free = (float(rng.uniform(0, 0.4)), float(rng.uniform(-0.6, -0.2)), 0.5)
        track.move(
            0.7 * vary(rng),
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
    track.rest(1.2 * vary(rng)).move(0.6, right_hand=(-0.42, -0.36, 0.4), head=(0, 0, 15))
    track.rest(0.6).move(0.5, hand=(0.42, -0.55, 0.42), palm=-60.0, head=(-4, 10, 0))
    return track.rest(0.6).move(0.8, hand=HANG, elbow=BACK, palm=10.0, head=(0, 0, 0)).controls()


def clap(rng: np.random.Generator) -> Controls:
    """Applaud, then cheer with both arms."""
    track = Track().move(0.6, hand=(0.05, -0.2, 0.5), elbow=DOWN)
    for _ in range(9):
        track.move(0.16, hand=(-0.2, -0.17, 0.55)).move(0.17 * vary(rng), hand=(0.1, -0.2, 0.5))
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
            track.move(0.3 * vary(rng), left_hand=SIDE, left_elbow=FLAT)
        track.move(0.5, hand=SIDE, elbow=FLAT, palm=0.0, head=(0, 0, -45), spine=(2, 0, -10))
        track.rest(0.4).move(0.6, hand=HANG, elbow=BACK, head=(0, 0, 0), spine=(2, 0, 0))
    return track.controls()


def bow(rng: np.random.Generator) -> Controls:
    """Bow deeply, hand on the heart, and look up."""
    track = Track().rest(0.3)
    for _ in range(2):
        track.move(0.9 * vary(rng), right_hand=(-0.25, -0.28, 0.25), right_elbow=DOWN,
                   turn=(0, 32, 0), spine=(28, 0, 0), head=(14, 0, 0),
                   pelvis=(0, 0.97, -0.09), left_hand=(0.45, -0.75, -0.1)).rest(0.5)  # fmt: skip
        track.move(1.0, hand=HANG, elbow=BACK, turn=(0, 0, 0), spine=(1, 0, 0), head=(-6, 0, 0),
                   pelvis=(0, 0.985, 0)).rest(0.3)  # fmt: skip
    return track.controls()
