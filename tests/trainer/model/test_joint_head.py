"""The joint head: joints on keypoint rays, predictions in camera axes, mirroring."""

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from toy_rays import people, rays_of
from trainer_fixtures import EVAL_NAMES, LSP, mirrored, toy_body

from trainer.geometry import SMPL_MIRROR
from trainer.model.body import BONES, BodyJoints
from trainer.model.clip_features import Seen
from trainer.model.coordinates import view
from trainer.model.joint_head import LOG_SIGMA, JointEstimate, JointHead, skip_matrix
from trainer.model.motion_joints import MotionJoints
from trainer.training.joint_loss import in_view

KEYPOINTS = tuple(EVAL_NAMES[:12])
MIRROR = tuple(mirrored(EVAL_NAMES))


def network(seed: int = 0, channels: int = 0) -> MotionJoints:
    """A network with random weights."""
    torch.manual_seed(seed)
    return MotionJoints(
        toy_body(np.random.default_rng(0)), names=tuple(EVAL_NAMES), mirror=MIRROR,
        channels=channels, backbone="maps", lstm_width=16, lstm_layers=1, residual=True,
        keypoints=KEYPOINTS, coordinates=True,
    ).eval()  # fmt: skip


def head_saying(offset: torch.Tensor) -> JointHead:
    """A head that predicts these offsets [E, 3] for any input."""
    head = JointHead(4, EVAL_NAMES, KEYPOINTS)
    with torch.no_grad():
        head.output.weight.zero_()
        head.output.bias.copy_(torch.cat((offset.flatten(), torch.zeros(len(EVAL_NAMES)))))
    return head


def test_the_skip_connection_takes_each_limb_from_its_keypoint():
    matrix = skip_matrix(EVAL_NAMES, KEYPOINTS)
    assert torch.equal(matrix.sum(1), torch.ones(14))
    assert torch.equal(matrix[:12], torch.eye(12))
    shoulders = [i for i, name in enumerate(LSP) if "shoulder" in name]
    assert (matrix[12:, shoulders] == 0.5).all()


def test_without_offsets_joints_project_onto_their_keypoints_at_any_depth():
    """By cv2.projectPoints, with joints at d·(1 + size·z), x and y in units of size · d."""
    rng = np.random.default_rng(0)
    joints = (people(1) + torch.tensor([1.5, 0.5, 0.0])).double()
    rays = rays_of(joints).float()
    window = view(rays)
    offset = torch.zeros(14, 3)
    offset[:, 2] = torch.from_numpy(rng.normal(0, 0.5, 14))
    out = head_saying(offset)(torch.zeros(20, 9, 4), window).joints.double()
    distance = 4.0
    size = window.size.double()[:, None, None, None]
    place = out * distance * size
    place[..., 2] += distance
    camera = np.array([[900.0, 0, 320], [0, 900, 240], [0, 0, 1]])
    for b in range(20):
        turn = window.turn[b].double().numpy().T  # the view's axes → the camera's
        points = place[b, :, :12].reshape(-1, 3).detach().numpy()
        pixels, _ = cv2.projectPoints(points, cv2.Rodrigues(turn)[0], np.zeros(3), camera, None)
        truth = rays[b, ..., :2].reshape(-1, 2).double().numpy() * 900 + [320, 240]
        assert np.abs(pixels[:, 0] - truth).max() < 0.01


def test_half_precision_leaves_joints_on_their_rays():
    window = view(rays_of(people(1)).float())
    head, features = head_saying(torch.full((14, 3), 0.3)), torch.zeros(20, 9, 4)
    plain = head(features, window)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = head(features.bfloat16(), window)
    assert all(torch.equal(a, b) for a, b in zip(half, plain, strict=True))


def test_the_head_can_represent_the_ground_truth():
    """True depths as offsets give the true joints: loss target and skip connection agree."""
    joints = (people(2) + torch.tensor([1.0, -0.7, 0.0])).float()
    window = view(rays_of(joints))
    target = in_view(joints, window, torch.ones(20, 9))
    depth = (joints @ window.turn[:, None].mT)[..., 2].mean((1, 2))
    z = target[..., 2] - 1 / window.size[:, None, None]  # relative to the clip's depth
    ahead = 1 + window.size[:, None, None] * z
    assert torch.allclose(
        ahead * depth[:, None, None], (joints @ window.turn[:, None].mT)[..., 2], rtol=1e-4
    )
    assert torch.allclose(window.points * ahead[..., None], target[..., :2], atol=1e-4)


