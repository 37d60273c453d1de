"""Make datagen/assets/motions/motions.npz.

python -m datagen.assets.build.motions FOLDER

FOLDER holds the 15 `humanoid3d_*.txt` of the package pybullet 3.2.7 (zlib licence;
`pip download --no-deps pybullet==3.2.7`, then unzip `pybullet_data/data/motions`). They are real
captures, short and athletic. Everyday motions (walking, talking, reaching, sitting...) are made
here: footsteps and key poses solved by inverse kinematics (gaits.py, acts.py, puppet.py) on the
embedded neutral body. Mirrored versions of all motions are made on loading.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datagen.assets.build.acts import ACTS
from datagen.assets.build.gaits import Gait, walk
from datagen.assets.build.puppet import enliven, solve
from datagen.bodies.motion.deepmimic import read_deepmimic
from datagen.bodies.motion.embedded import PATH, pack
from datagen.bodies.motion.retarget import ground, leg_length, resample, retarget
from datagen.bodies.smpl.model import load_bodies
from datagen.common.seeds import generator

CLIPS = (
    "backflip", "cartwheel", "crawl", "dance_a", "dance_b", "getup_facedown", "getup_faceup",
    "jump", "kick", "punch", "roll", "run", "spin", "spinkick", "walk",
)  # fmt: skip

TEMPOS = {"quick": 1.2, "slow": 0.8}
"""Tempo variants of captured clips, except those with a flight phase, whose speed gravity fixes."""

FLYING = ("backflip", "cartwheel", "jump", "run", "spinkick")

PERFORMERS = 2
"""Number of performances of every act and gait, each with another seed."""

GAITS = {
    "stroll": Gait(speed=0.8),
    "walk_on": Gait(speed=1.35),
    "walk_briskly": Gait(speed=1.8, swing=1.2, lean=5.0, elbow=0.15),
    "walk_in_a_circle": Gait(speed=1.1, turn=45.0, seconds=8.5),
    "walk_a_slalom": Gait(speed=1.2, turn=(55, -60, 60, -60, 50), seconds=9.0),
    "walk_and_stop": Gait(speed=(1.3, 1.2, 0.0, 0.0, 1.1, 1.3), seconds=9.0),
    "walk_about_turn": Gait(speed=(1.2, 0.9, 0.35, 0.9, 1.2), turn=(0, 40, 130, 40, 0)),
    "walk_backwards": Gait(speed=-0.7, swing=0.6),
    "sidestep": Gait(speed=0.6, sideways=True, width=0.15, swing=0.2, lean=1.0),
    "turn_on_the_spot": Gait(speed=0.27, turn=70.0, lift=0.08, swing=0.4),
    "sneak": Gait(speed=0.7, crouch=0.16, lean=18.0, lift=0.14, elbow=0.7, swing=0.6, head=-12.0),
    "trudge": Gait(speed=0.75, lean=14.0, swing=0.5, head=14.0, bounce=0.6),
    "march": Gait(speed=1.1, lift=0.24, swing=1.7, lean=0.0, head=-3.0),
    "jog": Gait(speed=2.3, running=True, elbow=0.85, lean=5.0, lift=0.22, seconds=5.0),
    "jog_in_a_curve": Gait(
        speed=2.1, turn=40.0, running=True, elbow=0.85, lean=6.0, lift=0.22, seconds=6.0
    ),
    "sprint": Gait(
        speed=(3.2, 4.2, 4.4), running=True, elbow=0.95, lean=9.0, lift=0.32, swing=1.3, seconds=4.5
    ),
}


def main(folder: Path) -> None:
    """Make all motions and pack them into one file."""
    rest = load_bodies(None)["neutral"].rest_joints().astype(np.float64)
    arrays: dict[str, Any] = {"leg_length": np.array(leg_length(rest))}
    names, subjects, frames = [], [], 0
    for name, subject, rotations, pelvis in (*captured(folder, rest), *performed(rest)):
        rotations_packed, pelvis_packed = pack(rotations, pelvis)
        arrays[f"{name}.rotations"], arrays[f"{name}.pelvis"] = rotations_packed, pelvis_packed
        names.append(name)
        subjects.append(subject)
        frames += len(pelvis)
    arrays |= {"names": np.array(names), "subjects": np.array(subjects)}
    PATH.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(PATH, **arrays)
    print(
        f"{PATH}: {len(names)} motions of {len(set(subjects))} subjects, {frames / 1800:.1f} min "
        f"(twice that with mirror images), {PATH.stat().st_size / 1e6:.2f} MB"
    )


def captured(folder: Path, rest: np.ndarray) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Yield (name, subject, rotations, pelvis) of the captured clips and their tempo variants."""
    for name in CLIPS:
        take = read_deepmimic(folder / f"humanoid3d_{name}.txt")
        rotations, pelvis = retarget(take, rest)
        for tempo, factor in ({"": 1.0} if name in FLYING else {"": 1.0, **TEMPOS}).items():
            turned, moved = resample(rotations, pelvis, take.times / factor)
            full = f"{name}_{tempo}" if tempo else name
            yield full, name, turned, ground(turned, moved, rest)


def performed(rest: np.ndarray) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Yield the same for acts and gaits; the performers of one act count as one subject."""
    for name in (*GAITS, *ACTS):
        for performer in range(1, PERFORMERS + 1):
            rng = generator(0, "motion", name, performer)
            if name in GAITS:
                controls = walk(_personal(GAITS[name], rng))
                enliven(controls, rng, 0.5)
            else:
                controls = ACTS[name](rng)
                enliven(controls, rng)
            rotations, pelvis = solve(controls, rest)
            yield f"{name}_{performer}", name, rotations, pelvis


def _personal(gait: Gait, rng: np.random.Generator) -> Gait:
    """Return a performer's individual version of the gait: slightly different speed, width,
    posture."""
    pace = float(rng.uniform(0.9, 1.1))
    return replace(
        gait,
        speed=tuple(pace * speed for speed in np.atleast_1d(gait.speed).tolist()),
        lean=gait.lean + float(rng.normal(0, 1.5)),
        width=gait.width * float(rng.uniform(0.9, 1.25)),
        swing=gait.swing * float(rng.uniform(0.7, 1.3)),
        bounce=gait.bounce * float(rng.uniform(0.7, 1.2)),
        head=gait.head + float(rng.normal(0, 4)),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
