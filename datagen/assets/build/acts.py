"""Acts on the spot for the puppet, by name.

Every act takes a random generator, so that performers of one act differ in pace and reach.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from datagen.assets.build import chores, exercises, gestures
from datagen.assets.build.poses import Controls

ACTS: dict[str, Callable[[np.random.Generator], Controls]] = {
    act.__name__: act
    for act in (
        gestures.idle, gestures.talk, gestures.wave, gestures.point,
        gestures.phone, gestures.think, gestures.clap, gestures.direct_traffic,
        chores.reach_high, chores.reach_around, chores.pick_up, chores.lift_box,
        chores.wash_window, chores.drink, exercises.stretch, gestures.bow,
        exercises.throw, chores.sit_stand, chores.sit_talk, chores.type_seated,
        chores.sit_floor, exercises.squats, exercises.lunges, chores.kneel,
        exercises.duck, exercises.jumping_jacks, exercises.jump_up, exercises.skip_rope,
        exercises.dance, exercises.twist, exercises.box, exercises.tai_chi,
        exercises.balance, exercises.front_kicks, exercises.dribble,
    )
}  # fmt: skip
