"""Motions from labels: rotations against scipy, separate takes, y up."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp
from toy_motions import LEVEL, camera_of, toy_motion
from trainer_fixtures import toy_body

from trainer.data.endless.motions import (
    MotionStore,
    gather,
    matrix_from_quaternion,
    multiply,
    one_sign,
    quaternion_from_axis_angle,
    quaternion_from_matrix,
    upright,
)
from trainer.errors import BadInput
from trainer.model.body import BONES, BodyJoints

GRAVITIES = [
    (0, 1, 0), (0, -1, 0), (1, 0, 0), (0, 0, 1), (0, 0, -1), (0.3, 0.9, -0.2), (1e-4, -1, 1e-4),
    (0, -1, 1e-5), (-0.5, -0.8, 0.4), (1, -1e-9, 0), (3, 4, 0),
]  # fmt: skip


def scipys(q: torch.Tensor) -> Rotation:
    """Return scipy's rotations; scipy has w last."""
    return Rotation.from_quat(q.roll(-1, -1).reshape(-1, 4).numpy())


def test_quaternions_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1.2, (2, 40, 3))
    a[0], a[1], a[2] = 0, [1e-8, 0, 0], [0, np.pi, 0]
    qa, qb = (quaternion_from_axis_angle(torch.from_numpy(x)) for x in (a, b))
    ra, rb = Rotation.from_rotvec(a), Rotation.from_rotvec(b)
    assert np.allclose(matrix_from_quaternion(qa), ra.as_matrix(), atol=1e-9)
    assert np.allclose(matrix_from_quaternion(multiply(qa, qb)), (ra * rb).as_matrix(), atol=1e-9)
    matrix = torch.from_numpy(rb[3].as_matrix())
    assert np.allclose(matrix_from_quaternion(quaternion_from_matrix(matrix)), matrix, atol=1e-9)


def test_one_sign_makes_quaternions_continuous():
    rng = np.random.default_rng(1)
    walk = Rotation.from_rotvec(np.cumsum(rng.normal(0, 0.3, (60, 3)), 0))
    q = torch.from_numpy(walk.as_quat()).roll(1, -1)
    q = q * torch.from_numpy(rng.choice([-1.0, 1.0], (60, 1)))
    same = one_sign(q[:, None])[:, 0]
    assert ((same[1:] * same[:-1]).sum(-1) > 0).all()
    assert np.allclose(scipys(same).as_matrix(), walk.as_matrix())
    assert len(one_sign(q[:1])) == 1


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_upright_rotates_any_gravity_down(gravity: tuple[float, ...]):
    down = torch.tensor(gravity, dtype=torch.float64)
    turn = upright(down)
    assert torch.allclose(turn @ down / down.norm(), torch.tensor([0.0, -1, 0]).double(), atol=1e-9)
    assert torch.allclose(turn @ turn.mT, torch.eye(3).double(), atol=1e-9)
    assert torch.linalg.det(turn) > 0.999
    single = upright(down.float())
    assert (single @ down.float() / down.float().norm())[1] < -0.99999


def take(first: Rotation, last: Rotation, frames: int) -> dict[str, np.ndarray]:
    """Return a take in which every bone rotates evenly from one rotation to another."""
    slerp = Slerp([0, frames - 1], Rotation.concatenate([first, last]))
    pose = np.tile(slerp(np.arange(frames)).as_rotvec(), (1, 24)).astype(np.float32)
    trans = np.linspace([0, 0, 4], [1, 2, 5], frames).astype(np.float32)
    return {"pose": pose, "trans": trans}


