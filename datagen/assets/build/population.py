"""Adults with today's statures, in SMPL's T pose, and their principal shapes.

V vertices, N sampled people.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import gaussian_kde

from datagen.assets.build.rest import to_t_pose
from datagen.assets.build.rig import Rig, right, y_up
from datagen.common.record import SMPL_JOINTS

POOL = 2000
"""Candidates from which a gender's people are drawn."""
STATURE = {"male": (1.76, 0.075), "female": (1.64, 0.070)}
"""Target mean and standard deviation of adult stature, metres; an estimate for today's adults.
anny's pool and the limits below raise the men's mean to 1.79."""
STATURE_LIMITS = (1.50, 2.00)
PELVIS = np.array([0.0, -0.24, 0.02])
"""Position of SMPL's rest pelvis, metres, so that the origin is the same."""
HIP_INWARD = 0.8
"""Factor on the hips' distance. MakeHuman's hip bones start in the outer thigh, 24 cm apart for
men; the centres of real femoral heads are 17-20 cm apart, which also gives the distance of SMPL's
feet at rest."""
# SMPL's joint -> the MakeHuman bones whose mean head is its position; right as left.
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


def draw_people(rig: Rig, gender: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw adults (18-75 years) in T pose: vertices [N,V,3] and joints [N,24,3], metres.

    anny's statures follow the world population; candidates are subsampled to match STATURE.
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
    """Return the mean [V,3], ten components times their standard deviation [V,3,10], and the
    betas."""
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
