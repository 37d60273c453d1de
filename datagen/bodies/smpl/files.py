"""Body model files: finds them by gender and validates their content.

V vertices, F triangles, U texture points.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from datagen.bodies.smpl.unpickle import read_pickle
from datagen.bodies.smpl.uvmap import find_uv_map, read_uv_map
from datagen.common.errors import BadInput, near
from datagen.common.files import is_own
from datagen.common.npz import open_npz
from datagen.common.record import SMPL_PARENTS

GENDERS = ("neutral", "male", "female")
SUFFIXES = (".npz", ".pkl")
"""In order of preference, if a folder holds both."""
NUM_BETAS = 10
LIMIT = 1e4
MOST = 1 << 24
"""Most numbers in one array; SMPL-X's largest, with 10,475 vertices, has 15 million."""
ARRAYS = ("v_template", "shapedirs", "posedirs", "weights", "J_regressor", "kintree_table", "f")
EXTRAS = ("vt", "ft", "eval_regressor")
"""Additional arrays of the open bodies: UVs and the regressor of the 14 evaluation joints."""
OTHER_MODELS = {52: "SMPL+H", 55: "SMPL-X", 16: "MANO", 5: "FLAME"}
_OTHER = re.compile(r"smpl[-_+]?[hx]|mano|flame|star|supr|skel")
"""Start of the names of other models' files and folders."""
_GENDER = re.compile(r"female|neutral|male|(?<![a-z])[mfn](?![a-z])")


def gender_of(path: Path) -> str | None:
    """Return a body file's gender from its name or its folder's name; None if neither has it."""
    for name in (path.stem, path.parent.name):
        found = _GENDER.search(name.lower().replace("basicmodel", ""))
        if found:
            return {"m": "male", "f": "female", "n": "neutral"}.get(found[0], found[0])
    return None


def _is_other(path: Path, body: Path) -> bool:
    """Return whether the name of a file, or of its folder below `body`, is another model's."""
    names = [path.stem, *path.relative_to(body).parent.parts]
    return any(_OTHER.match(name.lower()) for name in names)


def find_body_files(body: Path) -> dict[str, Path]:
    """Map gender to file for a body model file or a folder (searched three levels deep).

    In a folder with several models (smplx's smpl/, smplh/, smplx/), SMPL's files are used.

    Raises:
        BadInput: there is no body model file.
    """
    if body.is_file():
        if body.suffix.lower() not in SUFFIXES:
            raise BadInput(f"--body {body} must be an .npz or .pkl file, or a folder of them.")
        return {gender_of(body) or "neutral": body}
    if not body.is_dir():
        raise BadInput(f"--body {body} does not exist{near(body)}.")
    found: dict[str, Path] = {}
    paths = [
        path
        for suffix in SUFFIXES
        for depths in (("*", "*/*"), ("*/*/*",))
        for path in sorted(path for depth in depths for path in body.glob(depth + suffix))
        if gender_of(path) is not None and not path.name.startswith(".") and not is_own(path)
    ]
    for path in [path for path in paths if not _is_other(path, body)] or paths:
        found.setdefault(gender_of(path) or "neutral", path)
    if not found:
        raise BadInput(
            f"--body {body} holds no male, female or neutral .npz or .pkl; "
            "put SMPL_MALE.pkl, SMPL_FEMALE.pkl and SMPL_NEUTRAL.pkl there."
        )
    return {gender: found[gender] for gender in GENDERS if gender in found}


def used_files(body: Path) -> list[Path]:
    """Return all files from which a body model is read, including UV maps, sorted.

    Raises BadInput as `find_body_files` does.
    """
    bodies = find_body_files(body).values()
    maps = (find_uv_map(path) for path in bodies)
    return sorted({*bodies, *(path for path in maps if path is not None)})


