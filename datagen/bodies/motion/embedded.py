"""The bundled motions in assets/motions (made by assets/build/motions.py).

One .npz holds int16 quaternions and float32 pelvis paths of each motion for a reference body. Every
motion also exists mirrored, which is computed on reading.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int16

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.retarget import ground, leg_length
from datagen.common.record import SMPL_JOINTS, mirrored

PATH = Path(__file__).resolve().parents[2] / "assets" / "motions" / "motions.npz"
SCALE = 8192.0  # quantisation of a quaternion's element: 0.01 degrees
MIRRORED = "_mirrored"
_SWAP = mirrored(SMPL_JOINTS)


def catalogue() -> list[tuple[str, str]]:
    """Return (name, subject) of every embedded motion, sorted; mirror images share the subject."""
    pairs = list(_subjects().items())
    pairs += [(name + MIRRORED, subject) for name, subject in pairs]
    return sorted(pairs)


@functools.cache
def lengths() -> dict[str, int]:
    """Return the number of frames of every embedded motion."""
    with np.load(PATH) as data:
        return {name: len(data[f"{name.removesuffix(MIRRORED)}.pelvis"]) for name, _ in catalogue()}


def read(
    name: str, rest: Float[np.ndarray, "24 3"]
) -> tuple[Float[np.ndarray, "n 24 4"], Float[np.ndarray, "n 3"]]:
    """Return local rotations [N, 24, 4] and the pelvis [N, 3], metres, for a body's rest joints."""
    base = name.removesuffix(MIRRORED)
    if base not in _subjects():
        raise KeyError(f"no embedded motion is called {name}")
    with np.load(PATH) as data:
        rotations, pelvis = unpack(data[f"{base}.rotations"], data[f"{base}.pelvis"])
        scale = leg_length(rest) / float(data["leg_length"])
    if name != base:
        rotations, pelvis = mirror(rotations, pelvis)
    pelvis = pelvis * scale
    return rotations, ground(rotations, pelvis, rest)


def mirror(
    rotations: Float[np.ndarray, "n 24 4"], pelvis: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 24 4"], Float[np.ndarray, "n 3"]]:
    """Return the motion mirrored at the plane x = 0, with left and right swapped."""
    flipped = rotations[:, _SWAP] * np.array([1.0, -1.0, -1.0, 1.0])
    return flipped, pelvis * np.array([-1.0, 1.0, 1.0])


def pack(
    rotations: Float[np.ndarray, "n 24 4"], pelvis: Float[np.ndarray, "n 3"]
) -> tuple[Int16[np.ndarray, "n 24 4"], Float32[np.ndarray, "n 3"]]:
    """Return int16 steps [N, 24, 4] and the float32 path: exact to 2e-4 rad, and compressible.

    Quaternions are rounded to 1/8192 and stored as differences over time (modulo 2^16), which are
    small numbers that compress well and can be summed again without loss.
    """
    whole = np.round(quat.continuous(quat.normalise(rotations)) * SCALE).astype(np.int16)
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1])), pelvis.astype(np.float32)


def unpack(
    steps: Int16[np.ndarray, "n 24 4"], pelvis: Float32[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 24 4"], Float[np.ndarray, "n 3"]]:
    """Return the inverse of `pack`, up to its precision."""
    whole = np.cumsum(steps, axis=0, dtype=np.int16)
    return quat.normalise(whole / SCALE), pelvis.astype(np.float64)


@functools.cache
def _subjects() -> dict[str, str]:
    with np.load(PATH) as data:
        return dict(zip(data["names"].tolist(), data["subjects"].tolist(), strict=True))
