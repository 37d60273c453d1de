"""The network's input: positions, sizes, units, total occlusion, mirroring."""

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional as F
from trainer_fixtures import mirrored, toy_body, toy_clip

from trainer.data.augment import (
    disturb_keypoints,
    mirror_batch,
    turn_batch,
)
from trainer.data.inputs import (
    FLOW_UNIT,
    InputSpec,
    draw_inputs,
    normalized,
)
from trainer.data.loader import collate
from trainer.data.options import KeypointErrors
from trainer.geometry import nearest
from trainer.model.body import BodyJoints
from trainer.model.motion_hmr import MotionHMR

NAMES = [f"lsp_{n}" for n in ("right_hip", "left_hip")]
FULL = tuple(range(24, 36))


def spec(size=224, stored=224, inputs="flow+keypoints", keypoints=FULL, mirror=()) -> InputSpec:
    return InputSpec(inputs, size, stored, 4, keypoints, mirror)


def batch_of(clips=1, frames=2, joints=38, cells=56) -> dict[str, torch.Tensor]:
    return {
        "flow": torch.zeros(clips, frames, 2, cells, cells, dtype=torch.float16),
        "joints2d": torch.zeros(clips, frames, joints, 3),
        "occluded": torch.zeros(clips, frames, dtype=torch.uint8),
    }


@pytest.mark.parametrize(
    ("inputs", "channels"),
    [("flow+keypoints", 15), ("keypoints", 13), ("flow", 3), ("rgb", 4), ("rgb+keypoints", 16)],
)
def test_channels_of_every_row_of_the_table(inputs, channels):
    assert spec(inputs=inputs).channels == channels


def picture(batch: dict[str, torch.Tensor], spec_: InputSpec) -> torch.Tensor:
    image = draw_inputs(batch, spec_).image
    assert image is not None
    return image


def test_a_heatmap_is_a_gaussian_of_ten_pixels_at_its_keypoint():
    batch = batch_of()
    batch["joints2d"][0, 0, 24] = torch.tensor([100.0, 60.0, 1.0])
    image = picture(batch, spec())
    assert image.shape == (1, 2, 15, 224, 224)
    heat = image[0, 0, 2]
    assert float(heat[60, 100]) == 1
    assert abs(float(heat[60, 110]) - np.exp(-0.5)) < 1e-6
    assert abs(float(heat[80, 100]) - np.exp(-2)) < 1e-6
    assert float(image[0, 0, 3:14].abs().max()) == 0  # missing keypoints have empty heatmaps
    assert float(image[0, 1, 2:].abs().max()) == 0


def test_heatmaps_scale_with_the_input_size():
    batch = batch_of()
    batch["joints2d"][0, 0, 24] = torch.tensor([100.5, 60.5, 1.0])
    heat = picture(batch, spec(size=112))[0, 0, 2]
    # Pixel edges agree: stored 100.5 lies at (101/2 - 0.5) = 50.
    assert float(heat[30, 50]) == 1
    assert abs(float(heat[30, 55]) - np.exp(-0.5)) < 1e-6


@pytest.mark.parametrize("size", [224, 112, 100])
def test_flow_equals_torchs_own_interpolations(size):
    batch = batch_of()
    batch["flow"] = torch.randn(1, 2, 2, 56, 56).half()
    ours = picture(batch, spec(size=size))[0, :, :2]
    full = F.interpolate(batch["flow"][0].float(), scale_factor=4, mode="bilinear")
    if size != 224:
        full = F.interpolate(full, (size, size), mode="bilinear", antialias=True)
    expected = full / FLOW_UNIT  # of the 224 px stored, whatever the input's size
    assert torch.allclose(ours, expected, atol=1e-5)


