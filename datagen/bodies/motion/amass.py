"""Motion already in SMPL's parameters: AMASS's .npz takes and SURREAL's smpl_data.npz.

Both have z up, and `trans` is SMPL's transl, which is added to the rest body's pelvis: the body
rotates about its pelvis, not about the origin, so rotating the world to y up rotates J0 + trans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.convention import Convention, refuse_degrees
from datagen.common.errors import BadInput
from datagen.common.npz import MOST, Arrays, open_npz

REST_PELVIS = np.array([0.0, -0.2406, 0.0213])
"""J0 of SMPL's mean shape, metres; a take's own betas shift it by a centimetre or two."""

LONGEST = 250_000
"""Most frames of a take: 35 minutes at 120 fps; AMASS's longest has 6 minutes."""
SURREAL_RATE = 120.0
_RATES = ("mocap_framerate", "mocap_frame_rate")
AMASS = Convention()
"""z up, metres."""
_MODEL = "surface_model_type"
_MODELS = ("smpl", "star")
"""Start of the names of models with SMPL's joints: smpl, smplh, smplx, SMPL-X, star."""


def members(path: Path) -> list[str]:
    """Return the array names of an .npz without reading the arrays; [] if it is not an .npz."""
    try:
        with open_npz(path) as arrays:
            return sorted(arrays.names)
    except (OSError, ValueError):
        return []


def read_amass(
    path: Path, convention: Convention = AMASS
) -> tuple[Float[np.ndarray, "n 24 4"], Float[np.ndarray, "n 3"], float]:
    """Return local rotations [N, 24, 4], pelvis [N, 3] metres (y up) and frames per second.

    `poses` may have 72 (SMPL), 156 (SMPL+H) or 165 (SMPL-X) columns; fingers and face are dropped,
    and hands are straight. `convention`: the file's up axis and unit, if not AMASS's. Raises
    BadInput for anything else.
    """
    with _open(path) as arrays:
        rate_name = next((name for name in _RATES if name in arrays), None)
        if rate_name is None:
            raise BadInput(
                f"{path}: has no {_RATES[0]}; give an AMASS take (poses, trans, {_RATES[0]})"
            )
        _refuse_other_models(arrays, path)
        poses = _read(arrays, path, "poses", LONGEST * 165)
        trans = _read(arrays, path, "trans", LONGEST * 3)
        rate = _read(arrays, path, rate_name, 1)
    if rate.size != 1 or not 1.0 <= float(rate.ravel()[0]) <= 1000.0:
        raise BadInput(f"{path}: {rate_name} must be one number from 1 to 1000, got {rate!r:.80}")
    rotations, pelvis = _smpl(path, poses, trans, convention)
    return rotations, pelvis, float(rate.ravel()[0])


def read_surreal(
    path: Path, sequence: str, convention: Convention = AMASS
) -> tuple[Float[np.ndarray, "n 24 4"], Float[np.ndarray, "n 3"], float]:
    """Return one sequence of SURREAL's smpl_data.npz in the form of `read_amass`."""
    with _open(path) as arrays:
        poses = _read(arrays, path, f"pose_{sequence}", LONGEST * 72)
        trans = _read(arrays, path, f"trans_{sequence}", LONGEST * 3)
    rotations, pelvis = _smpl(path, poses, trans, convention)
    return rotations, pelvis, convention.rate or SURREAL_RATE


def read_arrays(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """Return numeric arrays of an .npz, float64. Raises BadInput if one cannot be read."""
    with _open(path) as arrays:
        return [_read(arrays, path, name, MOST) for name in names]


def read_betas(path: Path) -> Float32[np.ndarray, " 10"]:
    """Return the first ten betas of an AMASS take, float32 [10]; zeros if it has none.

    Raises BadInput if they are not finite.
    """
    with _open(path) as arrays:
        if "betas" not in arrays:
            return np.zeros(10, np.float32)
        betas = _read(arrays, path, "betas", LONGEST * 16).ravel()[:10]
    if not np.isfinite(betas).all() or np.abs(betas).max(initial=0.0) > 100.0:
        raise BadInput(f"{path}: betas has NaN, infinite or absurd numbers; export it again")
    return np.pad(betas, (0, 10 - len(betas))).astype(np.float32)


def _smpl(
    path: Path, poses: np.ndarray, trans: np.ndarray, convention: Convention
) -> tuple[np.ndarray, np.ndarray]:
    if poses.ndim != 2 or poses.shape[1] not in (72, 156, 165) or len(poses) < 2:
        raise BadInput(
            f"{path}: poses has shape {poses.shape}; at least 2 frames of 72, 156 or 165 numbers "
            "are needed"
        )
    if trans.shape != (len(poses), 3):
        raise BadInput(f"{path}: trans has shape {trans.shape}, it must be ({len(poses)}, 3)")
    for name, values, limit in (("poses", poses, 1e3), ("trans", trans, 1e6)):
        if not np.isfinite(values).all() or np.abs(values).max() > limit:
            raise BadInput(f"{path}: {name} has NaN, infinite or absurd numbers; export it again")
    vectors = np.zeros((len(poses), 24, 3))
    joints = 24 if poses.shape[1] == 72 else 22
    vectors[:, :joints] = poses[:, : joints * 3].reshape(len(poses), joints, 3)
    refuse_degrees(path, vectors)
    rotations = quat.from_axis_angle(vectors)
    upright = convention.upright()
    rotations[:, 0] = quat.multiply(upright, rotations[:, 0])
    return rotations, at_origin(convention) + quat.rotate(upright, convention.scale() * trans)


def at_origin(convention: Convention) -> Float[np.ndarray, " 3"]:
    """Return the pelvis [3], y up, of a take without a path, whose trans is 0."""
    return quat.rotate(convention.upright(), REST_PELVIS)


def _refuse_other_models(arrays: Arrays, path: Path) -> None:
    """Raise BadInput if a take names a model without SMPL's joints (mano, flame, smal)."""
    name = _MODELS[0]
    with suppress(KeyError, ValueError):  # the name is absent or not text
        name = "".join(arrays.read(_MODEL, 1, "US").astype("U").ravel())
    if not re.sub(r"[^a-z]", "", name.lower()).startswith(_MODELS):
        raise BadInput(
            f"{path}: holds poses of the model {name[:40]!r}; give takes of smpl, smplh or smplx"
        )


def _read(arrays: Arrays, path: Path, name: str, most: int) -> np.ndarray:
    """Return one array of at most `most` numbers as float64. Raises BadInput if it cannot be
    read."""
    try:
        return arrays.read(name, most).astype(np.float64, copy=False)
    except KeyError as why:
        raise BadInput(f"{path}: has no array {name}; give an AMASS take") from why
    except ValueError as why:
        raise BadInput(f"{path}: array {name} is not readable ({why}); copy it again") from why


@contextmanager
def _open(path: Path) -> Iterator[Arrays]:
    try:
        with open_npz(path) as arrays:
            yield arrays
    except BadInput:
        raise
    except (OSError, ValueError) as why:
        raise BadInput(f"{path}: not readable as .npz ({why}); copy it again") from why
