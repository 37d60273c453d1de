"""The person's 2D offset in the scene, which follows the camera motion.

The paper offsets each frame of the person by the camera motion of the corresponding video frame, a
2D translation. The scene's motion is one homography per frame; evaluated at the person's position,
it gives the correct local shift for zoom, roll and a wide lens's pan. The 3D ground truth stays as
rendered: a 2D shift is not 3D motion, and the loss's weak-perspective camera absorbs it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Num

MIN_IN_VIEW = 0.5  # share of frames


def camera_offsets(
    motion: Float[np.ndarray, "t 3 3"], place: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "t 2"]:
    """Return H_{0→t}(c) − c, [T,2] pixels, for motion [T,3,3] and the person's position c [2]."""
    moved = motion[:, :, :2] @ place + motion[:, :, 2]
    return moved[:, :2] / moved[:, 2:] - place


def place(
    pelvis: np.ndarray, motion: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, bool]:
    """Return the person's offset in every frame, and whether the path was moved into view.

    c is the pelvis's mean position. If camera motion would leave the pelvis outside the frame in
    more than half of the frames that show it when rendered, the whole path is shifted so that the
    middle of its range is at the frame's centre. The paper does not specify this; it is our guess.
    It keeps clips with wide pans, which drawing another window would lose.

    Args:
        pelvis: [T,2] pixels in the person's own frames; NaN behind the camera.
        motion: [T,3,3] homographies, pixels of frame 0 → pixels of frame t.
        width, height: of a frame, pixels.

    Returns:
        offsets float64 [T,2] pixels; whether the path was shifted.
    """
    motion = np.asarray(motion, np.float64)
    rendered = inside(pelvis, width, height)
    if not rendered.any():
        return camera_offsets(motion, np.array([width - 1, height - 1]) / 2), False
    seen = pelvis[rendered]
    start = seen.mean(axis=0)
    offsets = camera_offsets(motion, start)
    if inside(seen + offsets[rendered], width, height).mean() >= MIN_IN_VIEW:
        return offsets, False
    shift = np.zeros(2)
    for _ in range(8):  # position and offsets depend on each other; converges fast
        offsets = camera_offsets(motion, start + shift)
        path = seen + offsets[rendered]
        shift = np.array([width - 1, height - 1]) / 2 - (path.min(axis=0) + path.max(axis=0)) / 2
    return offsets + shift, True


def inside(
    points: Num[np.ndarray, "*batch 2"], width: int, height: int
) -> Bool[np.ndarray, "*batch"]:
    """Return whether points [...,2] fall on a pixel of a width×height image; false for NaN."""
    limits = np.array([width, height]) - 0.5
    return np.all((points >= -0.5) & (points < limits), axis=-1)
