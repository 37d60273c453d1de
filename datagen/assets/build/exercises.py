"""Acts of sport and dance: stretching, squatting, jumping, dancing, boxing, balancing."""

from __future__ import annotations

import numpy as np

from datagen.assets.build.poses import (
    BACK,
    CHEST,
    DOWN,
    FLAT,
    FRONT,
    GUARD,
    HANG,
    HIPS,
    OUT,
    SIDE,
    UP,
    Controls,
    vary,
)
from datagen.assets.build.puppet import SIDES, Track, hop


def stretch(rng: np.random.Generator) -> Controls:
    """Stretch up, bend to both sides, circle the arms, touch the toes."""
    pace = vary(rng, 0.12)
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


def throw(rng: np.random.Generator) -> Controls:
    """Throw a ball overarm, three times, stepping into it."""
    track = Track({"left_foot": (0.13, 0.12, 0, 5, 0), "right_foot": (0.13, -0.12, 0, 30, 0)})
    for _ in range(3):
        track.move(0.6 * vary(rng), right_hand=(0.75, 0.35, -0.35), right_elbow=(0.5, -0.5, -0.7),
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


def squats(rng: np.random.Generator) -> Controls:
    """Squat with the arms stretched forward."""
    track = Track({f"{s}_foot": (0.2, 0.0, 0.0, 18.0, 0.0) for s in SIDES}).rest(0.2)
    for _ in range(4):
        depth = float(rng.uniform(0.42, 0.55))
        track.move(0.9 * vary(rng, 0.1), pelvis=(0, depth, -0.24), turn=(0, 30, 0), knee=18.0,
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
        track.move(0.6 * vary(rng), pelvis=(0, 0.6, 0.36), spine=(4, 0, 0),
                   **{f"{other}_foot": (0.12, 0.0, 0.0, 4, 42)}).rest(0.2)  # fmt: skip
        track.move(0.6, pelvis=(0, 0.86, 0.28), **{f"{other}_foot": (0.12, 0.0, 0.0, 8, 20)})
        track.move(0.3, **{f"{side}_foot": (0.12, 0.3, 0.12, 5, 5)}, pelvis=(0, 0.97, 0.08))
        track.move(0.35, foot=(0.12, 0.0, 0.0, 8, 0), pelvis=(0, 0.985, 0)).rest(0.1)
    return track.move(0.6, hand=HANG, elbow=BACK).controls()


def duck(rng: np.random.Generator) -> Controls:
    """Duck and dodge: drop, look around in a crouch, lean aside, rise."""
    track = Track({f"{s}_foot": (0.2, 0.0, 0.0, 12.0, 0.0) for s in SIDES}).rest(0.3)
    for _ in range(3):
        x = float(rng.uniform(-0.16, 0.16))
        track.move(0.35 * vary(rng), pelvis=(x, 0.62, -0.1), turn=(0, 26, 40 * x),
                   spine=(26, 60 * x, 0), hand=GUARD, elbow=DOWN, head=(-14, 0, 0))  # fmt: skip
        track.rest(0.2).move(0.6, head=(-18, 0, 35)).move(0.7, head=(-18, 0, -35))
        track.move(0.5, pelvis=(-x, 0.7, -0.08), head=(-10, 0, 0))
        track.move(0.7, pelvis=(0, 0.98, 0), turn=(0, 0, 0), spine=(2, 0, 0), hand=HANG,
                   elbow=BACK, head=(0, 0, 0)).rest(0.2)  # fmt: skip
    return track.controls()


def jumping_jacks(rng: np.random.Generator) -> Controls:
    """Jump the legs apart and together, the arms up and down."""
    period = 0.95 * vary(rng, 0.12)
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
        track.move(0.55 * vary(rng), pelvis=(0, 0.66, -0.14), turn=(0, 26, 0), spine=(20, 0, 0),
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
    beat = 0.46 * vary(rng, 0.12)
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
    beat = 0.55 * vary(rng, 0.15)
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
    beat = 0.36 * vary(rng, 0.15)
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
        track.move(1.0 * vary(rng), pelvis=(-0.02 * sign, 0.86, -0.03), hand=CHEST, elbow=DOWN,
                   turn=(-6 * sign, 2, 0), spine=(2, 0, -8 * sign), palm=70.0,
                   head=(2, 0, -6 * sign))  # fmt: skip
        push = {f"{side}_hand": (0.25, 0.05, 0.85), f"{other}_hand": (0.1, -0.5, 0.45)}
        track.move(1.1 * vary(rng), pelvis=(0.17 * sign, 0.79, 0.0), turn=(24 * sign, 3, 0),
                   spine=(2, 0, 22 * sign), head=(0, 0, 10 * sign), **push)  # fmt: skip
    return track.controls()


def balance(rng: np.random.Generator) -> Controls:
    """Stand on one leg, arms spread, then the tree pose; then the other leg."""
    track = Track().rest(0.2)
    for side, sign in (("right", 1.0), ("left", -1.0)):
        track.move(1.0 * vary(rng), pelvis=(0.11 * sign, 0.975, 0), hand=SIDE, elbow=FLAT,
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
                   spine=(4, 0, 0)).rest(0.2 * vary(rng))  # fmt: skip
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
                track.move(0.22 * vary(rng), **{f"{side}_hand": (0.22, -0.52, 0.45)})
    track.move(0.5, hand=(-0.18, -0.2, 0.5), elbow=DOWN, pelvis=(0, 0.8, -0.04))
    track.move(0.35, hand=(-0.1, 0.5, 0.35), pelvis=(0, 0.97, 0), turn=(0, 2, 0), spine=(0, 0, 0))
    start = track.now - 0.05
    track.move(0.2, right_hand=(0.0, 0.85, 0.45), left_hand=(0.05, 0.75, 0.4), head=(-22, 0, 0))
    track.rest(0.35).move(0.8, hand=HANG, elbow=BACK, palm=10.0, head=(0, 0, 0),
                          pelvis=(0, 0.98, 0))  # fmt: skip
    controls = track.rest(0.3).controls()
    hop(controls, start, 0.42, 0.2)
    return controls
