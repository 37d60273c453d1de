"""Make datagen/assets/motions/motions.npz.

python -m datagen.assets.build.motions FOLDER

FOLDER holds the 15 `humanoid3d_*.txt` of the PyPI package pybullet 3.2.7 (zlib licence;
`pip download --no-deps pybullet==3.2.7`, then unzip `pybullet_data/data/motions`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from datagen.bodies.deepmimic import read_deepmimic
from datagen.bodies.embedded import PATH, pack
from datagen.bodies.retarget import leg_length, resample, retarget

CLIPS = (
    "backflip", "cartwheel", "crawl", "dance_a", "dance_b", "getup_facedown", "getup_faceup",
    "jump", "kick", "punch", "roll", "run", "spin", "spinkick", "walk",
)  # fmt: skip

REFERENCE = np.array(
    [
        [0.0, -0.24, 0.02], [0.07, -0.33, 0.01], [-0.07, -0.33, 0.01], [0.0, -0.13, 0.0],
        [0.105, -0.71, 0.01], [-0.105, -0.71, 0.01], [0.0, 0.005, 0.0], [0.09, -1.11, -0.03],
        [-0.09, -1.11, -0.03], [0.0, 0.06, 0.02], [0.115, -1.165, 0.09], [-0.115, -1.165, 0.09],
        [0.0, 0.27, -0.02], [0.08, 0.18, -0.01], [-0.08, 0.18, -0.01], [0.0, 0.34, 0.03],
        [0.17, 0.21, -0.015], [-0.17, 0.21, -0.015], [0.43, 0.2, -0.04], [-0.43, 0.2, -0.04],
        [0.68, 0.21, -0.045], [-0.68, 0.21, -0.045], [0.765, 0.2, -0.06], [-0.765, 0.2, -0.06],
    ]
)  # fmt: skip
"""Rest joints of the body that the stored motions were made on: SMPL-like, metres."""


def main(folder: Path) -> None:
    """Retarget, resample and pack the captured clips."""
    arrays: dict[str, Any] = {"leg_length": np.array(leg_length(REFERENCE))}
    for name in CLIPS:
        take = read_deepmimic(folder / f"humanoid3d_{name}.txt")
        rotations, pelvis = resample(*retarget(take, REFERENCE), take.times)
        arrays[f"{name}.rotations"], arrays[f"{name}.pelvis"] = pack(rotations, pelvis)
        print(f"{name:16} {len(pelvis):4} frames")
    arrays["names"] = np.array(CLIPS)
    arrays["subjects"] = np.array(CLIPS)
    PATH.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {PATH.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
