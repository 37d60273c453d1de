"""Camera motion: tracks points between frames, selects the background's, and fits a similarity.

The paper specifies only "off-the-shelf procedures" (Doersch & Zisserman 2019, section 3.1). Here:
Shi-Tomasi corners, pyramidal Lucas-Kanade with a forward-backward check and a RANSAC similarity,
with three additions for videos that show people.

* Corners are spread over a grid, so that votes count area, not texture: a patterned shirt must not
  outvote a plain wall.
* Among the motions that RANSAC finds one after the other, the background is the one seen in most of
  the frame, with more weight for the border: people cross the middle, scenes reach the edges. Noise
  tracks that follow none of them have no vote; otherwise, the shirt could win against a plain sky.
* When a wide lens pans, the edge of the picture moves more than its centre. The fit includes the
  two terms for this (the first-order homography of a rotating camera), so they do not bias the
  similarity.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

# T frames, H W pixels, N tracks

GRID = (6, 8)  # rows, columns of the grid for corners
PER_CELL = 6  # corners per cell, so at most 288 per frame
QUALITY = 0.01  # lowest corner strength, relative to the strongest in the cell
FAINT = 2e-5  # lowest absolute corner strength (least eigenvalue of the 5 x 5 structure tensor)
SPACING = 7  # a corner is the maximum within a square of this many pixels
WINDOW = (17, 17)  # Lucas-Kanade window
LEVELS = 3  # pyramid levels above the full size
STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.003)  # OpenCV's 0.01 px adds up
ROUND_TRIP = 1.0  # largest forward-backward error in pixels
RANSAC_ERROR = 1.0  # pixels; with the usual 3, a slow walker and the scene count as one motion
REFIT_ERROR = 1.0  # pixels, for the fit with the wide-lens terms
RIVALS = 3  # candidate motions for the background
RIVAL = 0.15  # least share of the tracks that a candidate must explain
BORDER = 6.0  # weight of cells at the frame's border
FEW = 2.0  # tracks: a cell has less weight if fewer follow any candidate
MEMORY = 0.75  # weight of earlier frames in a track's belief
LEARNING_MEMORY = 0.96  # the same, while beliefs are only learnt
FOREGROUND = -0.3  # belief below which a track is excluded
TRUST = 0.6  # weight of belief relative to the current frame
NEAR = 6.0  # radius in pixels over which belief spreads
STAND = (
    0.075  # standard deviation of weights around the middle, where people stand, in frame widths
)


@dataclass(frozen=True)
class CameraMotion:
    """Camera motion of a window and its reliability.

    `homography` float32 [T,3,3] maps pixels of frame 0 to frame t; `motion` float32 [T,2,3] is the
    similarity closest to it around the frame's centre. Both are the identity for frame 0.
    `inliers` and `inlier_ratio` [T-1] are the number and share of tracks that follow the background
    in each frame pair; `shift` [T-1] is the motion of the frame's centre in pixels; `competing`
    [T-1] is the area that follows the second most likely background motion, relative to the first.
    """

    homography: np.ndarray
    motion: np.ndarray
    inliers: np.ndarray
    inlier_ratio: np.ndarray
    shift: np.ndarray
    competing: np.ndarray


def corners(grey: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "n 2"]:
    """Return corners of a grey uint8 [H,W] frame, float32 [N,2] (x, y), spread over the grid."""
    strength = cv2.cornerMinEigenVal(grey, 5)
    peak = strength == cv2.dilate(strength, np.ones((SPACING, SPACING), np.uint8))
    peak[:3], peak[-3:], peak[:, :3], peak[:, -3:] = False, False, False, False
    y, x = np.nonzero(peak & (strength > FAINT))
    rows, columns = GRID
    cell = (y * rows // len(grey)) * columns + x * columns // grey.shape[1]
    # Sorted by strength within each cell.
    order = np.lexsort((x, y, -strength[y, x], cell))
    y, x, cell = y[order], x[order], cell[order]
    _, first, counts = np.unique(cell, return_index=True, return_counts=True)
    rank = np.arange(len(cell)) - np.repeat(first, counts)
    best = np.repeat(strength[y[first], x[first]], counts)
    kept = (rank < PER_CELL) & (strength[y, x] > QUALITY * best)
    return np.stack([x[kept], y[kept]], axis=1).astype(np.float32)


def track(
    before: UInt8[np.ndarray, "h w"], after: UInt8[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Track the corners of `before` to `after` (grey uint8 [H,W]); return both ends [N,2]."""
    start = corners(before)
    if not len(start):
        return start, start
    options = {"winSize": WINDOW, "maxLevel": LEVELS, "criteria": STOP}
    end, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, start.copy(), **options)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, end, end.copy(), **options)
    good = (found[:, 0] == 1) & (returned[:, 0] == 1)
    good &= np.linalg.norm(back - start, axis=1) < ROUND_TRIP
    return start[good], end[good]


