"""Motion that already is SMPL's: AMASS's .npz takes and SURREAL's smpl_data.npz.

Both have z up and give `trans` as SMPL's transl, added to the pelvis of the rest body: the body
turns about its pelvis, not about the origin, so turning the world to y up turns J0 + trans.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.convention import Convention, refuse_degrees
from datagen.common.errors import BadInput

REST_PELVIS = np.array([0.0, -0.2406, 0.0213])
"""J0 of SMPL's mean shape, metres; a take's own betas move it by a centimetre or two."""

SURREAL_RATE = 120.0
_RATES = ("mocap_framerate", "mocap_frame_rate")
AMASS = Convention()
"""z up, metres."""


def members(path: Path) -> list[str]:
    """Return the array names of an .npz without reading them; [] if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def read_amass(path: Path, convention: Convention = AMASS) -> tuple[np.ndarray, np.ndarray, float]:
    """Return local rotations [N, 24, 4], pelvis [N, 3] metres (y up) and frames per second.

    `poses` may have 72 (SMPL), 156 (SMPL+H) or 165 (SMPL-X) columns; fingers and face are left
    out, hands lie straight. `convention`: the file's up axis and unit, if not AMASS's. Raises
    BadInput for anything else.
    """
    with _open(path) as archive:
        names = set(archive.namelist())
        rate_name = next((name for name in _RATES if f"{name}.npy" in names), None)
        if rate_name is None:
            raise BadInput(
                f"{path}: has no {_RATES[0]}; give an AMASS take (poses, trans, {_RATES[0]})"
            )
        poses = _read(archive, path, "poses")
        trans = _read(archive, path, "trans")
        rate = _read(archive, path, rate_name)
    if rate.size != 1 or not 1.0 <= float(rate.ravel()[0]) <= 1000.0:
        raise BadInput(f"{path}: {rate_name} must be one number from 1 to 1000, got {rate!r:.80}")
    rotations, pelvis = _smpl(path, poses, trans, convention)
    return rotations, pelvis, float(rate.ravel()[0])


def read_surreal(
    path: Path, sequence: str, convention: Convention = AMASS
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return one sequence of SURREAL's smpl_data.npz, as `read_amass` does."""
    with _open(path) as archive:
        poses = _read(archive, path, f"pose_{sequence}")
        trans = _read(archive, path, f"trans_{sequence}")
    rotations, pelvis = _smpl(path, poses, trans, convention)
    return rotations, pelvis, convention.rate or SURREAL_RATE


def read_arrays(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """Return some numeric arrays of an .npz, float64. Raises BadInput for what cannot be read."""
    with _open(path) as archive:
        return [_read(archive, path, name) for name in names]


def read_betas(path: Path) -> np.ndarray:
    """Return the first ten shape coefficients of an AMASS take, float32 [10]; zeros if it has none.

    Raises BadInput if they are no finite numbers.
    """
    with _open(path) as archive:
        if "betas.npy" not in archive.namelist():
            return np.zeros(10, np.float32)
        betas = _read(archive, path, "betas").ravel()[:10]
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
    return rotations, quat.rotate(upright, REST_PELVIS + convention.scale() * trans)


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as why:
        raise BadInput(f"{path}: not readable as .npz ({why}); copy it again") from why


def _read(archive: zipfile.ZipFile, path: Path, name: str) -> np.ndarray:
    """Return one numeric array, refusing objects and headers that promise more than is there."""
    try:
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read_header is None:
                raise ValueError(f"unknown .npy version {version}")
            shape, _, dtype = read_header(file)
        if dtype.kind not in "fiu":
            raise ValueError(f"{name} must be numbers, it is {dtype}")
        if any(size < 0 for size in shape) or (
            np.prod(shape, dtype=np.float64) * dtype.itemsize > info.file_size
        ):
            raise ValueError(f"{name} is cut short")
        with archive.open(info) as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
    except KeyError as why:
        raise BadInput(f"{path}: has no array {name}; give an AMASS take") from why
    except (
        ValueError, TypeError, OSError, EOFError, SyntaxError, RuntimeError, MemoryError,
        OverflowError, zipfile.BadZipFile, zlib.error,
    ) as why:  # fmt: skip
        raise BadInput(f"{path}: array {name} is not readable ({why}); copy it again") from why
    return values.astype(np.float64)
