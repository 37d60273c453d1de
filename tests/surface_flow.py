"""Exact 2D flow of a body's surface, from vertices: the yardstick of what the renderer stores.

`datagen.bodies.render` computes the same per pixel on the fly, by interpolating the next frame's
3D position over the triangle that a pixel sees. Here it is done without OpenGL: ray, triangle,
barycentric coordinates, projection.
"""

import numpy as np

from datagen.bodies.camera import project


def surface_flow(
    pixels: np.ndarray, faces: np.ndarray, now: np.ndarray, later: np.ndarray, camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the surface points seen at some pixels to the next frame.

    Args:
        pixels: [N,2] (x, y).
        faces: int [F,3].
        now, later: vertices [V,3] of both frames, camera frame, metres.
        camera: K [3,3].

    Returns:
        (flow float64 [N,2] pixels, depth float64 [N] metres), both NaN where a pixel sees nothing.
    """
    flow = np.full((len(pixels), 2), np.nan)
    depth = np.full(len(pixels), np.nan)
    camera = camera.astype(np.float64)
    corners = now.astype(np.float64)[faces]
    # A ray meets a triangle at weights proportional to its triple products with the edges' planes.
    planes = np.cross(corners[:, [1, 2, 0]], corners[:, [2, 0, 1]])
    on_image = project(corners, camera)
    low, high = on_image.min(1), on_image.max(1)
    for index, pixel in enumerate(pixels):
        near = np.flatnonzero(((low <= pixel) & (pixel <= high)).all(1))
        weights = planes[near] @ np.linalg.solve(camera, [*pixel, 1.0])
        with np.errstate(invalid="ignore", divide="ignore"):  # triangles seen edge-on
            weights /= weights.sum(1, keepdims=True)
        z = (weights * corners[near, :, 2]).sum(1)
        hit = np.flatnonzero((weights >= -1e-9).all(1) & (z > 0))
        if len(hit):
            first = hit[z[hit].argmin()]
            point = weights[first] @ later.astype(np.float64)[faces[near[first]]]
            flow[index] = project(point, camera) - pixel
            depth[index] = z[first]
    return flow, depth