def test_sigma_is_bounded_and_rotations_are_rotations():
    head = JointHead(6, EVAL_NAMES, KEYPOINTS)
    out = head(torch.randn(5, 3, 6) * 1e3, view(rays_of(people(3)).float()[:5, :3]))
    assert out.log_sigma.min() >= LOG_SIGMA[0] and out.log_sigma.max() <= LOG_SIGMA[1]
    rotations = out.rotations
    assert rotations.shape == (5, 3, BONES, 3, 3)
    identity = torch.eye(3).expand_as(rotations)
    assert torch.allclose(rotations @ rotations.mT, identity, atol=1e-4)
    calm = head(torch.zeros(1, 1, 6), view(rays_of(people(3)).float()[:1, :1])).rotations[0, 0]
    upright = torch.diag(torch.tensor([1.0, -1, -1]))
    assert torch.allclose(calm[0], upright, atol=1e-5)
    assert torch.allclose(calm[1:], torch.eye(3).expand(BONES - 1, 3, 3), atol=1e-5)


def body_joints() -> tuple[torch.Tensor, torch.Tensor]:
    """Rotations [8, 5, 24, 3, 3] and the mean body's evaluation joints under a tilted camera."""
    rng = np.random.default_rng(4)
    turned = Rotation.from_rotvec(rng.normal(0, 0.3, (8 * 5 * BONES, 3))).as_matrix()
    rotations = torch.from_numpy(turned.reshape(8, 5, BONES, 3, 3)).float()
    arrays = toy_body(np.random.default_rng(0))
    arrays["posedirs"] *= 0
    joints = BodyJoints(arrays)(rotations.flatten(0, 1), torch.zeros(40, 10))[:, BONES:]
    return rotations, joints.unflatten(0, (8, 5)) + torch.tensor([1.0, -0.5, 5.0])


def test_predictions_are_in_the_cameras_axes_and_in_metres():
    """A perfect estimate gives the true joints about their mean, without alignment."""
    rotations, joints = body_joints()
    window = view(rays_of(joints[:, :, :12]))
    root = window.turn[:, None] @ rotations[:, :, 0]
    turned = torch.cat((root[:, :, None], rotations[:, :, 1:]), 2)
    target = in_view(joints, window, torch.ones(8, 5))
    down = torch.nn.functional.normalize(torch.tensor([0.1, 0.9, -0.3]), dim=0).expand(8, 5, 3)
    fall = down @ window.turn.mT
    estimate = JointEstimate(target - 3.0, torch.full((8, 5, 14), -2.0), turned, fall)
    prediction = network().prediction(estimate, window)
    for mine, truth in ((prediction.joints, joints),):
        mine, truth = mine - mine.mean(2, keepdim=True), truth - truth.mean(2, keepdim=True)
        assert (mine - truth).abs().max() < 0.03  # the toy's limbs stretch a little as they bend
        slope = (mine * truth).sum() / (truth * truth).sum()
        assert slope == pytest.approx(1, abs=0.02)
        assert (mine / slope - truth).norm(dim=-1).mean() < 0.01
    assert torch.allclose(prediction.rotations, rotations, atol=1e-5)
    assert torch.allclose(prediction.gravity, down, atol=1e-5)
    d = joints[..., 2].mean((1, 2))
    metres = torch.exp(torch.tensor(-2.0)) * (d * window.size)[:, None, None]
    assert torch.allclose(prediction.sigma, metres.expand(8, 5, 14), rtol=0.05)


def test_a_person_that_is_one_point_gives_finite_predictions():
    zero = JointEstimate(
        torch.zeros(2, 3, 14, 3), torch.zeros(2, 3, 14), torch.eye(3).expand(2, 3, BONES, 3, 3),
        torch.tensor([0.0, 1, 0]).expand(2, 3, 3),
    )  # fmt: skip
    window = view(torch.zeros(2, 3, 12, 3))
    prediction = network().prediction(zero, window)
    assert prediction.joints.isfinite().all() and prediction.sigma.isfinite().all()


