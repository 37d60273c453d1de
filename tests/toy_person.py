"""A toy with a body's triangles and seams, for tests that need something to draw."""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation


def lump(
    rows: int = 40, columns: int = 60
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (vertices [V,3], faces, uv, face_uv) of a closed lump, 1.7 m tall, with a seam."""
    theta = np.linspace(0, np.pi, rows)
    phi = np.linspace(0, 2 * np.pi, columns + 1)
    grid = np.stack(np.meshgrid(theta, phi, indexing="ij"), -1)
    t, p = grid[..., 0], grid[..., 1] % (2 * np.pi)
    radius = 0.25 + 0.08 * np.cos(3 * p) * np.sin(t)
    points = np.stack(
        [radius * np.sin(t) * np.cos(p), 0.85 * np.cos(t), radius * np.sin(t) * np.sin(p)], -1
    )
    uv = np.stack([phi[None] / (2 * np.pi) + 0 * t, 1 - t / np.pi], -1).reshape(-1, 2)
    index = np.arange(rows * (columns + 1)).reshape(rows, columns + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    face_uv = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    vertex_of = index % (columns + 1) % columns + (index // (columns + 1)) * columns
    vertex_of[0], vertex_of[-1] = vertex_of[0, 0], vertex_of[-1, 0]  # the poles are points
    faces = vertex_of.ravel()[face_uv]
    whole = (faces != np.roll(faces, 1, axis=1)).all(1)
    faces, face_uv = faces[whole], face_uv[whole]
    vertices = points[:, :columns].reshape(-1, 3)
    return (
        vertices.astype(np.float32),
        faces.astype(np.int32),
        uv.astype(np.float32),
        face_uv.astype(np.int32),
    )


def tumble(vertices: np.ndarray, frames: int, depth: float = 6.0) -> np.ndarray:
    """Return float32 [T,V,3]: the lump turning, rocking and drifting before the camera."""
    t = np.arange(frames)
    turns = np.stack([0.4 * np.sin(t / 5), 0.06 * t, 0.3 * np.sin(t / 4)], -1)
    steps = np.stack([0.02 * t - 0.2, 0.1 * np.sin(t / 3), depth - 0.02 * t], -1)
    turned = [Rotation.from_rotvec(turn).apply(vertices) for turn in turns]
    return (np.array(turned) + steps[:, None]).astype(np.float32)


def checks(size: int = 256, cells: int = 16, seed: int = 0) -> np.ndarray:
    """Return a smooth random texture uint8 [size,size,3]."""
    coarse = np.random.default_rng(seed).integers(40, 220, (cells, cells, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def silhouette(vertices: np.ndarray, faces: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Fill every projected triangle with OpenCV, at 16 times the resolution; bool [240,320]."""
    scale = 16
    image = np.zeros((240 * scale, 320 * scale), np.uint8)
    seen = vertices @ camera.T
    corners = ((seen[:, :2] / seen[:, 2:])[faces] + 0.5) * scale - 0.5
    for triangle in np.rint(corners).astype(np.int32):
        cv2.fillConvexPoly(image, triangle, 1)
    return image[scale // 2 :: scale, scale // 2 :: scale].astype(bool)
