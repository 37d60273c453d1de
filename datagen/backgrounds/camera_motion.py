"""How the camera moved: frame-to-frame tracks, the background's share of them, a similarity each.

The paper says only "off-the-shelf procedures" (Doersch & Zisserman 2019, section 3.1). Ours:
Shi-Tomasi corners, pyramidal Lucas-Kanade with a forward-backward check and a RANSAC similarity,
with three additions that the person pasted on top needs.

* Corners are spread over a grid, so that area votes and not texture: a patterned shirt must not
  outvote a plain wall.
* If a second motion explains nearly as many tracks, the background is the one seen in more of the
  frame, the border counting double: people cross the middle, scenes reach the edges.
* A panning wide lens moves the picture's edge more than its centre. The fit has the two terms of
  that (a turning camera's first-order homography), so they do not bend the similarity.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# T frames, H W pixels, N tracks

GRID = (6, 8)  # rows, columns over which corners are spread
PER_CELL = 8  # corners a cell, so at most 384 a frame (spec: up to 400)
QUALITY = 0.01  # weakest corner, relative to the frame's strongest
MIN_DISTANCE = 7  # pixels between corners
WINDOW = (21, 21)  # Lucas-Kanade window
LEVELS = 3  # pyramid levels above the full size
ROUND_TRIP = 1.0  # pixels by which a track may miss its start when followed back
RANSAC_ERROR = 3.0  # pixels
REFIT_ERROR = 1.5  # pixels, with the wide-lens terms
RIVAL = 0.5  # a second motion with this share of the first one's inliers is heard
STAND = 0.25  # people stand in the middle: spread of the weights, in frame widths


@dataclass(frozen=True)
class CameraMotion:
    """Camera motion of a window and how far it can be trusted.

    `motion` float32 [T,2,3] maps pixels of frame 0 to frame t, `motion[0]` is the identity.
    `inliers` and `inlier_ratio` [T-1] count, pair by pair, the tracks that follow the background;
    `shift` [T-1] is the motion of the frame's centre in pixels.
    """

    motion: np.ndarray
    inliers: np.ndarray
    inlier_ratio: np.ndarray
    shift: np.ndarray


def corners(grey: np.ndarray) -> np.ndarray:
    """Return corners of a grey uint8 [H,W] frame, float32 [N,2] (x, y), spread over the grid."""
    height, width = grey.shape
    found = cv2.goodFeaturesToTrack(
        grey, 4 * GRID[0] * GRID[1] * PER_CELL, QUALITY, MIN_DISTANCE, blockSize=5
    )
    if found is None:  # a flat frame
        return np.zeros((0, 2), np.float32)
    points = found.reshape(-1, 2)  # strongest first
    cell = (points[:, 1] * GRID[0] // height).astype(int) * GRID[1]
    cell += (points[:, 0] * GRID[1] // width).astype(int)
    order = np.argsort(cell, kind="stable")
    _, first, counts = np.unique(cell[order], return_index=True, return_counts=True)
    rank = np.arange(len(points)) - np.repeat(first, counts)  # within its cell
    return points[np.sort(order[rank < PER_CELL])]


def track(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow the corners of `before` into `after` (grey uint8 [H,W]); return both ends [N,2]."""
    start = corners(before)
    if not len(start):
        return start, start
    options = {"winSize": WINDOW, "maxLevel": LEVELS}
    end, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **options)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, end, None, **options)
    good = (found[:, 0] == 1) & (returned[:, 0] == 1)
    good &= np.linalg.norm(back - start, axis=1) < ROUND_TRIP
    return start[good], end[good]


def _similarity(start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
    """Return RANSAC's inliers bool [N], or None where no similarity can be fitted."""
    if len(start) < 3:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=RANSAC_ERROR, confidence=0.99
    )
    # OpenCV 4 returns None for degenerate points, OpenCV 5 a matrix of NaN.
    if matrix is None or not np.isfinite(matrix).all():
        return None
    return inliers[:, 0].astype(bool)


def _area(points: np.ndarray, size: tuple[int, int]) -> float:
    """Return how much of the frame (width, height) holds points: cells, those at the border twice.

    The frame's lower edge is no border here: people stand on it.
    """
    rows, columns = GRID
    row = np.clip((points[:, 1] * rows / size[1]).astype(int), 0, rows - 1)
    column = np.clip((points[:, 0] * columns / size[0]).astype(int), 0, columns - 1)
    cells = np.unique(row * columns + column)
    row, column = cells // columns, cells % columns
    border = (row == 0) | (column == 0) | (column == columns - 1)
    return float(len(cells) + border.sum())


