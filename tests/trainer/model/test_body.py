"""The reduced body gives smplx's joints, and the joints regressed from smplx's vertices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from trainer_fixtures import toy_body

from trainer import geometry
from trainer.errors import BadInput
from trainer.model.body import BodyJoints, read_body


def smplx_joints(body: dict, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """Joints [N, 38, 3] from smplx's own linear blend skinning."""
    from smplx.lbs import lbs

    basis = body["posedirs"].reshape(-1, 207).T
    vertices, joints = lbs(
        torch.from_numpy(betas),
        torch.from_numpy(pose),
        torch.from_numpy(body["v_template"])[None],
        torch.from_numpy(body["shapedirs"]),
        torch.from_numpy(np.ascontiguousarray(basis)),
        torch.from_numpy(body["J_regressor"]),
        torch.tensor([-1, *body["parents"][1:].tolist()]),
        torch.from_numpy(body["weights"]),
    )
    regressed = torch.einsum("ev,nvc->nec", torch.from_numpy(body["eval_regressor"]), vertices)
    return torch.cat((joints, regressed), 1).numpy()


def folded_joints(body: dict, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    matrices = geometry.matrix_from_axis_angle(torch.from_numpy(pose).unflatten(1, (24, 3)))
    return BodyJoints(body)(matrices, torch.from_numpy(betas)).numpy()


def test_equals_smplx_on_a_body_of_smpls_layout():
    rng = np.random.default_rng(3)
    body = toy_body(rng)
    # Dense skinning weights and regressors over every bone and vertex.
    body["weights"] = rng.dirichlet(np.ones(24), len(body["weights"])).astype(np.float32)
    body["eval_regressor"] = rng.dirichlet(np.ones(len(body["weights"])), 14).astype(np.float32)
    pose = rng.normal(0, 0.6, (12, 72)).astype(np.float32)
    betas = rng.normal(0, 1.5, (12, 10)).astype(np.float32)
    difference = folded_joints(body, pose, betas) - smplx_joints(body, pose, betas)
    assert np.abs(difference).max() < 1e-5


def test_equals_the_generators_own_body():
    model = pytest.importorskip("datagen.bodies.smpl.model")
    try:
        body = model.load_bodies(None)["neutral"]
    except (FileNotFoundError, ValueError, KeyError) as error:
        pytest.skip(f"no embedded body yet: {error}")
    rng = np.random.default_rng(4)
    pose = rng.normal(0, 0.4, (6, 72)).astype(np.float32)
    betas = np.tile(rng.normal(0, 1, 10).astype(np.float32), (6, 1))
    _, joints = body.forward(pose, betas[0], np.zeros((6, 3), np.float32))
    assert np.abs(folded_joints(body.reduced(), pose, betas) - joints).max() < 1e-5


def test_a_body_file_of_another_layout_is_refused(tmp_path: Path):
    body = toy_body(np.random.default_rng(0))
    body["weights"] = body["weights"][:, :20]
    np.savez(tmp_path / "body.npz", **body)
    with pytest.raises(BadInput, match=r"body\.npz: weights is .* SMPL's layout"):
        read_body(tmp_path / "body.npz")
    with pytest.raises(BadInput, match=r"nothing\.npz is not a readable body file"):
        read_body(tmp_path / "nothing.npz")
