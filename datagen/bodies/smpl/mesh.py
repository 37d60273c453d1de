"""A body's triangles in the renderer's layout, computed once for all frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Integer
from scipy.sparse import csr_matrix


class Mesh:
    """Triangles, texture seams and normals of one body in any pose.

    V vertices, F triangles, U corners: vertices that are split along texture seams.

    Args:
        faces: int [F,3], counter-clockwise seen from outside.
        num_vertices: V.
        uv, face_uv: float [U,2] with v up, and int [F,3] into it; or None.
    """

    def __init__(
        self,
        faces: Integer[np.ndarray, "f 3"],
        num_vertices: int,
        uv: Float[np.ndarray, "u 2"] | None = None,
        face_uv: Integer[np.ndarray, "f 3"] | None = None,
    ) -> None:
        self.faces, self.uv = faces, uv
        if uv is None or face_uv is None:
            self.corners = np.arange(num_vertices)
            triangles = faces
        else:
            self.corners = np.zeros(len(uv), np.int64)
            self.corners[face_uv.ravel()] = faces.ravel()
            triangles = face_uv
        self.triangles = np.ascontiguousarray(triangles, np.uint32)
        """uint32 [F,3] indices of corners; `corners` int [U] gives each corner's vertex."""
        self.closed = is_closed(faces)
        ones = np.ones(faces.size, np.float32)
        columns = np.repeat(np.arange(len(faces)), 3)
        self._gather = csr_matrix((ones, (faces.ravel(), columns)), (num_vertices, len(faces)))
        self._columns = [np.ascontiguousarray(faces[:, corner]) for corner in range(3)]

    def normals(self, vertices: Float[np.ndarray, "v 3"]) -> Float32[np.ndarray, "v 3"]:
        """Return outward unit normals float32 [V,3] of vertices [V,3]: area-weighted means."""
        a, b, c = (vertices.take(column, axis=0) for column in self._columns)
        b -= a
        c -= a
        across = np.empty_like(a)
        across[:, 0] = b[:, 1] * c[:, 2] - b[:, 2] * c[:, 1]
        across[:, 1] = b[:, 2] * c[:, 0] - b[:, 0] * c[:, 2]
        across[:, 2] = b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]
        normals = self._gather @ across
        length = np.sqrt(np.einsum("vi,vi->v", normals, normals))
        return normals / np.maximum(length, 1e-20)[:, None]


def is_closed(faces: Integer[np.ndarray, "f 3"]) -> bool:
    """Return whether every edge of the triangles [F,3] occurs once in each direction.

    Only then are back-facing triangles always hidden.
    """
    count = int(faces.max()) + 1
    tail = faces.astype(np.int64)
    head = np.roll(tail, -1, axis=1)
    ahead = np.sort((tail * count + head).ravel())
    back = np.sort((head * count + tail).ravel())
    return bool((ahead == back).all() and (np.diff(ahead) > 0).all())