def test_frames_are_interpolated():
    rng = np.random.default_rng(2)
    first, last = Rotation.random(2, random_state=3)
    motions = gather([take(first, last, 30)], np.zeros(3))
    time = rng.uniform(0, 29, 50)
    q, place = motions.at(torch.from_numpy(time))
    truth = Slerp([0, 29], Rotation.concatenate([first, last]))(time)
    apart = (scipys(q[:, 5]) * truth.inv()).magnitude()
    assert apart.max() < 1.5e-3  # float16 has a precision of 1e-3
    level = np.array([1.0, -1, -1])  # a level camera's axes → the world's
    assert np.allclose(place, (np.array([0, 0, 4]) + time[:, None] / 29 * [1, 2, 1]) * level)
    assert q.dtype == place.dtype == torch.float32


def test_fractional_frames_are_exact_among_a_million():
    frames = 3_000_000
    line = torch.arange(frames)
    zero, end = torch.zeros(frames, dtype=torch.long), torch.full((frames,), frames - 1)
    quaternion = torch.tensor([1.0, 0, 0, 0]).half().expand(frames, 24, 4)
    motions = MotionStore(quaternion, (line % 2)[:, None].float().expand(frames, 3), zero, end)
    time = torch.tensor([2_000_000.25], dtype=torch.float64)
    assert torch.allclose(motions.at(time)[1], torch.tensor(0.25))


def test_clips_never_cross_the_end_of_a_take():
    one = take(Rotation.identity(), Rotation.identity(), 5)
    two = take(Rotation.from_euler("x", 90, degrees=True), Rotation.identity(), 7)
    motions = gather([one, two], np.zeros(3))
    q, place = motions.at(torch.tensor([4.0, 4.9, 5.0, 11.0, 11.9]))
    assert torch.equal(q[0], q[1]) and torch.equal(place[0], place[1])
    assert torch.equal(q[3], q[4])
    assert np.allclose(scipys(q[2, 7]).as_rotvec(), [np.pi / 2, 0, 0], atol=2e-3)
    assert motions.starts(5).tolist() == [0, 5, 6, 7]
    assert motions.starts(7).tolist() == [5]
    assert motions.starts(1).tolist() == list(range(12))
    with pytest.raises(BadInput, match=r"No motion has the 8 frames .* longest has 7"):
        motions.starts(8)


def test_shards_without_motions_are_refused():
    with pytest.raises(BadInput, match="no motion that can be read"):
        gather([], np.zeros(3))


@pytest.mark.parametrize("gravity", [LEVEL, (0, -1, 0), (0.4, 0.8, 0.3), None])
def test_joints_are_rotated_to_a_world_with_y_up(gravity):
    body = BodyJoints(toy_body(np.random.default_rng(0)))
    labels = toy_motion(np.random.default_rng(5), 40, LEVEL if gravity is None else gravity)
    down = np.asarray(labels["gravity"], float)
    if gravity is None:
        del labels["gravity"]
    betas = torch.zeros(40, 10)
    matrices = torch.from_numpy(
        Rotation.from_rotvec(labels["pose"].astype(float).reshape(-1, 3)).as_matrix()
    ).float()
    seen = body(matrices.unflatten(0, (40, BONES)), betas) + torch.from_numpy(
        labels["trans"][:, None]
    )
    motions = gather([labels], body.rest[0].numpy())
    q, pelvis = motions.at(torch.arange(40.0))
    world = body(matrix_from_quaternion(q), betas)
    world = world - world[:, :1] + pelvis[:, None]
    # Equal up to a rotation about the gravity axis: heights are those along gravity in camera axes,
    # and a rigid rotation maps one to the other.
    height = -(seen.numpy() @ down) / np.linalg.norm(down)
    assert np.allclose(world[..., 1], height, atol=4e-3)
    turn, residual = Rotation.align_vectors(
        (world - world.mean((0, 1))).reshape(-1, 3), (seen - seen.mean((0, 1))).reshape(-1, 3)
    )
    assert residual / np.sqrt(world.numel() / 3) < 2e-3
    assert np.allclose(turn.apply(down / np.linalg.norm(down)), [0, -1, 0], atol=1e-3)
    assert np.allclose(camera_of(down).apply([0, -1, 0]), down / np.linalg.norm(down), atol=1e-6)
