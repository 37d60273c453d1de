"""The 14 evaluation joints as a linear function of the posed surface.

Three sources, best first: the body file's own `eval_regressor` (the open bodies), the user's
regressor file for SMPL's 6890 vertices (H36M's 17 rows or cocoplus's 19), and SMPL's own kinematic
regressor, whose hips lie closer to the midline than annotators place them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from datagen.common.errors import BadInput
from datagen.common.npz import read_npy
from datagen.common.record import EVAL_JOINTS, SMPL_JOINTS

H36M_TO_EVAL = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""Rows of the 17 x 6890 H36M regressor in EVAL_JOINTS' order (SPIN's H36M_TO_J14)."""
ROWS = {17: "H36M's 17 rows", 19: "cocoplus's 19 rows", 14: "a file's 14 rows"}
"""Kind of a regressor file, by its number of rows."""
KINEMATIC = "SMPL's kinematic joints and the crown"
LIMIT = 1e3
"""Largest weight of a vertex; the weights of a joint sum to 1."""
CROWN = 12
"""Number of vertices at the top of the head whose mean is the crown, without a regressor for it."""


def identity(name: str, rows: Float[np.ndarray, "14 v"]) -> dict[str, str]:
    """Return dataset.json's entry for a regressor [14,V]: its name and a hash of its content.

    The hash covers each row's non-zero weights in the order of the vertices, so it is the same for
    a body reduced to some of its vertices (body.npz).
    """
    digest = hashlib.sha256()
    for row in np.asarray(rows, np.float32):
        digest.update(row[row != 0].astype("<f4").tobytes() + b"|")
    return {"name": name, "sha256": digest.hexdigest()[:16]}


def read_regressor(path: Path, num_vertices: int) -> tuple[Float32[np.ndarray, "14 v"], str]:
    """Read the user's regressor .npy as float32 [14,V] in EVAL_JOINTS' order; also return its kind.

    17 rows are H36M's, 19 rows cocoplus's (the first 14 are used), 14 rows are used as they are.

    Raises:
        BadInput: it is unreadable or has another shape.
    """
    try:
        rows = read_npy(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"--joint-regressor {path} is not a plain .npy array ({error}).") from error
    if rows.ndim != 2:
        raise BadInput(f"--joint-regressor {path} is not a plain .npy array of two dimensions.")
    if rows.shape[0] not in (14, 17, 19) or rows.shape[1] != num_vertices:
        raise BadInput(
            f"--joint-regressor {path} is {rows.shape[0]} x {rows.shape[1]}; this body needs "
            f"17 (H36M), 19 (cocoplus) or 14 rows x {num_vertices} vertices."
        )
    if not (np.abs(rows) < LIMIT).all():
        raise BadInput(f"--joint-regressor {path} holds NaN, infinity or absurd weights.")
    name = ROWS[len(rows)]
    rows = rows[list(H36M_TO_EVAL)] if len(rows) == 17 else rows[:14]
    return np.ascontiguousarray(rows, np.float32), name


def kinematic_regressor(
    joint_regressor: Float[np.ndarray, "24 v"],
    weights: Float[np.ndarray, "v 24"],
    v_template: Float[np.ndarray, "v 3"],
) -> Float32[np.ndarray, "14 v"]:
    """Return float32 [14,V] from SMPL's kinematic rows and the crown's vertices."""
    rows = np.zeros((len(EVAL_JOINTS), len(v_template)), np.float32)
    for i, name in enumerate(EVAL_JOINTS):
        name = name.removeprefix("lsp_")
        if name == "head_top":
            height = np.where(
                weights[:, SMPL_JOINTS.index("head")] > 0.5, v_template[:, 1], -np.inf
            )
            crown = np.argsort(-height, kind="stable")[:CROWN]
            rows[i, crown] = 1 / CROWN
        else:
            rows[i] = joint_regressor[SMPL_JOINTS.index(name)]
    return rows
