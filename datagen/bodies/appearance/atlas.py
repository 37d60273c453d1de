"""Maps each texel of a body's texture to the body surface, for painting clothes.

Clothes are defined by positions on the body: a sleeve ends at a distance along the arm, a hem at a
height above the knee. In the T pose, these are heights and widths between joints. So each texel
gets its rest position and, from it, garment coordinates: how far along and around its limb it is.
This works for any mesh in SMPL's layout. A body without UVs gets one texel per vertex and the same
clothes.

N painted texels, H W texels of the square texture, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from datagen.bodies.smpl.model import Body
from datagen.common.record import SMPL_JOINTS

SIZE = 512
"""Side of the texture: a texel is about 6 mm of cloth; a rendered pixel is about 12 mm."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """One body's texels in its rest pose; metres, y up, facing +z."""

    position: np.ndarray
    """float32 [N,3]."""
    part: np.ndarray
    """int8 [N]: TORSO, ARM, LEG or HEAD, from the rest position."""
    along: np.ndarray
    """float32 [N] metres along the part: outwards from the shoulder, up the torso and the legs."""
    around: np.ndarray
    """float32 [N] metres around the part's axis, 0 in front."""
    arm: np.ndarray
    """float32 [N] 0 at the shoulder joint, 1 at the elbow, 2 at the wrist; negative inside."""
    leg: np.ndarray
    """float32 [N] 0 at the hip joint, 1 at the knee, 2 at the ankle, above 2 the foot."""
    joints: dict[str, np.ndarray]
    """Rest joints [3] by name, and `crown`, the top of the head."""
    eye: np.ndarray
    """float32 [N] on an eyeball: distance from its front pole relative to its radius; else inf."""
    fill: np.ndarray
    """int32 [H,W] index of the painted texel nearest to each texel; unused texels copy it."""

    def texture(self, colours: np.ndarray) -> np.ndarray:
        """Spread colours [N,3] over the whole texture [H,W,3]."""
        return colours[self.fill]


TORSO, ARM, LEG, HEAD = range(4)


@lru_cache(maxsize=4)
def atlas(body: Body) -> Atlas:
    """Return the body's atlas, cached per process."""
    if body.uv is None or body.face_uv is None:
        position, fill = _vertex_texels(body)
    else:
        face, corner_weight, fill = _rasterise(body.uv, body.face_uv, SIZE)
        position = np.einsum("nc,nci->ni", corner_weight, body.v_template[body.faces[face]])
    joints = {
        name: joint.astype(np.float64)
        for name, joint in zip(SMPL_JOINTS, body.rest_joints(), strict=True)
    }
    joints["crown"] = body.v_template[np.argmax(body.v_template[:, 1])].astype(np.float64)
    return _tailored(position.astype(np.float32), joints, fill, _eyes(body))


def vertex_colours(body: Body, texture: np.ndarray) -> np.ndarray:
    """Sample a texture uint8 [H,W,3] at the vertices: float32 [V,3] in 0..1 (sRGB).

    For renderers with vertex colours; a vertex on a seam takes one of its texels.
    """
    height, width = texture.shape[:2]
    if body.uv is None or body.face_uv is None:
        return texture.reshape(-1, 3)[: body.num_vertices].astype(np.float32) / 255
    point = np.zeros(body.num_vertices, np.int64)
    point[body.faces.ravel()] = body.face_uv.ravel()
    u, v = np.asarray(body.uv)[point].T
    column = np.clip((u * width).astype(int), 0, width - 1)
    row = np.clip(((1 - v) * height).astype(int), 0, height - 1)
    return texture[row, column].astype(np.float32) / 255


