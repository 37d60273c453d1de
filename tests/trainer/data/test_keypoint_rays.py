"""Keypoint rays against OpenCV, and in mirrored and rotated batches."""

import cv2
import numpy as np
import torch
from trainer_fixtures import EVAL_NAMES, SMPL_NAMES, mirrored

from trainer.data.augment import mirror_batch, turn_batch
from trainer.data.inputs import InputSpec, keypoint_rays

NAMES = SMPL_NAMES + EVAL_NAMES
SIZE = 96
SPEC = InputSpec(
    inputs="keypoints", image_size=SIZE, stored_size=SIZE, flow_stride=4,
    keypoints=tuple(range(24, 36)), mirror=tuple(mirrored(NAMES)), names=tuple(NAMES),
    coordinates=True,
)  # fmt: skip


def batch_of(*, even: bool) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Joints of four clips projected by OpenCV, cropped; even: square pixels in camera and crop."""
    rng = np.random.default_rng(0)
    clips, frames = 4, 5
    joints = rng.normal([0.6, -0.4, 5], 0.4, (clips, frames, len(NAMES), 3))
    crop = np.zeros((clips, frames, 2, 3))
    camera = np.tile(np.eye(3), (clips, 1, 1))
    places = np.zeros((clips, frames, len(NAMES), 2))
    for b in range(clips):
        focal = rng.uniform(600, 900)
        camera[b, 0, 0], camera[b, 1, 1] = focal, focal if even else rng.uniform(500, 600)
        camera[b, :2, 2] = rng.uniform(200, 400, 2)
        for t in range(frames):
            scale = rng.uniform(0.2, 0.3)
            crop[b, t] = [[scale, 0, 0], [0, scale if even else 1.3 * scale, 0]]
            pixels, _ = cv2.projectPoints(joints[b, t], np.zeros(3), np.zeros(3), camera[b], None)
            small = pixels[:, 0] * crop[b, t, [0, 1], [0, 1]]
            crop[b, t, :, 2] = (SIZE - 1) / 2 - small.mean(0) + rng.uniform(-4, 4, 2)
            places[b, t] = small + crop[b, t, :, 2]
    seen = np.ones((clips, frames, len(NAMES), 1))
    batch = {
        "joints2d": np.concatenate((places, seen), -1), "joints3d": joints, "crop": crop,
        "camera": camera, "occluded": np.zeros((clips, frames)),
    }  # fmt: skip
    tensors = {name: torch.from_numpy(value).float() for name, value in batch.items()}
    truth = torch.from_numpy(joints[..., :2] / joints[..., 2:])[:, :, 24:36]
    return tensors, truth


def test_rays_are_those_of_the_joints_that_opencv_projected():
    for even in (True, False):
        batch, truth = batch_of(even=even)
        rays = keypoint_rays(batch, SPEC)
        assert torch.allclose(rays[..., :2].double(), truth, atol=1e-5)
        assert (rays[..., 2] == 1).all()


def test_missing_keypoints_have_no_ray():
    batch, _ = batch_of(even=True)
    batch["joints2d"][0, 1, 25, 2] = 0
    batch["joints2d"][0, 1, 25, :2] = torch.nan_to_num(torch.tensor([1e6, -1e6]))
    batch["joints2d"][1, 2, 26, 2] = 0.5
    batch["occluded"][2, 3] = 1
    rays = keypoint_rays(batch, SPEC)
    assert not rays[0, 1, 1].any() and not rays[1, 2, 2].any() and not rays[2, 3].any()
    assert int((rays[..., 2] == 0).sum()) == 14


def test_mirrored_batches_have_mirrored_rays():
    """For any principal point and pixel shape; clips that are not chosen do not change."""
    for even in (True, False):
        batch, truth = batch_of(even=even)
        chosen = torch.tensor([True, False, True, True])
        mirrored_batch = mirror_batch(batch, chosen, SPEC)
        rays = keypoint_rays(mirrored_batch, SPEC)[..., :2].double()
        order = mirrored(EVAL_NAMES)[:12]
        image = truth[:, :, order] * torch.tensor([-1.0, 1.0])
        assert torch.allclose(rays[chosen], image[chosen], atol=1e-5)
        assert torch.allclose(rays[~chosen], truth[~chosen], atol=1e-5)
        joints = mirrored_batch["joints3d"][:, :, 24:36].double()
        assert torch.allclose(joints[..., :2] / joints[..., 2:], rays, atol=1e-5)
        back = mirror_batch(mirrored_batch, chosen, SPEC)
        assert torch.allclose(back["crop"], batch["crop"], atol=1e-4)


def test_turned_batches_have_turned_rays():
    """Rays rotate with the joints about the camera's axis, wherever the crop is."""
    batch, truth = batch_of(even=True)
    angle = torch.tensor([0.3, -0.2, 0.0, 1.0])
    turned = turn_batch(batch, angle, SPEC)
    seen = turned["joints2d"][:, :, 24:36, 2:] == 1
    rays = keypoint_rays(turned, SPEC)[..., :2].double()
    turn = torch.stack(
        (torch.stack((angle.cos(), -angle.sin()), -1), torch.stack((angle.sin(), angle.cos()), -1)),
        1,
    ).double()
    image = torch.einsum("bij,btkj->btki", turn, truth)
    assert seen.float().mean() > 0.9
    assert torch.allclose(rays * seen, image * seen, atol=1e-5)
    joints = turned["joints3d"][:, :, 24:36].double()
    assert torch.allclose(joints[..., :2] / joints[..., 2:], image, atol=1e-5)


def test_gravity_is_mirrored_and_rotated_with_the_joints():
    """Gravity from the first joint to the second keeps this direction when mirrored and rotated."""
    batch, _ = batch_of(even=True)
    fall = batch["joints3d"][:, 0, 25] - batch["joints3d"][:, 0, 24]
    batch["gravity"] = fall
    order, chosen = mirrored(NAMES), torch.tensor([True, False, True, True])
    both = turn_batch(mirror_batch(batch, chosen, SPEC), torch.full((4,), 0.4), SPEC)
    first = both["joints3d"][:, 0]
    plain, image = first[:, 25] - first[:, 24], first[:, order[25]] - first[:, order[24]]
    assert torch.allclose(both["gravity"], torch.where(chosen[:, None], image, plain), atol=1e-5)


def test_a_batch_mirrored_and_turned_is_consistent():
    batch, _ = batch_of(even=True)
    both = turn_batch(mirror_batch(batch, torch.ones(4).bool(), SPEC), torch.full((4,), 0.4), SPEC)
    joints = both["joints3d"][:, :, 24:36].double()
    rays = keypoint_rays(both, SPEC).double()
    seen = rays[..., 2:]
    assert torch.allclose(rays[..., :2], joints[..., :2] / joints[..., 2:] * seen, atol=1e-5)
