"""Bodies with scaled bones: smplx's joints at scale 1, given limb lengths, mirrored people."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from trainer_fixtures import EVAL_NAMES, LSP, mirrored, toy_body

from trainer.data.augment import mirror_pose
from trainer.data.endless.cameras import mirror_joints
from trainer.data.endless.people import StretchedBody, bone_sizes
from trainer.geometry import SMPL_MIRROR
from trainer.model.body import BONES, BodyJoints, mirror_rotations

SWUNG = [1, 2, 3, 4, 5, 6, 9, 12, 16, 17, 18, 19, 20, 21]
"""Bones that move the evaluation joints."""
REACH = {  # evaluation joints at a bone's ends: the bone between them
    "left_hip left_knee": 1, "right_hip right_knee": 2, "left_knee left_ankle": 4,
    "right_knee right_ankle": 5, "left_shoulder left_elbow": 16, "right_shoulder right_elbow": 17,
    "left_elbow left_wrist": 18, "right_elbow right_wrist": 19,
}  # fmt: skip


@pytest.fixture(scope="module")
def embedded():
    model = pytest.importorskip("datagen.bodies.smpl.model")
    try:
        return model.load_bodies(None)
    except (FileNotFoundError, ValueError, KeyError) as error:
        pytest.skip(f"no embedded body: {error}")


def poses(seed: int, frames: int, spread: float = 0.5) -> np.ndarray:
    """Random poses, float32 [T, 72]."""
    pose = np.zeros((frames, BONES, 3), np.float32)
    rng = np.random.default_rng(seed)
    pose[:, SWUNG] = rng.normal(0, spread, (frames, len(SWUNG), 3))
    pose[:, 0] = rng.normal(0, 1, (frames, 3))
    return pose.reshape(frames, 72)


def matrices(pose: np.ndarray) -> torch.Tensor:
    """Rotations [1, T, 24, 3, 3] by scipy."""
    turned = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix()
    return torch.from_numpy(turned.reshape(1, -1, BONES, 3, 3)).float()


def stretched(body: StretchedBody, pose: np.ndarray, size: torch.Tensor | None = None, **more):
    frames = len(pose)
    pelvis = torch.from_numpy(more.get("pelvis", np.zeros((frames, 3)))).float()[None]
    betas = torch.as_tensor(more.get("betas", np.zeros(10))).float()[None]
    size = torch.ones(1, BONES) if size is None else size
    return body(matrices(pose), pelvis, betas, size)[0].numpy()


@pytest.mark.parametrize("gender", ["neutral", "female", "male"])
def test_scale_one_equals_smplx_without_pose_blend_shapes(embedded, gender: str):
    """smplx's forward pass on the embedded body with pose blend shapes set to 0."""
    from dataclasses import replace

    body = embedded[gender]
    stiff = replace(body, posedirs=np.zeros_like(body.posedirs))
    pose, rng = poses(1, 20), np.random.default_rng(2)
    betas = rng.normal(0, 1.2, 10).astype(np.float32)
    trans = rng.normal(0, 1, (20, 3)).astype(np.float32)
    _, joints = stiff.forward(pose, betas, trans)
    ours = stretched(
        StretchedBody(BodyJoints(body.reduced())), pose, betas=betas, pelvis=joints[:, 0]
    )
    assert np.abs(ours - joints[:, 24:]).max() < 1e-3
    _, moving = body.forward(pose, betas, trans)
    assert np.abs(ours - moving[:, 24:]).max() < 0.03  # what the blend shapes move


def test_each_limb_has_the_given_length(embedded):
    """A limb of scale s is s times as long between its end joints."""
    body = StretchedBody(BodyJoints(embedded["neutral"].reduced()))
    pose = np.zeros((1, 72), np.float32)
    plain = stretched(body, pose)[0]
    for ends, bone in REACH.items():
        begin, end = (LSP.index(name) for name in ends.split())
        size = torch.ones(1, BONES)
        size[0, bone] = 1.3
        longer = stretched(body, pose, size)[0]
        before = np.linalg.norm(plain[end] - plain[begin])
        after = np.linalg.norm(longer[end] - longer[begin])
        assert after / before == pytest.approx(1.3, abs=0.04), ends
        others = [i for i, name in enumerate(LSP) if name.split("_")[0] != ends.split("_")[0]]
        assert np.abs(longer[others] - plain[others]).max() < 0.02, ends
    everything = stretched(body, pose, torch.full((1, BONES), 1.2))[0]
    assert np.allclose(everything - everything.mean(0), 1.2 * (plain - plain.mean(0)), atol=3e-3)


