"""One person in several calibrated views: 3D joints with constant bone lengths.

Triangulating each frame separately passes every error of the 2D detector on, so bone lengths vary.
Here, all frames of all cameras are adjusted jointly (bundle adjustment of the person; camera poses
are fixed, principal points may move) with robust reprojection errors, one length per bone, left and
right symmetric, and small accelerations. The solver is Levenberg-Marquardt on reweighted residuals,
so the same input gives the same joints.
"""

# N frames, C cameras, J joints, B bones

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy import sparse
from scipy.sparse import linalg

from datagen.common.errors import BadInput
from datagen.common.record import KEYPOINTS
from datagen.footage.calibration import Camera

COCO_SIGMA = np.array([0.89, 0.87, 1.07, 1.07, 0.87, 0.89, 0.62, 0.72, 0.79, 0.79, 0.72, 0.62])
"""COCO's annotation uncertainty by joint, in the order of record.KEYPOINTS (COCO's evaluation
code): it is larger for hips than for wrists."""
BONES = ((1, 0), (2, 1), (3, 4), (4, 5), (7, 6), (8, 7), (9, 10), (10, 11), (2, 3), (8, 9))
"""Bones as indices into record.KEYPOINTS: shanks, thighs, forearms and upper arms, hip and shoulder
width."""
ALIKE = ((0, 3), (1, 2), (4, 7), (5, 6))
"""Pairs of left and right bones."""
MEAN_BONE = 0.32
"""Mean length of BONES of an adult, metres."""


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Standard deviations of the cost terms, for any person, camera and detector.

    They were chosen beforehand, not fitted to a recording.
    """

    detector: float = 0.01
    """Of a detection, relative to the diagonal of the person's box; scaled by COCO_SIGMA per
    joint."""
    outlier: float = 2.0
    """Standard deviations at which a detection has half its weight (Cauchy loss)."""
    bone: float = 0.005
    """Of the logarithm of a limb's or the pelvis's length in a frame. In metres, the term would
    favour a smaller person."""
    shoulders: float = 0.06
    """Of the logarithm of the shoulder width in a frame; larger, because shoulders move."""
    alike: float = 0.02
    """Of the logarithm of the left-right length ratio. Counted once per frame: a detector's bias is
    the same in all frames, so more frames must not outweigh this term."""
    acceleration: float = 20.0
    """Of a joint's acceleration along an axis, m/s² for a person with a mean bone length of
    MEAN_BONE; scaled with the person, so a smaller person is not favoured."""
    principal: float = 20.0
    """Of a camera's principal point, pixels."""


@dataclass(frozen=True, eq=False)
class Adjusted:
    """The person that fits all views best."""

    joints: np.ndarray
    """[N,J,3] metres, world."""
    lengths: np.ndarray
    """[B] metres, of BONES."""
    offsets: np.ndarray
    """[C,2] pixels to add to the cameras' principal points."""
    weights: np.ndarray
    """[N,C,J] 0 to 1: weight of each detection; 0 without a detection."""
    steps: int
    """Steps of the minimisation until the cost stopped falling."""


def residuals(
    joints: Float[np.ndarray, "n j 3"],
    points: Float[np.ndarray, "n c j 3"],
    cameras: Sequence[Camera],
) -> dict[str, list[float]]:
    """Return how well joints [N,J,3] fit the detections [N,C,J,3] and keep their bone lengths.

    Gives median reprojection errors by joint and by camera, pixels; each bone's mean length,
    metres, and the standard deviation of its length over the frames, percent.
    """
    image = np.stack([camera.project(joints) for camera in cameras], 1)
    error = np.linalg.norm(image - points[..., :2], axis=-1)
    error = np.where(points[..., 2] > 0, error, np.nan)
    length = bone_lengths(joints)
    return {
        "reprojection_px": np.nanmedian(error, (0, 1)).round(1).tolist(),
        "camera_px": np.nanmedian(error, (0, 2)).round(1).tolist(),
        "bones_m": length.mean(0).round(4).tolist(),
        "bone_spread_percent": (100 * length.std(0) / length.mean(0)).round(2).tolist(),
    }


def bone_lengths(joints: Float[np.ndarray, "*batch j 3"]) -> Float[np.ndarray, "*batch b"]:
    """Return the lengths [...,B] of BONES between joints [...,J,3]."""
    a, b = np.transpose(BONES)
    return np.linalg.norm(joints[..., a, :] - joints[..., b, :], axis=-1)


