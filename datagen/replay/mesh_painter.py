"""Draws the body over a picture, and rotated beside it.

The prediction has a weak-perspective camera; the renderer's camera has full perspective. So each
vertex is moved to the ray of the pixel to which the weak-perspective camera projects it, at a depth
that keeps the surface's depth order: the silhouette is exactly that of the weak-perspective camera.

L frames, V vertices.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from jaxtyping import Num, UInt8
from scipy.spatial.transform import Rotation

from datagen.bodies.render.light import shade, to_linear
from datagen.bodies.render.preview import PreviewRenderer
from datagen.bodies.smpl.mesh import Mesh
from datagen.bodies.smpl.model import Body
from datagen.replay.prediction import PredictedMotion

DISTANCE = 10.0  # metres from the renderer's camera to the body's origin
LIGHT = np.array([0.65, -0.25, 0.1, 0.45, 0, 0, 0, 0, 0], np.float32)
"""Light from above and behind the viewer, in datagen.bodies.render.light's order."""
COLOUR = np.array([0.62, 0.74, 0.89])
"""sRGB of the drawn body."""
PAPER = 244
"""Grey level of the rotated view's background."""
DOWN = np.array([0.0, 1.0, 0.0])
"""Direction of gravity for a level camera."""


class Painter:
    """Draws one body into pictures up to a maximum size.

    Create one per process and keep it: closing one OpenGL context ends them all.
    """

    def __init__(self, body: Body, width: int, height: int) -> None:
        self.mesh = Mesh(body.faces, body.num_vertices)
        self.focal = float(max(width, height))
        k = np.diag([self.focal, self.focal, 1.0]).astype(np.float32)
        self._renderer = PreviewRenderer(k, width, height)
        self._look = np.tile(to_linear(COLOUR), (body.num_vertices, 1))

    def paint(
        self, picture: np.ndarray, vertices: np.ndarray, pixels: np.ndarray, opacity: float = 1.0
    ) -> np.ndarray:
        """Return the picture uint8 [H,W,3] with the body over it.

        Args:
            vertices: float [V,3] camera axes, metres; used for shading and depth order.
            pixels: float [V,2] position of each vertex in the picture.
            opacity: opacity of the body, in (0, 1].
        """
        depth = DISTANCE + vertices[:, 2:] - vertices[:, 2:].mean()
        seen = np.concatenate([pixels * depth / self.focal, depth], 1).astype(np.float32)
        shades = shade(self.mesh.normals(vertices.astype(np.float32)), LIGHT)
        drawn = self._renderer.picture(self.mesh, seen, shades, self._look)
        height, width = picture.shape[:2]
        part = drawn.colours[: max(0, height - drawn.top), : max(0, width - drawn.left)]
        if not part.size:
            return picture
        picture = picture.copy()
        under = picture[drawn.top :, drawn.left :][: part.shape[0], : part.shape[1]]
        # Colours are already weighted by their coverage of each pixel.
        cover = part[..., 3:].astype(np.float32) * (opacity / 255)
        under[:] = np.rint(under * (1 - cover) + part[..., :3] * np.float32(opacity))
        return picture


@cache  # never deleted: closing its context would end the others
def painter(body: Body, width: int, height: int) -> Painter:
    """Return this process's painter for a body and a maximum picture size."""
    return Painter(body, width, height)


def turned(
    vertices: np.ndarray, joints: np.ndarray, degrees: float, gravity: np.ndarray = DOWN
) -> np.ndarray:
    """Return vertices [L,V,3] as seen by a level camera from the side, in its axes.

    They are rotated about the pelvis: first by the shortest rotation that makes gravity [3] point
    down in the picture, then about the vertical axis.
    """
    pelvis = joints[:, :1]
    level = Rotation.align_vectors(DOWN[None], gravity[None])[0]
    turn = Rotation.from_rotvec([0.0, np.deg2rad(degrees), 0.0]) * level
    return (vertices - pelvis) @ turn.as_matrix().T + pelvis


def box(motion: PredictedMotion, map_: np.ndarray) -> np.ndarray:
    """Return the corners [4,2] of the network's crop in a picture, given the map [2,3] from crop
    pixels."""
    end = motion.image_size - 0.5
    corners = np.array([[-0.5, -0.5], [end, -0.5], [end, end], [-0.5, end]])
    return corners @ map_[:, :2].T + map_[:, 2]


def draw_box(
    picture: UInt8[np.ndarray, "h w 3"], corners: Num[np.ndarray, "c 2"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the picture with the box's outline, light on a dark edge."""
    points = [np.rint(np.clip(corners, -4096, 8192) * 16).astype(np.int32)]
    thick = max(1, round(picture.shape[0] / 360))
    picture = np.ascontiguousarray(picture)
    for colour, width in (((30, 30, 30), thick + 2), ((255, 214, 64), thick)):
        cv2.polylines(picture, points, True, colour, width, cv2.LINE_AA, shift=4)
    return picture