def _vertex_texels(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Return one texel per vertex, row by row; the rest of the square repeats the last one."""
    side = int(np.ceil(np.sqrt(body.num_vertices)))
    fill = np.minimum(np.arange(side * side), body.num_vertices - 1).reshape(side, side)
    return body.v_template, fill.astype(np.int32)


def _rasterise(uv: np.ndarray, face_uv: np.ndarray, size: int):
    """Find the triangle under each texel's centre.

    Returns, for the N covered texels, face [N] and barycentric weights [N,3], and fill [H,W].
    """
    import cv2
    from scipy.ndimage import distance_transform_edt

    corner = np.stack([uv[:, 0], 1 - uv[:, 1]], 1) * size - 0.5  # texel centres at whole numbers
    corner = corner[face_uv].astype(np.float32)
    owner = np.full((size, size), -1, np.int32)
    for face, triangle in enumerate(np.round(corner * 16).astype(np.int32)):
        cv2.fillConvexPoly(owner, triangle, face, lineType=cv2.LINE_8, shift=4)
    row, column = np.nonzero(owner >= 0)
    face = owner[row, column]
    a, b, c = corner[face].transpose(1, 0, 2).astype(np.float64)
    p = np.stack([column, row], 1)

    def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    area = cross(b - a, c - a)
    area[np.abs(area) < 1e-9] = 1e-9
    weight = np.stack([cross(b - p, c - p), cross(c - p, a - p), cross(a - p, b - p)], 1)
    weight = np.clip(weight / area[:, None], 0, 1)  # triangles are dilated by half a texel
    weight /= weight.sum(1, keepdims=True)
    number = np.full((size, size), -1, np.int32)
    number[row, column] = np.arange(len(row))
    nearest = np.asarray(
        distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    )
    return face, weight.astype(np.float32), number[nearest[0], nearest[1]]


def _tailored(
    position: np.ndarray, joints: dict[str, np.ndarray], fill: np.ndarray, eyes: list
) -> Atlas:
    """Compute the garment coordinates of rest positions [N,3]."""
    x, y, z = position.T
    side = np.where(x >= 0, 1, -1)
    shoulder, elbow, wrist = (joints[f"left_{n}"] for n in ("shoulder", "elbow", "wrist"))
    hip, knee, ankle = (joints[f"left_{n}"] for n in ("hip", "knee", "ankle"))
    reach = np.abs(x)
    arm = np.interp(
        reach,
        [shoulder[0] - (elbow[0] - shoulder[0]), shoulder[0], elbow[0], wrist[0],
         2 * wrist[0] - elbow[0]],
        [-1, 0, 1, 2, 3],
    )  # fmt: skip
    leg = np.interp(
        -y,
        [-(2 * hip[1] - knee[1]), -hip[1], -knee[1], -ankle[1], -ankle[1] + 0.1],
        [-1, 0, 1, 2, 3],
    )
    fork = hip[1] - 0.07  # approximate height of the crotch
    chin = joints["head"][1]
    part = np.full(len(x), TORSO, np.int8)
    part[(y > chin) & (reach < shoulder[0])] = HEAD
    part[(arm > -0.1) & (y > shoulder[1] - 0.25)] = ARM
    part[y < fork] = LEG

    # Around a limb: the angle about its axis times a typical radius.
    axis_y = np.interp(reach, [shoulder[0], elbow[0], wrist[0]], [shoulder[1], elbow[1], wrist[1]])
    axis_z = np.interp(reach, [shoulder[0], elbow[0], wrist[0]], [shoulder[2], elbow[2], wrist[2]])
    around_arm = np.arctan2(y - axis_y, z - axis_z) * 0.05
    leg_x = np.interp(-y, [-hip[1], -knee[1], -ankle[1]], [hip[0], knee[0], ankle[0]])
    leg_z = np.interp(-y, [-hip[1], -knee[1], -ankle[1]], [hip[2], knee[2], ankle[2]])
    around_leg = np.arctan2(x - side * leg_x, z - leg_z) * 0.08
    # On the trunk: flat in front and behind, and as wide as the trunk's depth at the sides.
    at_side = np.clip((reach - 0.11) / 0.05, 0, 1)
    around_torso = x - side * at_side * (z - joints["spine2"][2])
    around = np.select([part == ARM, part == LEG], [around_arm, around_leg], around_torso)
    along = np.where(part == ARM, reach, y)

    eye = np.full(len(x), np.inf)
    for centre, radius in eyes:
        inside = np.linalg.norm(position - centre, axis=1) < radius * 1.02
        pole = centre + np.array([0, 0, radius])
        eye[inside] = np.linalg.norm(position[inside] - pole, axis=1) / radius
    as_float = {"along": along, "around": around, "arm": arm, "leg": leg, "eye": eye}
    return Atlas(
        position=position,
        part=part,
        joints=joints,
        fill=fill,
        **{name: value.astype(np.float32) for name, value in as_float.items()},
    )


def _eyes(body: Body) -> list[tuple[np.ndarray, float]]:
    """Find eyeballs, which are closed components of the mesh, as (centre, radius)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    start, end = body.faces.ravel(), np.roll(body.faces, 1, axis=1).ravel()
    count = body.num_vertices
    joined = coo_matrix((np.ones(len(start)), (start, end)), shape=(count, count)).tocsr()
    pieces, piece = connected_components(joined, directed=False)
    eyes = []
    for number in range(pieces):
        points = body.v_template[piece == number]
        if 20 <= len(points) < 0.05 * count:
            centre = (points.min(0) + points.max(0)) / 2
            eyes.append((centre, float(np.ptp(points, axis=0).max() / 2)))
    return eyes
