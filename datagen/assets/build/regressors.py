"""Joints as non-negative weighted sums of vertices: SMPL's 24 and the 14 evaluation joints.

V vertices, N sampled people, P posed samples, K joints.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from datagen.assets.build.rest import skin
from datagen.assets.build.rig import Rig, right
from datagen.common.record import EVAL_JOINTS, SMPL_JOINTS, SMPL_PARENTS, mirrored

DEEP = ("pelvis", "spine1", "spine2", "spine3", "neck", "left_hip")
"""Joints far from the surface."""
SMPL_MIRROR = mirrored(SMPL_JOINTS)
EVAL_MIRROR = mirrored(EVAL_JOINTS)


def fit_joint_regressor(people: np.ndarray, joints: np.ndarray, rig: Rig) -> np.ndarray:
    """Fit SMPL's J_regressor [24,V]: kinematic joints from the rest surface."""
    # Wide for the spine: its joints lie deep and need vertices on all sides.
    reach = [slice(0, 4000, 12) if joint in DEEP else slice(0, 1200, 5) for joint in SMPL_JOINTS]
    near = nearest(people, joints, reach)
    rows = fit_rows(people[::4], joints[::4], near, SMPL_MIRROR, rig.twin)
    error = np.linalg.norm(np.einsum("kv,nvi->nki", rows, people) - joints, axis=-1)
    print("  kinematic joints, mean error mm:", (error.mean(0) * 1e3).round(1))
    return rows


def fit_eval_regressor(people: np.ndarray, joints: np.ndarray, rig: Rig) -> np.ndarray:
    """Return the evaluation regressor [14,V], whose joints are where detectors place them.

    The limb joints are COCO's keypoints from anny's own regressor. The rig's bone heads are not
    suitable: its hips and knees lie 2 cm higher, its ankles 2 cm and its shoulders 3 cm lower, so a
    network would interpret detected keypoints as another or a leaning body. The neck (at its base,
    a third of the way down to the collar bones) and the crown are fitted on posed surfaces.
    """
    rng = np.random.default_rng(3)
    chosen = rng.choice(len(people), 150, replace=False)
    rest, bones = people[chosen], joints[chosen]
    places, rides = neck_and_crown(rest, bones)
    turn = random_turns(rng, len(rest))
    posed, posed_bones = skin(rest, bones, turn, rig.weights)
    targets = posed_bones[:, rides] + np.einsum(
        "nkij,nkj->nki", turn[:, rides], places - bones[:, rides]
    )
    near = nearest(rest, places, [slice(0, 900, 5), slice(0, 60, 2)])
    fitted = fit_rows(posed, targets, near, [0, 1], rig.twin)
    error = np.linalg.norm(np.einsum("kv,nvi->nki", fitted, posed) - targets, axis=-1)
    print("  neck and crown, mean error mm:", (error.mean(0) * 1e3).round(1))
    rows = np.stack([lightened(rig.coco[n.removeprefix("lsp_")]) for n in EVAL_JOINTS[:-2]])
    rows = (rows + rows[EVAL_MIRROR[:-2]][:, rig.twin]) / 2
    return np.concatenate([rows, fitted])


def lightened(row: np.ndarray) -> np.ndarray:
    """Return a regressor's row [V] without its many tiny weights, which changes it by 0.2 mm."""
    row = np.where(row < 1e-3 * row.max(), 0, row)
    return row / row.sum()


def neck_and_crown(people: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return their positions in the rest pose [N,2,3] and the joints that move them."""
    collar = SMPL_JOINTS.index("left_collar"), SMPL_JOINTS.index("right_collar")
    neck = (joints[:, SMPL_JOINTS.index("neck")] * 2 + joints[:, collar].mean(1)) / 3
    crown = np.argsort(-people.mean(0)[:, 1])[:30]
    places = np.stack([neck, people[:, crown].mean(1)], axis=1)
    return places, [SMPL_JOINTS.index("spine3"), SMPL_JOINTS.index("head")]


def random_turns(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw world rotations [N,24,3,3] of moderate everyday poses."""
    size = np.full(24, 0.15)
    for name in ("left_hip", "left_shoulder"):
        size[[SMPL_JOINTS.index(name), SMPL_JOINTS.index(right(name))]] = 0.45
    size[0] = 0.0
    local = Rotation.from_rotvec((rng.normal(size=(count, 24, 3)) * size[:, None]).reshape(-1, 3))
    local = local.as_matrix().reshape(count, 24, 3, 3)
    bends = {"left_knee": (1, 0, 0), "left_elbow": (0, -1, 0)}
    for name, axis in bends.items():
        for joint, flip in ((name, 1), (right(name), -1 if "elbow" in name else 1)):
            angle = rng.uniform(0, 1.9, (count, 1)) * flip
            bend = Rotation.from_rotvec(angle * np.array(axis, float)).as_matrix()
            local[:, SMPL_JOINTS.index(joint)] = bend
    turn = local.copy()
    for i, parent in enumerate(SMPL_PARENTS[1:], start=1):
        turn[:, i] = turn[:, parent] @ local[:, i]
    return turn


def nearest(people: np.ndarray, joints: np.ndarray, reach: list[slice]) -> list[np.ndarray]:
    """Return the vertices from which to fit each joint [N,K,3]: the slice `reach` of the
    nearest."""
    mean, centres = people.mean(0), joints.mean(0)
    return [
        np.argsort(np.linalg.norm(mean - centre, axis=1))[some]
        for centre, some in zip(centres, reach, strict=True)
    ]


def fit_rows(
    samples: np.ndarray,
    targets: np.ndarray,
    candidates: list[np.ndarray],
    mirror: list[int],
    twin: np.ndarray,
) -> np.ndarray:
    """Fit a symmetric regressor [K,V]: targets [P,K,3] from samples [P,V,3]."""
    rows = np.zeros((len(candidates), samples.shape[1]))
    for k, other in enumerate(mirror):
        if k <= other:  # otherwise it is the twin's mirror image
            rows[k] = fit_row(samples, targets[:, k], candidates[k], spread=0.3)
            rows[other] = rows[k][twin]
    return (rows + rows[mirror][:, twin]) / 2


def fit_row(
    samples: np.ndarray, targets: np.ndarray, candidates: np.ndarray, spread: float
) -> np.ndarray:
    """Fit non-negative weights [V] with sum 1: targets [P,3] from samples [P,V,3].

    `spread` is a ridge term that distributes the weight, so that no joint depends on three
    vertices.
    """
    count = len(candidates)
    rows = samples[:, candidates].transpose(0, 2, 1).reshape(-1, count)
    system = np.concatenate([rows, 100 * np.ones((1, count)), spread * np.eye(count)])
    answer = np.concatenate([targets.reshape(-1), [100.0], np.zeros(count)])
    weight, _ = nnls(system, answer, maxiter=50 * count)
    weight[weight < 1e-4 * weight.max()] = 0
    row = np.zeros(samples.shape[1])
    row[candidates] = weight / weight.sum()
    return row