def test_a_totally_occluded_frame_has_only_its_flag():
    batch = batch_of()
    batch["flow"] += 3
    batch["joints2d"][..., :2] = 50
    batch["joints2d"][..., 2] = 1
    batch["occluded"][0, 1] = 1
    image = picture(batch, spec())
    assert float(image[0, 1, :14].abs().max()) == 0
    assert bool((image[0, 1, 14] == 1).all())
    assert bool((image[0, 0, 14] == 0).all())
    assert float(image[0, 0, 0, 100, 100]) == pytest.approx(3 / 20)


def toy_batch() -> tuple[dict[str, torch.Tensor], InputSpec]:
    body = BodyJoints(toy_body(np.random.default_rng(0)))
    clips = [toy_clip(body, np.random.default_rng(i), 5, 64, 4) for i in range(2)]
    batch = collate(clips)
    batch["rgb"] = torch.randint(0, 256, (2, 5, 3, 64, 64), dtype=torch.uint8)
    from trainer_fixtures import EVAL_NAMES, SMPL_NAMES

    order = tuple(mirrored(SMPL_NAMES + EVAL_NAMES))
    return batch, spec(64, 64, mirror=order)


def test_mirroring_twice_changes_nothing():
    batch, spec_ = toy_batch()
    both = torch.tensor([True, True])
    twice = mirror_batch(mirror_batch(batch, both, spec_), both, spec_)
    for name, value in batch.items():
        assert torch.allclose(twice[name], value, atol=1e-5), name  # S - 1 - x rounds
    one = mirror_batch(batch, torch.tensor([True, False]), spec_)
    assert torch.equal(one["joints3d"][1], batch["joints3d"][1])
    assert not torch.equal(one["joints3d"][0], batch["joints3d"][0])


def test_the_mirrored_picture_is_the_picture_mirrored():
    batch, spec_ = toy_batch()
    plain = picture(batch, spec_)
    turned = picture(mirror_batch(batch, torch.tensor([True, True]), spec_), spec_)
    expected = plain.flip(-1).clone()
    expected[:, :, 0] *= -1
    swap = [spec_.keypoints.index(spec_.mirror[k]) for k in spec_.keypoints]
    expected[:, :, 2:14] = plain.flip(-1)[:, :, 2:14][:, :, swap]
    assert torch.allclose(turned, expected, atol=1e-5)


def test_a_symmetric_models_output_is_mirrored_with_its_input():
    def model(image: torch.Tensor) -> torch.Tensor:
        """Joints [B, T, K, 3] of the input: each heatmap's centre, moved by the flow at it."""
        flow, heat = image[:, :, :2], image[:, :, 2:14]
        size = image.shape[-1]
        axis = torch.arange(size) - (size - 1) / 2
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))
        mass = heat.sum((-1, -2)).clamp_min(1e-6)[..., None]
        place = torch.einsum("btkij,cij->btkc", heat, grid) / mass
        moved = torch.einsum("btkij,btcij->btkc", heat, flow) / mass
        return torch.cat((place + 5 * moved, moved[..., 1:]), -1)

    batch, spec_ = toy_batch()
    assert batch["flow"].abs().max() > 1
    predicted = model(picture(batch, spec_))
    turned = model(picture(mirror_batch(batch, torch.tensor([True, True]), spec_), spec_))
    swap = [spec_.keypoints.index(spec_.mirror[k]) for k in spec_.keypoints]
    expected = predicted[:, :, swap] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(turned, expected, atol=1e-4)
    assert not torch.allclose(turned, predicted, atol=1)