def read_body_file(path: Path) -> dict[str, np.ndarray]:
    """Read and check one gender's arrays, with SMPL's names.

    Returns v_template float32 [V,3] metres, shapedirs float32 [V,3,10], posedirs float32 [V,3,207],
    weights float32 [V,24], J_regressor float32 [24,V], f int32 [F,3] and, if the file has them, vt
    float32 [U,2] (v up), ft int32 [F,3], eval_regressor float32 [14,V]. SMPL's UVs come from a
    *uv*.obj beside the file, if there is one.

    Raises:
        BadInput: the file is damaged, malicious or not in SMPL's layout.
    """
    raw = read_pickle(path) if path.suffix.lower() == ".pkl" else _read_npz(path)
    missing = [name for name in ARRAYS if name not in raw]
    if missing:
        raise BadInput(
            f"{path} lacks {', '.join(missing)}; --body needs an SMPL model (24 joints)."
        )
    for name in raw:
        if raw[name].dtype.kind not in "fiub":
            raise BadInput(f"{path}: {name} is not numeric; --body needs numeric arrays.")
    arrays = _checked(path, raw)
    uv_map = None if "ft" in arrays else find_uv_map(path)
    if uv_map is not None:
        arrays["vt"], arrays["ft"] = read_uv_map(uv_map, arrays["f"])
    return arrays


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open_npz(path) as arrays:
            names = [name for name in (*ARRAYS, *EXTRAS) if name in arrays]
            return {name: arrays.read(name, MOST) for name in names}
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} is not a plain .npz ({error}); use the official .pkl or a plain .npz."
        ) from error


def _checked(path: Path, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    vertices = raw["v_template"].shape[0] if raw["v_template"].ndim else 0
    joints = raw["weights"].shape[-1] if raw["weights"].ndim else 0
    if joints != len(SMPL_PARENTS):
        model = OTHER_MODELS.get(joints, f"a model of {joints} joints")
        raise BadInput(f"{path} is {model}; --body needs SMPL, with 24 joints.")
    shapes = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, None),
        "posedirs": (vertices, 3, 207),
        "weights": (vertices, 24),
        "J_regressor": (24, vertices),
        "kintree_table": (2, 24),
        "f": (None, 3),
        "vt": (None, 2),
        "ft": (raw["f"].shape[0] if raw["f"].ndim else 0, 3),
        "eval_regressor": (14, vertices),
    }
    for name, wanted in shapes.items():
        if name not in raw:
            continue
        shape = raw[name].shape
        same = len(shape) == len(wanted) and all(
            b is None or a == b for a, b in zip(shape, wanted, strict=True)
        )
        if not same or 0 in shape:
            text = " x ".join("any" if n is None else str(n) for n in wanted)
            raise BadInput(f"{path}: {name} has shape {list(shape)}, SMPL's is {text}.")
        # Metres, weights and texture coordinates: anything beyond LIMIT is damage.
        if raw[name].dtype.kind == "f" and not (np.abs(raw[name]) < LIMIT).all():
            raise BadInput(f"{path}: {name} holds NaN or absurd values; download the file again.")
    if raw["shapedirs"].shape[2] < NUM_BETAS:
        raise BadInput(f"{path}: shapedirs has fewer than {NUM_BETAS} components.")
    parents = raw["kintree_table"][0].astype(np.int64)[1:]  # the root's is -1 or 2**32 - 1
    if not np.array_equal(parents, SMPL_PARENTS[1:]):
        raise BadInput(f"{path}: kintree_table is not SMPL's tree of 24 joints.")
    for name, limit in (("f", vertices), ("ft", len(raw.get("vt", ())))):
        if name in raw and not (raw[name].min() >= 0 and raw[name].max() < limit):
            raise BadInput(f"{path}: {name} has an index outside its {limit} points.")
    if np.abs(raw["weights"].sum(1) - 1).max() > 1e-2:
        raise BadInput(f"{path}: skinning weights do not sum to 1.")
    kinds = {"f": np.int32, "ft": np.int32}
    arrays = {
        name: np.ascontiguousarray(raw[name], kinds.get(name, np.float32))
        for name in (*ARRAYS, *EXTRAS)
        if name in raw and name != "kintree_table"
    }
    arrays["shapedirs"] = np.ascontiguousarray(arrays["shapedirs"][:, :, :NUM_BETAS])
    return arrays