def triangulate(
    points: Float[np.ndarray, "n c j 3"], cameras: Sequence[Camera], rounds: int = 10
) -> Float64[np.ndarray, "n j 3"]:
    """Triangulate each joint in each frame separately, float64 [N,J,3]; NaN if fewer than two
    views.

    Uses the homogeneous linear method (Hartley and Zisserman, section 12.2), with cameras
    reweighted by their reprojection error (Cauchy weight, 10 px).

    Args:
        points: [N,C,J,3] x, y in pixels, seen 0/1.
        cameras: C of them.
        rounds: number of reweighting rounds.
    """
    seen = points[..., 2] > 0
    projections = np.stack(
        [one.intrinsics @ np.c_[one.rotation, -one.rotation @ one.position] for one in cameras]
    )
    x, y = points[..., 0, None], points[..., 1, None]
    p = projections[:, None]  # [C,1,3,4]
    lines = np.stack([x * p[..., 2, :] - p[..., 0, :], y * p[..., 2, :] - p[..., 1, :]], -2)
    lines /= np.linalg.norm(lines[..., :3], axis=-1, keepdims=True)
    weight = seen.astype(float)
    found = np.zeros((len(points), points.shape[2], 4))
    for _ in range(rounds):
        rows = (weight[..., None, None] * lines).transpose(0, 2, 1, 3, 4)
        found = np.linalg.svd(rows.reshape(*rows.shape[:2], -1, 4))[2][..., -1, :]
        image = np.einsum("cij,nvj->ncvi", projections, found)
        depth = np.where(image[..., 2:] == 0, 1e-9, image[..., 2:])
        miss = np.where(seen[..., None], image[..., :2] / depth - points[..., :2], 0)
        weight = seen / np.sqrt(1 + (miss**2).sum(-1) / 10**2)
    joints = np.full((*found.shape[:2], 3), np.nan)
    known = seen.sum(1) >= 2
    joints[known] = found[known, :3] / found[known, 3:]
    return joints


def adjust(
    points: Float[np.ndarray, "n c 12 3"],
    cameras: Sequence[Camera],
    *,
    fps: float,
    assumptions: Assumptions | None = None,
) -> Adjusted:
    """Return the person that fits all views best.

    Args:
        points: [N,C,12,3] detections in the order of record.KEYPOINTS: x, y in pixels, seen 0/1.
        cameras: C of them, at least two.
        fps: frames per second.
        assumptions: standard deviations of the cost terms; default: those for any person.

    Raises:
        BadInput: a joint is never seen by two cameras at once, or there are fewer than 3 frames.
    """
    if len(points) < 3 or len(cameras) < 2:
        raise BadInput(
            f"{len(points)} frames of {len(cameras)} cameras are too few to adjust; "
            "at least 3 frames and 2 cameras are needed"
        )
    problem = Problem(np.asarray(points, float), cameras, fps, assumptions or Assumptions())
    start = _fill(triangulate(problem.points, cameras))
    state = np.concatenate(
        [start.ravel(), np.log(np.median(bone_lengths(start), 0)), np.zeros(2 * len(cameras))]
    )
    steps = 0
    for sharpness in (0.1, 0.3, 1.0):  # distant outliers must not dominate the start of the search
        state, spent = _minimise(problem, state, sharpness)
        steps += spent
    joints, lengths, offsets = problem.parts(state)
    return Adjusted(
        joints=joints,
        lengths=np.exp(lengths),
        offsets=offsets,
        weights=problem.weights(joints, offsets, 1.0),
        steps=steps,
    )


def _fill(joints: np.ndarray) -> np.ndarray:
    """Return [N,J,3] with unknown positions interpolated in time."""
    out = joints.copy()
    frames = np.arange(len(joints))
    for joint in range(joints.shape[1]):
        known = np.isfinite(joints[:, joint]).all(-1)
        if not known.any():
            raise BadInput(f"{KEYPOINTS[joint]} is never seen by two cameras at once")
        for axis in range(3):
            out[:, joint, axis] = np.interp(frames, frames[known], joints[known, joint, axis])
    return out


