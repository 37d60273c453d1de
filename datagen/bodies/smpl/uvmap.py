"""SMPL's UV map, which is not in its model files: an .obj of the mesh with texture coordinates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, Integer

from datagen.common.errors import BadInput

FARTHEST = 1e3
"""Largest texture coordinate: they repeat beyond 1, but larger ones than this are damage."""


def find_uv_map(body_file: Path) -> Path | None:
    """Return the UV map (*uv*.obj) beside a body file or in the folder above, if there is one."""
    for folder in (body_file.parent, body_file.parent.parent):
        found = sorted(path for path in folder.glob("*.obj") if "uv" in path.name.lower())
        if found:
            return found[0]
    return None


def read_uv_map(
    path: Path, faces: Integer[np.ndarray, "f 3"]
) -> tuple[Float32[np.ndarray, "u 2"], Int32[np.ndarray, "f 3"]]:
    """Read texture coordinates for a mesh's triangles int [F,3].

    Returns vt float32 [U,2] and ft int32 [F,3], corner by corner as in `faces`.

    Raises:
        BadInput: it is not an .obj of triangles with texture coordinates, or has another mesh.
    """
    points, corners = [], []
    try:
        for line in path.read_text("ascii", errors="replace").splitlines():
            kind, *words = line.split() or [""]
            if kind == "vt":
                points.append([float(word) for word in words[:2]])
            elif kind == "f":
                corners.append([[int(n) for n in word.split("/")[:2]] for word in words])
        vt = np.array(points, np.float32).reshape(-1, 2)
        pairs = np.array(corners, np.int64).reshape(-1, 3, 2) - 1
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} is not a UV map: an .obj with `vt u v` and triangles `f v/vt v/vt v/vt`."
        ) from error
    inside = len(pairs) and pairs.min() >= 0 and pairs[..., 1].max() < len(vt)
    if not inside or not (np.abs(vt) <= FARTHEST).all():
        raise BadInput(f"{path} is a damaged UV map: a triangle has an invalid index.")
    if len(pairs) == len(faces):
        # Triangles may be in another order and start at another corner.
        mine, theirs = _ordered(faces), _ordered(pairs[..., 0])
        own, its = np.lexsort(mine[0].T), np.lexsort(theirs[0].T)
        if np.array_equal(mine[0][own], theirs[0][its]):
            sorted_points = np.empty((len(faces), 3), np.int32)
            sorted_points[own] = np.take_along_axis(pairs[..., 1], theirs[1], axis=1)[its]
            ft = np.empty_like(sorted_points)
            np.put_along_axis(ft, mine[1], sorted_points, axis=1)
            return vt, ft
    raise BadInput(f"{path} is the UV map of another mesh ({len(pairs)} triangles).")


def _ordered(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each triangle's vertices; return them and the order."""
    order = np.argsort(triangles, axis=1, kind="stable")
    return np.take_along_axis(triangles.astype(np.int64), order, axis=1), order