def background_tracks(start: np.ndarray, end: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which tracks [N] follow the background, bool; none where no motion can be fitted."""
    first = _similarity(start, end)
    if first is None:
        return np.zeros(len(start), bool)
    rest = np.flatnonzero(~first)
    second = _similarity(start[rest], end[rest])
    if second is None or second.sum() < RIVAL * first.sum():
        return first
    rival = np.zeros(len(start), bool)
    rival[rest[second]] = True
    return rival if _area(start[rival], size) > _area(start[first], size) else first


def fit(start: np.ndarray, end: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the homography [3,3] of least squares among those that a turning, zooming lens makes.

    Six unknowns, linear about the frame's centre: x' = x + tx + a x - b y + x (p x + q y), and y'
    likewise.
    """
    centre = (np.float64(size) - 1) / 2
    scale = size[0] / 2.0  # unknowns of like size
    x, y = ((start - centre) / scale).T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows_x = np.stack([one, zero, x, -y, x * x, x * y], axis=1)
    rows_y = np.stack([zero, one, y, x, x * y, y * y], axis=1)
    goal = ((end - start) / scale).astype(np.float64)
    design = np.concatenate([rows_x, rows_y])
    unknowns = np.linalg.lstsq(design, goal.T.ravel(), rcond=None)[0]
    tx, ty, a, b, p, q = unknowns
    # x (1 + p x + q y) is, to first order, x / (1 - p x - q y).
    local = np.array([[1 + a, -b, tx], [b, 1 + a, ty], [-p, -q, 1.0]])
    local[:2, :2] += np.outer([tx, ty], [-p, -q])
    to_local = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, scale]]) / scale
    return np.linalg.inv(to_local) @ local @ to_local


def apply(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points [N,2] moved by a homography [3,3]."""
    moved = points @ homography[:, :2].T + homography[:, 2]
    return moved[:, :2] / moved[:, 2:]


def pair_motion(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray | None, int, int]:
    """Return the background's homography between two grey frames, its inliers and all tracks."""
    size = (before.shape[1], before.shape[0])
    start, end = track(before, after)
    inlier = background_tracks(start, end, size)
    homography = None
    for _ in range(3):
        if inlier.sum() < 6:
            return None, int(inlier.sum()), len(start)
        homography = fit(start[inlier], end[inlier], size)
        inlier = np.linalg.norm(apply(homography, start) - end, axis=1) < REFIT_ERROR
    return homography, int(inlier.sum()), len(start)


def nearest_similarity(homography: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the similarity [2,3] closest to a homography where people stand, around the centre."""
    centre = (np.float64(size) - 1) / 2
    x, y = np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-2, 2, 9))
    weight = np.exp(-(x**2 + y**2) / 2).ravel()
    points = centre + STAND * size[0] * np.stack([x.ravel(), y.ravel()], axis=1) / 2
    moved = apply(homography, points)
    mean, moved_mean = (np.average(p, axis=0, weights=weight) for p in (points, moved))
    source = (points - mean) @ [1, 1j]
    goal = (moved - moved_mean) @ [1, 1j]
    turn = (weight * np.conj(source) * goal).sum() / (weight * np.abs(source) ** 2).sum()
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, moved_mean - linear @ mean])


def camera_motion(frames: np.ndarray) -> CameraMotion:
    """Estimate the camera motion of a window.

    frames: uint8 [T,H,W,3] RGB. A pair without a fit counts as still with 0 inliers, so that the
    caller's thresholds reject it.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    size = (frames.shape[2], frames.shape[1])
    centre = (np.float64([size]) - 1) / 2
    total = np.eye(3)
    motion = [np.eye(2, 3)]
    inliers, ratio, shift = [], [], []
    for before, after in zip(grey[:-1], grey[1:], strict=True):
        homography, count, tracks = pair_motion(before, after)
        step = np.eye(3) if homography is None else homography
        inliers.append(count if homography is not None else 0)
        ratio.append(inliers[-1] / max(tracks, 1))
        shift.append(float(np.linalg.norm(apply(step, centre) - centre)))
        total = step @ total
        total /= total[2, 2]
        motion.append(nearest_similarity(total, size))
    return CameraMotion(
        motion=np.float32(motion),
        inliers=np.int32(inliers),
        inlier_ratio=np.float32(ratio),
        shift=np.float32(shift),
    )
