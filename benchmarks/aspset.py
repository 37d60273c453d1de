"""ASPset-510's published metrics for our predictions.

    python -m datagen.ingest aspset --root ASPset-510 --out aspset-test
    python -m trainer.predict --shards aspset-test --out aspset-predictions
    python -m benchmarks.aspset --root ASPset-510 --predictions aspset-predictions

As in aspset510/evaluation.py, over its 17 joints: MPJPE in mm and PCK at 150 mm, each relative to
the root (pelvis) and after Procrustes alignment; on every fifth frame of the test split (its data
set class's default) and every frame of the others. `trainer.evaluate` gives PA-MPJPE over
our 14 joints. Its absolute metrics are left out, as they measure the camera's distance. Not part of
`make bench`, as users must provide the data.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from datagen.common.errors import BadInput, BadMachine
from datagen.footage import aspset
from trainer.evaluation.metrics import aligned

PLACES = {
    **{f"{side}_{part}": f"lsp_{side}_{part}"
       for side in ("right", "left")
       for part in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")},
    "head_top": "lsp_head_top", "head": "head", "neck": "lsp_neck", "spine": "spine2",
    "pelvis": "pelvis",
}  # fmt: skip
"""Our joints for each of its joints; SMPL's head, spine and pelvis differ by centimetres."""
NEAR = 150.0
"""Millimetres within which a keypoint is correct."""
TEST_STEP = 5


def measure(root: Path, predictions: Path, split: str) -> dict[str, float]:
    """Return the metrics over the split's frames.

    Raises BadInput if a prediction is missing or has no such joints.
    """
    step = TEST_STEP if split == "test" else 1
    every = []
    for source in aspset.find_sources(root, split):
        camera = aspset.read_camera(source.calibration)
        truth = 1000 * camera.see(aspset.read_joints(source.mocap))
        for phase in range(aspset.STEP):
            path = predictions / f"{source.name}_{phase}.npz"
            frames, joints = read(path)
            used = (frames % step == 0) & (frames < len(truth))
            every.append((joints[used], truth[frames[used]]))
    predicted, right = (np.concatenate(parts) for parts in zip(*every, strict=True))
    root_joint = aspset.NAMES.index("pelvis")
    rooted = [part - part[:, root_joint : root_joint + 1] for part in (predicted, right)]
    apart = np.linalg.norm(rooted[0] - rooted[1], axis=-1)
    moved = aligned(torch.from_numpy(predicted), torch.from_numpy(right)).numpy()
    near = np.linalg.norm(moved - right, axis=-1)
    return {
        "frames": len(right),
        "rr_mpjpe": float(apart.mean()), "pa_mpjpe": float(near.mean()),
        "rr_pck": float((apart <= NEAR).mean()), "pa_pck": float((near <= NEAR).mean()),
    }  # fmt: skip


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return frame numbers [L] and the 17 joints [L,17,3] mm of a file of trainer.predict."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file["names"].tolist()
            places = [names.index(PLACES[name]) for name in aspset.NAMES]
            return file["source"], 1000.0 * file["joints"][:, places]
    except (OSError, KeyError, ValueError):
        raise BadInput(
            f"{path} is no prediction of the split with SMPL's joints; predict it again"
        ) from None


def main() -> None:
    """Print the figures, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.csv")
    parser.add_argument("--predictions", type=Path, required=True, help="of trainer.predict")
    parser.add_argument("--split", choices=["train", "val", "test"], default="test")
    args = parser.parse_args()
    try:
        found = measure(args.root, args.predictions, args.split)
    except (BadInput, BadMachine) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    for name, value in found.items():
        print(f"{name:10s} {value:.4g}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