def _similarity(start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
    """Return RANSAC's inliers bool [N], or None if no similarity can be fitted."""
    if len(start) < 3:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=RANSAC_ERROR, confidence=0.99
    )
    # OpenCV 4 returns None for degenerate points, OpenCV 5 a matrix of NaN.
    if matrix is None or not np.isfinite(matrix).all():
        return None
    return inliers[:, 0].astype(bool)


def _areas(start: np.ndarray, votes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the area of the frame (width, height) that follows each of R motions, float [R].

    votes: float [R,N] of N tracks for R candidate motions; a track votes for at most one. Within a
    grid cell, the candidates share the votes: tracks that follow none of them, such as noise in a
    plain sky, are ignored. Cells at the left, right and upper border have more weight. (People
    stand at the lower edge.)
    """
    rows, columns = GRID
    row = np.clip((start[:, 1] * rows / size[1]).astype(int), 0, rows - 1)
    column = np.clip((start[:, 0] * columns / size[0]).astype(int), 0, columns - 1)
    cell = row * columns + column
    decided = np.bincount(cell, (votes != 0).any(axis=0), minlength=rows * columns) + FEW
    shares = [np.bincount(cell, vote, minlength=rows * columns) / decided for vote in votes]
    weight = np.ones((rows, columns))
    weight[0] = weight[:, 0] = weight[:, -1] = BORDER
    return np.asarray(shares) @ weight.ravel()


def background_tracks(
    start: Float[np.ndarray, "n 2"],
    end: Float[np.ndarray, "n 2"],
    belief: Float[np.ndarray, " n"],
    size: tuple[int, int],
) -> tuple[Bool[np.ndarray, " n"], float]:
    """Return which tracks [N] follow the background, bool, and the competing share, 0 to 1.

    No track does if no motion can be fitted. belief: float [N], -1 foreground to 1 background,
    from earlier frames.
    """
    rivals: list[np.ndarray] = []
    unexplained = np.ones(len(start), bool)
    for candidates in (belief > FOREGROUND, np.ones(len(start), bool)):
        for _ in range(RIVALS):
            rest = np.flatnonzero(candidates & unexplained)
            found = _similarity(start[rest], end[rest])
            if found is None or found.sum() < RIVAL * len(start):
                break
            rivals.append(np.isin(np.arange(len(start)), rest[found]))
            unexplained[rest[found]] = False
    if not rivals:
        return np.zeros(len(start), bool), 0.0
    areas = _areas(start, np.asarray(rivals) * (1 + TRUST * belief), size)
    *_, second, first = [0.0, *np.sort(areas)]
    return rivals[int(np.argmax(areas))], float(second / max(first, 1e-9))


def recall(
    start: Float[np.ndarray, "n 2"],
    points: Float[np.ndarray, "m 2"],
    belief: Float[np.ndarray, " m"],
) -> Float[np.ndarray, " n"]:
    """Return the belief of tracks [N,2] that start near points [M,2] of earlier tracks."""
    if not len(points) or not len(start):
        return np.zeros(len(start))
    a, b = np.asarray(start, np.float32), np.asarray(points, np.float32)
    square = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    near = np.exp(square / np.float32(-2 * NEAR**2))
    return (near @ belief) / (near.sum(axis=1) + 0.1)


def fit(
    start: Float[np.ndarray, "n 2"], end: Float[np.ndarray, "n 2"], size: tuple[int, int]
) -> Float[np.ndarray, "3 3"]:
    """Return the least-squares homography [3,3] of a rotating, zooming camera.

    It has six unknowns, linear about the frame's centre: x' = x + tx + a x - b y + x (p x + q y),
    and y' likewise. All tracks have equal weight: more weight in the middle, where people stand,
    would fit the scene better when the camera travels, but lets a walker's edge bias the fit.
    """
    centre = (np.asarray(size, np.float64) - 1) / 2
    scale = size[0] / 2.0  # gives the unknowns similar magnitudes
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


def apply(
    homography: Float[np.ndarray, "3 3"], points: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 2"]:
    """Return points [N,2] mapped by a homography [3,3]."""
    moved = points @ homography[:, :2].T + homography[:, 2]
    return moved[:, :2] / moved[:, 2:]


@dataclass(frozen=True)
class Pair:
    """Background motion of a frame pair: homography [3,3] or None, the tracks' ends and beliefs."""

    homography: np.ndarray | None
    inliers: int
    competing: float
    points: np.ndarray
    belief: np.ndarray


NOTHING = Pair(None, 0, 0.0, np.zeros((0, 2)), np.zeros(0))


def pair_motion(
    start: np.ndarray,
    end: np.ndarray,
    size: tuple[int, int],
    earlier: Pair = NOTHING,
    *,
    learning: bool = False,
) -> Pair:
    """Return the background's motion between two frames from their tracks [N,2].

    `earlier` is the neighbouring pair, whose beliefs are propagated. While `learning`, beliefs are
    updated but not used, so one wrong pair cannot mislead the next.
    """
    belief = recalled = recall(start, earlier.points, earlier.belief)
    if learning:
        belief = np.zeros(len(start))
    inlier, competing = background_tracks(start, end, belief, size)
    homography, count = None, 0
    for _ in range(3):
        count = int(inlier.sum())
        if count < 6:
            return Pair(None, count, competing, end, belief)
        homography = fit(start[inlier], end[inlier], size)
        inlier = np.linalg.norm(apply(homography, start) - end, axis=1) < REFIT_ERROR
        if (inlier & (belief > FOREGROUND)).sum() > 0.5 * count:
            inlier &= belief > FOREGROUND
    memory = LEARNING_MEMORY if learning else MEMORY
    belief = memory * recalled + (1 - memory) * np.where(inlier, 1.0, -1.0)
    return Pair(homography, int(inlier.sum()), competing, end, belief)


def nearest_similarity(
    homography: Float[np.ndarray, "3 3"], size: tuple[int, int]
) -> Float[np.ndarray, "2 3"]:
    """Return the similarity [2,3] closest to a homography around the centre, where people stand."""
    centre = (np.asarray(size, np.float64) - 1) / 2
    x, y = np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-2, 2, 9))
    weight = np.exp(-(x**2 + y**2) / 2).ravel()
    points = centre + STAND * size[0] * np.stack([x.ravel(), y.ravel()], axis=1)
    moved = apply(homography, points)
    mean, moved_mean = (np.average(p, axis=0, weights=weight) for p in (points, moved))
    source = (points - mean) @ [1, 1j]
    goal = (moved - moved_mean) @ [1, 1j]
    turn = (weight * np.conj(source) * goal).sum() / (weight * np.abs(source) ** 2).sum()
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, moved_mean - linear @ mean])


