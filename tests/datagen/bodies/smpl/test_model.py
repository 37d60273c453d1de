"""The body model: adults, SMPL's joints, and the numbers of SMPL's own equation."""

import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest
from smpl_equation import by_hand

from datagen.bodies.smpl.model import load_bodies
from datagen.common.record import EVAL_JOINTS, JOINTS, SMPL_JOINTS, SMPL_PARENTS, mirrored

# --- the open bodies -------------------------------------------------------------------------


def test_three_open_bodies_are_adults(bodies):
    assert list(bodies) == ["neutral", "male", "female"]
    for gender, body in bodies.items():
        rng = np.random.default_rng(1)
        stature = [
            np.ptp(body.rest_vertices(rng.normal(size=10).clip(-3, 3))[:, 1]) for _ in range(200)
        ]
        low, high = np.percentile(stature, [2.5, 97.5])
        assert 1.48 < low < high < 2.0, gender
        assert np.std(stature) > 0.05, gender
    assert np.ptp(bodies["male"].v_template[:, 1]) > np.ptp(bodies["female"].v_template[:, 1]) + 0.1


def test_open_bodies_stand_as_smpl_does(bodies):
    """y up, facing +z, left at +x, arms out, closed mesh turned outwards."""
    for body in bodies.values():
        joint = dict(
            zip(
                JOINTS,
                np.concatenate([body.rest_joints(), body.eval_regressor @ body.v_template]),
                strict=True,
            )
        )
        assert joint["lsp_head_top"][1] > joint["neck"][1] > joint["pelvis"][1]
        assert joint["left_wrist"][0] > 0.6 and joint["right_wrist"][0] < -0.6
        assert joint["left_foot"][2] > joint["left_ankle"][2] + 0.08
        assert abs(joint["left_wrist"][1] - joint["left_shoulder"][1]) < 0.08
        corner = body.v_template[body.faces].astype(np.float64)
        volume = np.linalg.det(corner).sum() / 6
        assert 0.04 < volume < 0.12  # m³: positive, so triangles face outwards
        edge = np.sort(body.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert (np.unique(edge, axis=0, return_counts=True)[1] == 2).all()


def test_open_joints_are_symmetric(bodies):
    for body in bodies.values():
        mirror = mirrored(SMPL_JOINTS)
        joints = body.rest_joints()
        np.testing.assert_allclose(joints[mirror] * [-1, 1, 1], joints, atol=1e-4)
        joints = body.eval_regressor @ body.v_template
        np.testing.assert_allclose(joints[mirrored(EVAL_JOINTS)] * [-1, 1, 1], joints, atol=1e-4)
        for regressor in (body.joint_regressor, body.eval_regressor):
            assert (regressor >= 0).all()
            np.testing.assert_allclose(regressor.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(body.weights.sum(1), 1, atol=1e-5)


def test_evaluation_joints_follow_the_limbs(bodies, clip):
    """A regressed limb joint stays within a few centimetres of its kinematic one in any pose."""
    limbs = [i for i, name in enumerate(EVAL_JOINTS) if name not in ("lsp_neck", "lsp_head_top")]
    kinematic = [SMPL_JOINTS.index(EVAL_JOINTS[i].removeprefix("lsp_")) for i in limbs]
    for body in bodies.values():
        _, joints = body.forward(*clip)
        gap = np.linalg.norm(joints[:, 24:][:, limbs] - joints[:, kinematic], axis=-1)
        assert gap.mean() < 0.03 and gap.max() < 0.07


def test_keypoints_divide_limbs_as_people_are_measured(bodies):
    """Thigh to shank is 0.245 : 0.246 of the stature (Winter, Biomechanics, 2009).

    The bone heads of the bodies' rig, which a detector does not see, have 0.89.
    """
    for body in bodies.values():
        vertices, _ = body.forward(np.zeros((1, 72)), np.zeros(10), np.zeros((1, 3)))
        place = dict(zip(EVAL_JOINTS, body.eval_regressor @ vertices[0], strict=True))

        def length(start: str, end: str, place=place) -> float:
            return float(np.linalg.norm(place[f"lsp_left_{start}"] - place[f"lsp_left_{end}"]))

        thigh, shank = length("hip", "knee"), length("knee", "ankle")
        assert thigh / shank == pytest.approx(0.245 / 0.246, abs=0.05)


# --- the forward pass ------------------------------------------------------------------------


def test_forward_is_smpls_equation(bodies, clip):
    for body in bodies.values():
        vertices, joints = body.forward(*clip)
        expected, kinematic = by_hand(body, *clip)
        assert vertices.dtype == joints.dtype == np.float32 and joints.shape == (6, 38, 3)
        np.testing.assert_allclose(vertices, expected, atol=1e-5)
        np.testing.assert_allclose(joints[:, :24], kinematic, atol=1e-5)
        np.testing.assert_allclose(
            joints[:, 24:], np.einsum("kv,tvi->tki", body.eval_regressor, expected), atol=1e-5
        )


def test_the_joints_of_a_long_motion_take_little_memory(bodies):
    """All its vertices would be 32 MB."""
    rng = np.random.default_rng(0)
    pose, betas, trans = 0.3 * rng.normal(size=(200, 72)), rng.normal(size=10), np.ones((200, 3))
    bodies["female"].joints(pose[:1], betas, trans[:1])  # what the first call makes stays
    tracemalloc.start()
    joints = bodies["female"].joints(pose, betas, trans)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6
    right = bodies["female"].forward(pose[95:105], betas, trans[95:105])[1]
    np.testing.assert_allclose(joints[95:105], right, atol=1e-5)
    assert bodies["female"].joints(pose[:0], betas, trans[:0]).shape == (0, 38, 3)


def test_forward_is_smplxs_own_from_the_file(clip):
    """smplx.SMPL, given the file itself and knowing nothing of our loader."""
    import smplx
    import torch
    from smplx.utils import Struct

    import datagen

    pose, betas, trans = (torch.as_tensor(part) for part in clip)
    for gender, body in load_bodies(None).items():
        file = Path(datagen.__file__).parent / "assets" / "bodies" / f"{gender}.npz"
        with np.load(file) as arrays:
            data = Struct(**{name: arrays[name] for name in arrays.files})
        theirs = smplx.SMPL("", data_struct=data, batch_size=len(pose))
        with torch.no_grad():
            output = theirs(
                betas=betas.expand(len(pose), -1),
                global_orient=pose[:, :3],
                body_pose=pose[:, 3:],
                transl=trans,
            )
        vertices, joints = body.forward(*clip)
        np.testing.assert_allclose(vertices, output.vertices, atol=1e-4)
        np.testing.assert_allclose(joints[:, :24], output.joints[:, :24], atol=1e-4)


def test_clip_length_does_not_matter(bodies, clip):
    pose, betas, trans = clip
    whole, _ = bodies["female"].forward(np.tile(pose, (6, 1)), betas, np.tile(trans, (6, 1)))
    alone, _ = bodies["female"].forward(pose[:1], betas, trans[:1])
    np.testing.assert_allclose(whole[30], alone[0], atol=1e-6)


def test_forward_refuses_wrong_shapes(bodies):
    with pytest.raises(ValueError, match=r"\[T,72\]"):
        bodies["male"].forward(np.zeros((3, 66)), np.zeros(10), np.zeros((3, 3)))


def test_reduced_model_gives_the_full_models_joints(bodies, clip):
    for body in bodies.values():
        small = types.SimpleNamespace(**body.reduced())
        small.joint_regressor = small.J_regressor
        assert len(small.v_template) < body.num_vertices / 3
        assert small.parents.tolist() == list(SMPL_PARENTS)
        vertices, kinematic = by_hand(small, *clip)
        joints = np.concatenate(
            [kinematic, np.einsum("kv,tvi->tki", small.eval_regressor, vertices)], axis=1
        )
        np.testing.assert_allclose(joints, body.forward(*clip)[1], atol=1e-5)


# --- files of users --------------------------------------------------------------------------


# --- hostile files ---------------------------------------------------------------------------