def test_bones_rotate_and_scale_as_in_a_kinematic_tree():
    """Against forward kinematics with scipy's rotations, on a body whose joints are bone ends."""
    arrays = toy_body(np.random.default_rng(0))
    joints = BodyJoints(arrays)
    rest, parents = joints.rest.double().numpy(), joints.parents
    # Evaluation joints are at the bones' origins: each bone has its own rigid vertices.
    arrays["weights"] = np.eye(BONES, dtype=np.float32)[arrays["weights"].argmax(1)]
    arrays["shapedirs"] *= 0
    body = StretchedBody(BodyJoints(arrays))
    pose, size = poses(4, 6), np.random.default_rng(5).uniform(0.8, 1.2, BONES)
    ours = stretched(body, pose, torch.from_numpy(size)[None].float())
    for t in range(6):
        local = Rotation.from_rotvec(pose[t].reshape(-1, 3))
        world, place = [local[0]], [np.zeros(3)]
        for bone in range(1, BONES):
            above = parents[bone]
            place.append(
                place[above] + world[above].apply((rest[bone] - rest[above]) * size[above])
            )
            world.append(world[above] * local[bone])
        for row, name in enumerate(LSP[:12]):
            bone = [
                "pelvis", "left_hip", "right_hip", "", "left_knee", "right_knee", "", "left_ankle",
                "right_ankle", *[""] * 7, "left_shoulder", "right_shoulder", "left_elbow",
                "right_elbow", "left_wrist", "right_wrist",
            ].index(name)  # fmt: skip
            assert np.allclose(ours[t, row], place[bone], atol=2e-4), name


def test_a_mirrored_person_is_smplx_posed_by_the_mirrored_pose(embedded):
    """smplx's joints of the mirrored pose are the mirror image, up to the body's asymmetry."""
    body = embedded["neutral"]
    pose = poses(6, 12)
    order = mirrored(EVAL_NAMES)
    _, mirrored_joints = body.forward(
        mirror_pose(torch.from_numpy(pose)).numpy(), np.zeros(10), np.zeros((12, 3))
    )
    _, joints = body.forward(pose, np.zeros(10), np.zeros((12, 3)))
    image = mirror_joints(torch.from_numpy(joints[:, 24:]), order)
    assert np.abs(image.numpy() - mirrored_joints[:, 24:]).max() < 0.02
    both = mirror_rotations(matrices(pose))
    again = matrices(mirror_pose(torch.from_numpy(pose)).numpy())
    assert torch.allclose(both, again, atol=1e-5)
    assert torch.allclose(mirror_rotations(both), matrices(pose), atol=1e-6)


def test_bone_scales_have_the_given_spread_and_are_nearly_symmetric():
    size = bone_sizes(20_000, 0.05, torch.Generator().manual_seed(0))
    assert torch.allclose(size.mean(0), torch.ones(BONES), atol=2e-3)
    limbs = [1, 2, 4, 5, 16, 17, 18, 19, 20, 21]
    assert torch.allclose(size.std(0)[limbs], torch.tensor(0.05 * 0.94), atol=1.5e-3)
    assert torch.allclose(size.std(0)[[0, 3, 12, 15]], torch.tensor(0.05 * 1.3), atol=2e-3)
    for bone in limbs:
        alike = torch.corrcoef(torch.stack((size[:, bone], size[:, SMPL_MIRROR[bone]])))[0, 1]
        assert 0.87 < alike < 0.93
    assert torch.equal(size[:, 3], size[:, 6]) and torch.equal(size[:, 3], size[:, 9])
