"""Body shapes: SURREAL's real scans if given, otherwise normally distributed betas.

SURREAL draws from 1,700 men and 2,103 women fitted to CAESAR's scans, rows of `maleshapes` and
`femaleshapes` in its smpl_data.npz: the first 80 % for its train split, the others for its test
split (datageneration/main_part1.py). They are betas of SMPL and have no meaning for other bodies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from datagen.bodies.motion.amass import members, read_arrays
from datagen.bodies.options import BodiesConfig
from datagen.common.errors import BadInput, near
from datagen.common.files import files_below
from datagen.common.splits import Split

FILE = "smpl_data.npz"
"""Name of SURREAL's file."""
ARRAYS = {"male": "maleshapes", "female": "femaleshapes"}
TRAIN = 0.8
"""Share of the scans in the train split."""
BETA_LIMIT = 3.0
"""Standard deviations at which drawn betas are clipped."""

Scans = dict[str, np.ndarray]
"""float32 [N,10] by gender, the scans of one split; empty if betas are drawn."""


@dataclass(frozen=True)
class ScanFile:
    """A file of real-scan betas, and the part to use: train, test or all."""

    path: Path
    part: str = "all"


def find_scans(cfg: BodiesConfig, split: Split) -> ScanFile | None:
    """Return the real-scan betas selected by the options; None if betas are drawn."""
    part = "test" if split == "val" else split
    if isinstance(cfg.shapes, Path):
        return ScanFile(cfg.shapes, part)
    if cfg.shapes == "normal" or cfg.body is None:
        return None
    folders = [Path(place) for place in cfg.motions if place != "embedded"]
    for path in (path for folder in folders for path in files_below(folder)):
        if path.name == FILE and set(ARRAYS.values()) <= set(members(path)):
            return ScanFile(path, part)
    return None


@lru_cache(maxsize=1)
def kept_scans(file: ScanFile | None) -> Scans:
    """Return the scans from `load`, read once per process."""
    return load(file)


def load(file: ScanFile | None) -> Scans:
    """Return the scans to draw from; empty if there is no file.

    Raises:
        BadInput: the file is damaged or has no shapes.
    """
    if file is None:
        return {}
    path = file.path
    if not path.is_file():
        raise BadInput(f"--shapes {path}: no such file{near(path)}; give SURREAL's {FILE}")
    arrays = dict(zip(ARRAYS, read_arrays(path, tuple(ARRAYS.values())), strict=True))
    for gender, rows in arrays.items():
        if rows.ndim != 2 or rows.shape[1] < 10 or len(rows) < 2:
            raise BadInput(
                f"{path}: {ARRAYS[gender]} has shape {list(rows.shape)}, wanted scans x 10"
            )
        if not (np.abs(rows) < 100).all():
            raise BadInput(f"{path}: {ARRAYS[gender]} has NaN, infinite or absurd numbers")
    kept = {"train": (0, TRAIN), "test": (TRAIN, 1), "all": (0, 1)}[file.part]
    return {
        gender: rows[int(kept[0] * len(rows)) : int(kept[1] * len(rows)), :10].astype(np.float32)
        for gender, rows in arrays.items()
    }


def draw(scans: Scans, gender: str, rng: np.random.Generator) -> Float32[np.ndarray, " 10"]:
    """Return one person's betas, float32 [10]: those of a scan, or N(0, 1) clipped at
    BETA_LIMIT."""
    if not scans:
        return np.clip(rng.standard_normal(10), -BETA_LIMIT, BETA_LIMIT).astype(np.float32)
    rows = scans.get(gender)
    rows = np.concatenate(list(scans.values())) if rows is None else rows
    return rows[rng.integers(len(rows))]


def identity(file: ScanFile) -> str:
    """Return a hash of a file's shapes, independent of the motions in it."""
    scans = load(ScanFile(file.path))
    digest = hashlib.sha256(b"".join(scans[gender].tobytes() for gender in sorted(scans)))
    return f"scans {digest.hexdigest()[:16]}"