class Problem:
    """Residuals of a state: joints [N,J,3], log bone lengths [B], principal offsets [C,2], flat."""

    def __init__(
        self,
        points: Float[np.ndarray, "n c j 3"],
        cameras: Sequence[Camera],
        fps: float,
        assumptions: Assumptions,
    ) -> None:
        self.points, self.assumed = points, assumptions
        self.seen = points[..., 2] > 0
        self.frames, self.cameras, self.joints = points.shape[:3]
        self.rotation = np.stack([one.rotation for one in cameras])
        self.position = np.stack([one.position for one in cameras])
        self.intrinsics = np.stack([one.intrinsics for one in cameras])
        size = _diagonals(points)
        self.sigma = assumptions.detector * size[:, None] * COCO_SIGMA / COCO_SIGMA.mean()  # [C,J]
        self.acceleration = assumptions.acceleration / fps**2
        self.bone = np.full(len(BONES), assumptions.bone)
        self.bone[-1] = assumptions.shoulders

    def parts(
        self, state: Float[np.ndarray, " s"]
    ) -> tuple[Float[np.ndarray, "n j 3"], Float[np.ndarray, " b"], Float[np.ndarray, "c 2"]]:
        count = self.frames * self.joints * 3
        joints = state[:count].reshape(self.frames, self.joints, 3)
        lengths, offsets = np.split(state[count:], [len(BONES)])
        return joints, lengths, offsets.reshape(-1, 2)

    def seen_from(self, joints: Float[np.ndarray, "n j 3"]) -> Float[np.ndarray, "n c j 3"]:
        """Return the joints [N,C,J,3] in the cameras' frames."""
        apart = joints[:, None] - self.position[:, None]
        return np.einsum("cab,ncjb->ncja", self.rotation, apart)

    def miss(
        self, joints: Float[np.ndarray, "n j 3"], offsets: Float[np.ndarray, "c 2"]
    ) -> Float[np.ndarray, "n c j 2"]:
        """Return projection − detection [N,C,J,2], pixels."""
        image = np.einsum("cab,ncjb->ncja", self.intrinsics, self.seen_from(joints))
        return image[..., :2] / image[..., 2:] + offsets[:, None] - self.points[..., :2]

    def weights(
        self,
        joints: Float[np.ndarray, "n j 3"],
        offsets: Float[np.ndarray, "c 2"],
        sharpness: float,
    ) -> Float[np.ndarray, "n c j"]:
        """Return the Cauchy weight [N,C,J] of each detection."""
        far = (self.miss(joints, offsets) ** 2).sum(-1) / self.sigma**2
        return self.seen / (1 + far * (sharpness / self.assumed.outlier) ** 2)

    def cost(self, state: Float[np.ndarray, " s"], sharpness: float) -> float:
        """Return the cost: Cauchy loss of the reprojection errors, squares of the other
        residuals."""
        joints, lengths, offsets = self.parts(state)
        edge = (self.assumed.outlier / sharpness) ** 2
        far = (self.miss(joints, offsets) ** 2).sum(-1) / self.sigma**2
        views = edge * np.log1p(self.seen * far / edge).sum()
        return views + sum((part**2).sum() for part in self._others(joints, lengths, offsets))

    def _others(
        self, joints: np.ndarray, lengths: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Return the residuals of bones [N,B], symmetry, acceleration [N-2,J,3], offsets [C,2]."""
        left, right = np.transpose(ALIKE)
        return (
            (np.log(bone_lengths(joints)) - lengths) / self.bone,
            np.sqrt(self.frames) * (lengths[left] - lengths[right]) / self.assumed.alike,
            (joints[2:] - 2 * joints[1:-1] + joints[:-2]) * self.pace(lengths),
            offsets / self.assumed.principal,
        )

    def pace(self, lengths: Float[np.ndarray, " b"]) -> float:
        """Return the factor from second differences of the joints to residuals."""
        return MEAN_BONE / np.exp(lengths.mean()) / self.acceleration

    def linear(
        self, state: Float[np.ndarray, " s"], sharpness: float
    ) -> tuple[sparse.csr_array, Float[np.ndarray, " r"]]:
        """Return the Jacobian [R,S] of the weighted residuals, and the residuals [R]."""
        joints, lengths, offsets = self.parts(state)
        views = self._views(joints, offsets, sharpness)
        bones, alike, moves, shifts = self._others(joints, lengths, offsets)
        count = joints.size
        place = np.arange(count).reshape(joints.shape)
        length = count + np.arange(len(BONES))
        a, b = np.transpose(BONES)
        apart = joints[:, a] - joints[:, b]
        slope = apart / (apart**2).sum(-1, keepdims=True) / self.bone[:, None]
        grown = np.broadcast_to(-1 / self.bone, bones.shape)
        size = len(state)
        left, right = np.transpose(ALIKE)
        side = np.full(len(ALIKE), np.sqrt(self.frames) / self.assumed.alike)
        step = np.full(moves.shape, self.pace(lengths))
        sizes = np.broadcast_to(length, (*moves.shape, len(BONES)))
        shrunk = np.broadcast_to(-moves[..., None] / len(BONES), sizes.shape)
        shift = np.full(shifts.shape, 1 / self.assumed.principal)
        blocks = [
            views,
            _rows(bones.size, size, [(place[:, a], slope), (place[:, b], -slope),
                                     (np.broadcast_to(length, bones.shape), grown)]),
            _rows(alike.size, size, [(length[left], side), (length[right], -side)]),
            _rows(moves.size, size, [(place[2:], step), (place[1:-1], -2 * step),
                                     (place[:-2], step), (sizes, shrunk)]),
            _rows(shifts.size, size, [(size - shifts.size + np.arange(shifts.size), shift)]),
        ]  # fmt: skip
        weight = (
            np.sqrt(self.weights(joints, offsets, sharpness))[..., None] / self.sigma[..., None]
        )
        reprojection = weight * self.miss(joints, offsets)
        residuals = [reprojection, bones, alike, moves, shifts]
        return sparse.csr_array(sparse.vstack(blocks)), np.concatenate(
            [part.ravel() for part in residuals]
        )

    def _views(self, joints: np.ndarray, offsets: np.ndarray, sharpness: float) -> sparse.csr_array:
        """Return the Jacobian's rows for the reprojections."""
        x, y, z = np.moveaxis(self.seen_from(joints), -1, 0)
        fx, fy = self.intrinsics[:, 0, 0, None], self.intrinsics[:, 1, 1, None]
        zero = np.zeros_like(x)
        image = np.stack(
            [np.stack([fx / z, zero, -fx * x / z**2], -1),
             np.stack([zero, fy / z, -fy * y / z**2], -1)], -2
        )  # fmt: skip
        slope = np.einsum("ncjka,cab->ncjkb", image, self.rotation)
        weight = np.sqrt(self.weights(joints, offsets, sharpness)) / self.sigma
        slope = slope * weight[..., None, None]
        place = np.arange(joints.size).reshape(self.frames, 1, self.joints, 1, 3)
        columns = np.broadcast_to(place, slope.shape)
        size = joints.size + len(BONES) + offsets.size
        shift = size - offsets.size + np.arange(offsets.size).reshape(1, self.cameras, 1, 2)
        both = np.broadcast_to(weight[..., None], slope.shape[:-1])
        return _rows(
            both.size, size, [(columns, slope), (np.broadcast_to(shift, both.shape), both)]
        )


def _rows(
    rows: int, columns: int, entries: list[tuple[np.ndarray, np.ndarray]]
) -> sparse.csr_array:
    """Return a matrix [rows,columns] from (column, value) arrays with `rows` leading elements."""
    where, column, value = [], [], []
    for at, values in entries:
        where.append(np.repeat(np.arange(rows), values.size // rows))
        column.append(at.ravel())
        value.append(values.ravel())
    place = (np.concatenate(where), np.concatenate(column))
    return sparse.csr_array((np.concatenate(value), place), (rows, columns))


def _diagonals(points: np.ndarray) -> np.ndarray:
    """Return the median diagonal [C] of the person's box in each camera, pixels."""
    seen = points[..., 2] > 0
    spots = np.where(seen[..., None], points[..., :2], np.nan)
    empty = ~seen.any(-1)
    spots[empty] = 0
    box = np.nanmax(spots, 2) - np.nanmin(spots, 2)
    diagonal = np.where(empty, np.nan, np.linalg.norm(box, axis=-1))
    blind = empty.all(0)
    diagonal[:, blind] = 1
    return np.maximum(np.nanmedian(diagonal, 0), 1)


def _minimise(
    problem: Problem, state: np.ndarray, sharpness: float, most: int = 60
) -> tuple[np.ndarray, int]:
    """Return the state of least cost and the number of steps (Levenberg-Marquardt)."""
    cost, damping = problem.cost(state, sharpness), 1e-3
    rounds = 0
    while rounds < most:
        rounds += 1
        jacobian, residual = problem.linear(state, sharpness)
        normal = sparse.csc_array(jacobian.T @ jacobian)
        slope = jacobian.T @ residual
        while True:
            damped = sparse.csc_array(normal + sparse.diags_array(damping * normal.diagonal()))
            tried = state - linalg.spsolve(damped, slope)
            lower = problem.cost(tried, sharpness)
            if lower < cost or damping > 1e6:
                break
            damping *= 10
        if lower >= cost:
            break
        gain, state, cost = (cost - lower) / cost, tried, lower
        damping = max(damping / 10, 1e-9)
        if gain < 1e-7:
            break
    return state, rounds