def test_the_mirrored_pose_gives_the_mirrored_joints():
    # On a symmetric body: bones at REST, joints on the bones.
    from trainer_fixtures import REST

    from trainer import geometry

    batch, spec_ = toy_batch()
    body = toy_body(np.random.default_rng(0), per_joint=1)
    body["v_template"][:24] = REST
    body["shapedirs"][:] = 0
    body["posedirs"][:] = 0
    layer = BodyJoints(body)

    def joints(pose: torch.Tensor) -> torch.Tensor:
        flat = pose.flatten(0, 1).unflatten(1, (24, 3))
        return layer(geometry.matrix_from_axis_angle(flat), torch.zeros(len(flat), 10))

    turned = mirror_batch(batch, torch.tensor([True, True]), spec_)
    expected = joints(batch["pose"])[:, list(spec_.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(joints(turned["pose"]), expected, atol=1e-5)


def symmetric_model() -> MotionHMR:
    """Return a network with random weights and a symmetric body."""
    from trainer_fixtures import REST

    torch.manual_seed(0)
    body = toy_body(np.random.default_rng(0), per_joint=1)
    body["v_template"][:24] = REST
    body["shapedirs"][:] = 0
    body["posedirs"][:] = 0
    return MotionHMR(body, channels=15, backbone="small", lstm_width=16).eval()


def test_averaging_with_the_mirror_image_is_equivariant():
    batch, spec_ = toy_batch()
    model = symmetric_model()
    torch.nn.init.normal_(model.regressor.fc3.weight, std=0.02)  # away from the mean person
    turned = mirror_batch(batch, torch.tensor([True, True]), spec_)
    with torch.no_grad():
        plain, mirrored = (model(draw_inputs(x, spec_)) for x in (batch, turned))
        there, back = model.average_flipped(plain, mirrored), model.average_flipped(mirrored, plain)
    sides = torch.tensor([-1.0, 1.0, 1.0])
    order = list(spec_.mirror)
    assert there.joints2d is not None and back.joints2d is not None
    images = there.joints[:, :, order] * sides
    assert torch.allclose(back.joints, images, atol=1e-5)
    assert torch.allclose(back.joints2d, there.joints2d[:, :, order] * sides[:2], atol=1e-5)
    assert not torch.allclose(mirrored.joints, plain.joints[:, :, order] * sides, atol=1e-2)
    # What both agree on stays: the mean of a prediction and its own image is the prediction.
    agreed = model.average_flipped(there, back)
    for name in ("joints", "joints2d", "rotations", "betas", "camera"):
        assert torch.allclose(getattr(agreed, name), getattr(there, name), atol=1e-5)


def test_the_nearest_rotation_to_a_sum_is_scipys_mean():
    turns = Rotation.from_rotvec(np.random.default_rng(0).normal(size=(40, 3)))
    pairs = [turns[i : i + 2] for i in range(0, 40, 2)]
    sums = torch.from_numpy(np.stack([pair.as_matrix().sum(0) for pair in pairs]))
    expected = np.stack([pair.mean().as_matrix() for pair in pairs])
    assert np.allclose(nearest(sums).numpy(), expected, atol=1e-9)


def test_a_quarter_turn_rotates_the_picture():
    batch, spec_ = toy_batch()
    plain = picture(batch, spec_)
    turned = picture(turn_batch(batch, torch.full((2,), np.pi / 2), spec_), spec_)
    expected = torch.rot90(plain, -1, (-2, -1)).clone()  # clockwise
    u, v = expected[:, :, 0].clone(), expected[:, :, 1].clone()
    expected[:, :, 0], expected[:, :, 1] = -v, u
    assert torch.allclose(turned, expected, atol=1e-3)


def test_a_turn_of_labels_is_opencvs_rotation_of_the_picture():
    batch, spec_ = toy_batch()
    angle = torch.tensor([0.4, -0.9])
    turned = turn_batch(batch, angle, spec_)
    centre = (spec_.stored_size - 1) / 2
    for clip in range(2):  # OpenCV's angles are counter-clockwise
        degrees = -float(torch.rad2deg(angle[clip]))
        matrix = cv2.getRotationMatrix2D((centre, centre), degrees, 1.0)
        place = batch["joints2d"][clip, ..., :2].double().numpy() @ matrix[:, :2].T + matrix[:, 2]
        assert np.allclose(turned["joints2d"][clip, ..., :2], place, atol=1e-3)
        gone = ((place < -0.5) | (place >= spec_.stored_size - 0.5)).any(-1)
        assert (turned["joints2d"][clip, ..., 2].numpy()[gone] == 0).all()
        root, tilted = (
            Rotation.from_rotvec(b["pose"][clip, :, :3].numpy()) for b in (batch, turned)
        )
        apart = Rotation.from_rotvec([0, 0, float(angle[clip])]) * root * tilted.inv()
        assert apart.magnitude().max() < 1e-3
    # The 3D joints rotate like the picture: x and y change, depth does not.
    shape = batch["joints3d"]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    assert torch.allclose(
        turned["joints3d"][..., 0], cos * shape[..., 0] - sin * shape[..., 1], atol=1e-5
    )
    assert torch.equal(turned["joints3d"][..., 2], shape[..., 2])


def test_crop_units_are_mirrored():
    x = torch.tensor([0.0, 31.5, 63.0])
    assert torch.allclose(normalized(x, 64), -normalized(63 - x, 64))
    assert float(normalized(x, 64)[1]) == 0


PARTS = ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")
PLAIN = InputSpec(
    "keypoints", 32, 128, 4, tuple(range(12)), (),
    tuple(f"lsp_{side}_{part}" for part in PARTS for side in ("left", "right")),
)  # fmt: skip


def disturbed(batch, *errors: float, seed: int = 0):
    draws = torch.Generator().manual_seed(seed)
    return disturb_keypoints(batch, KeypointErrors(*errors), PLAIN, draws)


def test_keypoint_errors_do_not_change_the_targets():
    batch, _ = toy_batch()
    for errors in ((2.0, 0.5), (2.0, 0.5, 0.5)):
        noisy = disturbed(batch, *errors)
        assert torch.equal(noisy["target2d"], batch["joints2d"])
    seen = batch["joints2d"][..., 2] == 1
    kept = (disturbed(batch, 2.0, 0.5)["joints2d"][..., 2] == 1)[seen].float().mean()
    assert 0.3 < float(kept) < 0.7
    assert disturbed(batch) is batch
    pictures = {"rgb": batch["rgb"]}  # DANN's real clips
    assert disturbed(pictures, 2.0, 0.5) is pictures


def test_half_of_the_noise_is_constant_over_the_clip():
    batch = {"joints2d": torch.zeros(8, 400, 12, 3)}
    noise = disturbed(batch, 3.0)["joints2d"][..., :2]
    within, between = noise.var(dim=1).mean(), noise.mean(dim=1).var()
    assert abs(float(within) - 4.5) < 0.3 and abs(float(between) - 4.5) < 1.0


def test_whole_limbs_are_missing_for_a_stretch():
    frames, chance = 31, 0.3
    batch = {"joints2d": torch.ones(4000, frames, 12, 3)}
    out = disturbed(batch, 0.0, 0.0, chance)["joints2d"]
    assert torch.equal(out[..., :2], batch["joints2d"][..., :2])
    gone = out[..., 2].unflatten(-1, (6, 2)) == 0  # by part and side
    for end, joint in ((PARTS.index("ankle"), 1), (PARTS.index("wrist"), 4)):
        assert torch.equal(gone[:, :, end], gone[:, :, joint])
        for side in (0, 1):
            lost = gone[:, :, end, side].float()
            starts = (lost.diff(dim=1, prepend=torch.zeros(4000, 1)) > 0).sum(1)
            assert int(starts.max()) == 1
            # One in 31 gaps begins and ends between the same two frames.
            assert abs(float(starts.float().mean()) - chance * (1 - 1 / frames)) < 0.02
            assert abs(float(lost.mean()) - chance / 3) < 0.01
    assert not gone[:, :, [PARTS.index("hip"), PARTS.index("shoulder")]].any()
    apart = gone[:, :, 0, 0].any(1) & ~gone[:, :, 0, 1].any(1)
    assert abs(float(apart.float().mean()) - chance * (1 - chance)) < 0.03
