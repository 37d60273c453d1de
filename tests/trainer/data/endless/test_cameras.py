"""Virtual cameras against OpenCV's, and the options' angles and distances."""

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from toy_motions import some_motions

from trainer.data.dataset import open_dataset
from trainer.data.endless.cameras import NEAREST, draw_cameras, mirror_joints, place, turn_about
from trainer.data.endless.clips import FOCAL, seeded
from trainer.data.endless.options import EndlessConfig
from trainer.data.endless.source import endless_clips

QUIET = EndlessConfig(
    noise=0, bias=0, drift=0, drop=0, gap=0, outlier=0, occluder=0, blackout=0, mirror=False
)
LSP = (
    "rank",
    "rkne",
    "rhip",
    "lhip",
    "lkne",
    "lank",
    "rwri",
    "relb",
    "rsho",
    "lsho",
    "lelb",
    "lwri",
)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rotations_equal_scipys(axis: int):
    angle = torch.linspace(-3, 3, 7)
    truth = Rotation.from_rotvec(np.eye(3)[axis] * angle[:, None].numpy()).as_matrix()
    assert np.allclose(turn_about(axis, angle), truth, atol=1e-6)


def angles(turn: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return pitch (downwards) and roll of cameras, degrees."""
    ahead, right = turn[:, 2].numpy(), turn[:, 0].numpy()  # the camera's axes in the world
    down = np.degrees(np.arcsin(-ahead[:, 1]))
    level = np.cross(ahead, [0, 1, 0])  # a level picture's right
    level /= np.linalg.norm(level, axis=1, keepdims=True)
    roll = np.degrees(np.arccos(np.clip((right * level).sum(1), -1, 1)))
    return down, roll


def test_pitch_roll_and_distance_have_the_given_distributions():
    cfg = EndlessConfig(pitch=(10, 30), roll=5.0, distance=(2.0, 8.0))
    turn, distance = draw_cameras(20_000, cfg, torch.Generator().manual_seed(0))
    assert torch.allclose(turn @ turn.mT, torch.eye(3).expand_as(turn), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turn), torch.ones(20_000), atol=1e-5)
    down, roll = angles(turn)
    assert 9.99 < down.min() < 10.1 and 29.9 < down.max() < 30.01
    assert abs(down.mean() - 20) < 0.1
    assert np.sqrt((roll**2).mean()) == pytest.approx(5.0, rel=0.03)
    assert distance.min() >= 2 and distance.max() <= 8
    assert float((distance < 4).float().mean()) == pytest.approx(0.5, abs=0.02)
    heading = torch.arctan2(turn[:, 2, 0], turn[:, 2, 2]).numpy()
    assert np.histogram(heading, 8, (-np.pi, np.pi))[0].min() > 2_200
    level, _ = draw_cameras(
        3, EndlessConfig(pitch=(0, 0), roll=0), torch.Generator().manual_seed(1)
    )
    up = level @ torch.tensor([0.0, 1, 0])
    assert torch.allclose(up, torch.tensor([0.0, -1, 0]).expand(3, 3), atol=1e-6)


def test_distance_is_the_mean_depth_and_joints_keep_the_least_distance():
    generator = torch.Generator().manual_seed(2)
    joints = torch.randn(50, 4, 14, 3, generator=generator)
    moved = place(joints, torch.linspace(0.5, 9, 50))
    assert moved[..., 2].amin() >= NEAREST - 1e-5
    assert torch.allclose(moved[..., :2].mean((1, 2)), torch.zeros(50, 2), atol=1e-5)
    depth, far = moved[..., 2].mean((1, 2)), torch.linspace(0.5, 9, 50) > 5
    assert torch.allclose(depth[far], torch.linspace(0.5, 9, 50)[far], atol=1e-5)
    shift = moved - joints
    assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-5)
    nearest, wanted = moved[~far][..., 2].amin((1, 2)), torch.linspace(0.5, 9, 50)[~far]
    pushed = (nearest - NEAREST).abs() < 1e-5
    assert (pushed | ((depth[~far] - wanted).abs() < 1e-5)).all() and pushed.any()


def test_pictures_are_opencvs_projections_of_people_in_the_world(tmp_path):
    """For the same people and drawn cameras, cv2.projectPoints gives every keypoint."""
    dataset = open_dataset(some_motions(tmp_path))
    clips = endless_clips(dataset, QUIET, frames=5, spacing=2)
    batch = clips.draw(12, seeded(3))
    generator = seeded(3)
    _, world = clips.people(12, generator)
    turn, distance = draw_cameras(12, QUIET, generator)
    evaluation = list(dataset.evaluation_joints)
    for i in range(12):
        points = world[i].reshape(-1, 3).double().numpy()
        rotation = turn[i].double().numpy()
        seen = points @ rotation.T
        seen -= seen.mean(0)
        wanted = float(distance[i])
        shift = [0, 0, max(wanted, NEAREST - seen[:, 2].min())] - (points @ rotation.T).mean(0)
        matrix = np.diag([FOCAL, FOCAL, 1.0])
        pixels, _ = cv2.projectPoints(points, cv2.Rodrigues(rotation)[0], shift, matrix, None)
        crop = batch["crop"][i].double().numpy()
        places = batch["joints2d"][i][:, evaluation, :2].double().numpy()
        source = (places - crop[:, None, :, 2]) / crop[:, None, [0, 1], [0, 1]]
        assert np.abs(source.reshape(-1, 2) - pixels[:, 0]).max() < 0.05
        truth = points @ rotation.T + shift
        assert np.allclose(batch["joints3d"][i][:, evaluation].reshape(-1, 3), truth, atol=1e-4)


def handed(joints: torch.Tensor) -> torch.Tensor:
    """Return (left × up) · forward of people [..., 15, 3], which is positive unless mirrored.

    The 15th point lies in front of the neck.
    """
    hips = joints[..., LSP.index("lhip"), :], joints[..., LSP.index("rhip"), :]
    up = joints[..., 12, :] - (hips[0] + hips[1]) / 2
    forward = joints[..., 14, :] - joints[..., 12, :]
    return (torch.linalg.cross(hips[0] - hips[1], up) * forward).sum(-1)


def test_left_stays_left_under_every_camera():
    """People's left, up and forward are right-handed in the world and in camera axes."""
    person = torch.zeros(15, 3)
    person[2, 0], person[3, 0], person[12, 1] = -0.1, 0.1, 0.5
    person[14] = torch.tensor([0.0, 0.5, 0.3])  # in front of the neck; a SMPL body faces +z
    assert handed(person) > 0
    turn, distance = draw_cameras(500, EndlessConfig(), torch.Generator().manual_seed(3))
    before = place((person @ turn.mT)[:, None], distance)
    assert (handed(before) > 0).all()
    # Seen from the front its left is on the picture's right, from behind on its left.
    pixels = before[:, 0, :, :2] / before[:, 0, :, 2:]
    to_right = pixels[:, 3, 0] > pixels[:, 2, 0]
    front = turn[:, 2] @ torch.tensor([0.0, 0, 1]) < 0
    clear = turn[:, 2, 2].abs() > 0.4
    assert torch.equal(to_right[clear], front[clear])
    # Upright: the neck is higher in the picture than the hips, for every camera that looks level.
    level = torch.from_numpy(np.abs(angles(turn)[0]) < 30)
    assert (pixels[level, 12, 1] < pixels[level, 2, 1]).all()
    order = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14]
    image = mirror_joints(before, order)
    assert (handed(image) > 0).all()
    assert torch.equal(mirror_joints(image, order), before)