def test_windows_without_keypoints_give_finite_predictions_and_gradients():
    rays = rays_of(people(5)).float()
    rays[0] = 0
    rays[1, 2:, 3:] = 0
    model = network().train()
    out = model(Seen(None, rays))
    outputs = (out.joints, out.rotations, out.sigma, out.gravity)
    assert all(x.isfinite().all() for x in outputs)
    (out.joints.square().sum() + out.sigma.sum() + out.rotations.square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_with_pictures_a_network_starts_equal_to_the_keypoint_network():
    """Their features are added through a layer of zeros, and as one of their length's root."""
    alone, both = network(), network(seed=1, channels=15)
    both.load_state_dict(alone.state_dict(), strict=False)
    points, image = rays_of(people(2, windows=2)).float(), torch.rand(2, 9, 15, 32, 32)
    for one, other in zip(alone(Seen(None, points)), both(Seen(image, points)), strict=True):
        assert one is other is None or torch.equal(one, other)
    assert both.projection is not None
    with torch.no_grad():
        both.projection.weight.fill_(1.0)
    added = both.frame_features(Seen(image, points)) - alone.frame_features(Seen(None, points))
    pictures = both.backbone(image.flatten(0, 1)).unflatten(0, (2, 9))
    expected = pictures.sum(-1, keepdim=True) / pictures.shape[-1] ** 0.5
    assert torch.allclose(added, expected.expand_as(added), rtol=1e-3, atol=1e-4)


def test_averaging_with_the_mirror_image_is_exactly_equivariant():
    """The averaged prediction of a mirrored clip is the mirror image of that of the clip."""
    model = network()
    rays = rays_of(people(6) + torch.tensor([0.8, 0.3, 0.0])).float()
    rays[..., 2] = (torch.rand(20, 9, 12, generator=torch.Generator().manual_seed(1)) < 0.9).float()
    rays[..., :2] *= rays[..., 2:]
    flip = torch.tensor([-1.0, 1, 1])
    image = rays[:, :, list(MIRROR[:12])] * flip
    with torch.inference_mode():
        plain, mirrored_clip = model(Seen(None, rays)), model(Seen(None, image))
        one = model.average_flipped(plain, mirrored_clip)
        two = model.average_flipped(mirrored_clip, plain)
    assert torch.allclose(two.joints, one.joints[:, :, list(MIRROR)] * flip, atol=1e-5)
    assert torch.allclose(two.sigma, one.sigma[:, :, list(MIRROR)], atol=1e-6)
    assert torch.allclose(two.gravity, one.gravity * flip, atol=1e-5)
    back = one.rotations[:, :, SMPL_MIRROR] * flip[:, None] * flip
    assert torch.allclose(two.rotations, back, atol=1e-4)
    assert not torch.allclose(plain.joints, one.joints, atol=1e-3)  # the network is not
    determinant = torch.linalg.det(one.rotations)
    assert torch.allclose(determinant, torch.ones_like(determinant), atol=1e-4)


def test_the_mean_of_rotations_is_scipys():
    model = network()
    rng = np.random.default_rng(7)
    with torch.inference_mode():
        plain = model(Seen(None, rays_of(people(8)).float()[:2, :2]))
    turned = torch.from_numpy(Rotation.random(2 * 2 * BONES, rng=rng).as_matrix()).float()
    turned = turned.reshape(2, 2, BONES, 3, 3)
    near = torch.from_numpy(Rotation.from_rotvec(rng.normal(0, 0.4, (96, 3))).as_matrix()).float()
    flip = torch.tensor([-1.0, 1, 1])
    other = (turned @ near.reshape(2, 2, BONES, 3, 3))[:, :, SMPL_MIRROR] * flip[:, None] * flip
    out = model.average_flipped(
        plain._replace(rotations=turned), plain._replace(rotations=other)
    ).rotations
    back = other[:, :, SMPL_MIRROR] * flip[:, None] * flip
    for t, (a, b) in enumerate(zip(turned.reshape(-1, 3, 3), back.reshape(-1, 3, 3), strict=True)):
        mean = Rotation.from_matrix(np.stack((a.numpy(), b.numpy()))).mean().as_matrix()
        assert np.allclose(out.reshape(-1, 3, 3)[t], mean, atol=1e-4)