def camera_motion(frames: UInt8[np.ndarray, "t h w 3"]) -> CameraMotion:
    """Estimate the camera motion of a window.

    frames: uint8 [T,H,W,3] RGB. A pair without a fit counts as static with 0 inliers, so the
    caller's thresholds reject it.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    size = (frames.shape[2], frames.shape[1])
    centre = (np.asarray([size], np.float64) - 1) / 2
    totals = [np.eye(3)]
    inliers, ratio, shift, competing = [], [], [], []
    tracks = [track(before, after) for before, after in pairwise(grey)]
    # A forward pass learns the background, a backward pass extends this to the start, and a second
    # forward pass measures the motion.
    pair = NOTHING
    for start, end in tracks:
        pair = pair_motion(start, end, size, pair, learning=True)
    for start, end in reversed(tracks):
        pair = pair_motion(end, start, size, pair)
    for start, end in tracks:
        pair = pair_motion(start, end, size, pair)
        step = np.eye(3) if pair.homography is None else pair.homography
        inliers.append(0 if pair.homography is None else pair.inliers)
        ratio.append(inliers[-1] / max(len(start), 1))
        shift.append(float(np.linalg.norm(apply(step, centre) - centre)))
        competing.append(pair.competing)
        total = step @ totals[-1]
        totals.append(total / total[2, 2])
    return CameraMotion(
        homography=np.asarray(totals, np.float32),
        motion=np.asarray(
            [np.eye(2, 3), *(nearest_similarity(m, size) for m in totals[1:])], np.float32
        ),
        inliers=np.asarray(inliers, np.int32),
        inlier_ratio=np.asarray(ratio, np.float32),
        shift=np.asarray(shift, np.float32),
        competing=np.asarray(competing, np.float32),
    )
