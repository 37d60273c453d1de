"""SURREAL's texture scans, supplied by the user: real people in SMPL's UV layout."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from datagen.bodies.smpl.model import Body
from datagen.common import pictures
from datagen.common.errors import BadInput, near
from datagen.common.files import files_below

SUFFIXES = (".jpg", ".jpeg", ".png")
SMALLEST = 64
"""Least side of a texture, texels."""


def draw_scan(
    body: Body, rng: np.random.Generator, folder: Path
) -> tuple[UInt8[np.ndarray, "h w 3"], dict]:
    """Draw one of the folder's scans for the body's gender.

    Files and folders with `female` or `male` in their name are used only for that gender (SURREAL's
    textures/female/nongrey_female_0001.jpg); other files suit any body, and the neutral body takes
    any file.
    Returns uint8 [H,W,3] RGB and {"texture": its name}.

    Raises:
        BadInput: no scan for this gender, a scan that is unreadable or not square, or a body
            without UVs.
    """
    if body.uv is None:
        raise BadInput(
            f"--textures {folder} needs a body with SMPL's UVs: put SMPL's UV map (smpl_uv.obj) "
            "beside the --body files."
        )
    names = _scans(Path(folder), body.gender)
    name = names[int(rng.integers(len(names)))]
    return _read(Path(folder) / name), {"texture": name}


def scan_files(folder: Path) -> list[Path]:
    """Return all scans below a folder, sorted."""
    return [path for path in files_below(folder) if path.suffix.lower() in SUFFIXES]


@lru_cache(maxsize=8)
def _scans(folder: Path, gender: str) -> tuple[str, ...]:
    """List the scans for a gender, relative to the folder, sorted."""
    if not folder.is_dir():
        raise BadInput(f"--textures {folder} is not a folder{near(folder)}")
    other = {"male": "female", "female": "male"}.get(gender)
    names = []
    for path in scan_files(folder):
        name = path.relative_to(folder).as_posix()
        marked = "female" if "female" in name.lower() else "male" if "male" in name.lower() else ""
        if not (other and marked == other):
            names.append(name)
    if not names:
        raise BadInput(f"--textures {folder} holds no .jpg or .png for a {gender} body.")
    return tuple(sorted(names))


@lru_cache(maxsize=16)
def _read(path: Path) -> np.ndarray:
    import cv2

    try:
        picture = pictures.read(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is {error}; remove it from --textures.") from None
    height, width = picture.shape[:2]
    if height != width or height < SMALLEST:
        raise BadInput(
            f"{path} is {width} x {height}; a texture must be square, at least {SMALLEST} a side."
        )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
