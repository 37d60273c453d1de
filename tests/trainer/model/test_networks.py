"""The networks' sizes and names, and the starting point of refinement."""

import math

import numpy as np
import pytest
import torch
from trainer_fixtures import toy_body

from trainer import geometry
from trainer.data.inputs import InputSpec, draw_inputs, normalized
from trainer.model.clip_features import Seen
from trainer.model.motion_hmr import ERROR_SCALE, MotionHMR, heatmap_centres
from trainer.model.resnet import ResNet


def torchvision_names(blocks: tuple[int, ...], convolutions: int) -> set[str]:
    """Parameter and buffer names of torchvision's ResNet without its `fc`."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", *(f"bn1.{n}" for n in norm)}
    for layer, depth in enumerate(blocks, 1):
        for block in range(depth):
            at = f"layer{layer}.{block}"
            for i in range(1, convolutions + 1):
                names |= {f"{at}.conv{i}.weight", *(f"{at}.bn{i}.{n}" for n in norm)}
            if block == 0 and (layer > 1 or convolutions == 3):
                names |= {
                    f"{at}.downsample.0.weight",
                    *(f"{at}.downsample.1.{n}" for n in norm),
                }
    return names


@pytest.mark.parametrize(
    ("layout", "blocks", "convolutions", "weights", "width"),
    [
        ("resnet18", (2, 2, 2, 2), 2, 11_176_512, 512),
        ("resnet34", (3, 4, 6, 3), 2, 21_284_672, 512),
        ("resnet50", (3, 4, 6, 3), 3, 23_508_032, 2048),
    ],
)
def test_resnet_is_torchvisions(layout, blocks, convolutions, weights, width):
    net = ResNet(layout, 3)
    assert set(net.state_dict()) == torchvision_names(blocks, convolutions)
    assert sum(p.numel() for p in net.parameters()) == weights
    assert net.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, width)


def test_resnet_computes_what_torchvision_computes():
    torchvision = pytest.importorskip("torchvision", exc_type=Exception)
    theirs = torchvision.models.resnet50(weights=None).eval()
    ours = ResNet("resnet50", 3).eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if k[:3] != "fc."})
    theirs.fc = torch.nn.Identity()
    image = torch.randn(2, 3, 96, 96)
    assert torch.allclose(ours(image), theirs(image), atol=1e-5)


def test_maps_have_twice_the_side_and_keep_positions():
    """A spot changes most the features of its ninth of the picture."""
    torch.manual_seed(0)
    net, small = ResNet("maps", 3).eval(), ResNet("small", 3)
    assert {k: v.shape for k, v in net.state_dict().items()} == {
        k: v.shape for k, v in small.state_dict().items()
    }
    sides = []
    net.layer1.register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
    spots = torch.zeros(10, 3, 96, 96)
    for i in range(9):
        row, column = divmod(i, 3)
        spots[i, :, 32 * row + 12 : 32 * row + 20, 32 * column + 12 : 32 * column + 20] = 1
    features = net(spots)
    assert sides == [48] and features.shape == (10, net.width) == (10, 9 * 256)
    changed = (features[:9] - features[9]).unflatten(1, (256, 9)).norm(dim=1)
    assert changed.argmax(1).tolist() == list(range(9))


LIMBS = tuple(range(24, 36))


def small(rotation: str = "6d", **more) -> MotionHMR:
    body = toy_body(np.random.default_rng(0))
    return MotionHMR(
        body, channels=15, backbone="resnet18", lstm_width=32, rotation=rotation, **more
    )


def test_the_papers_lstm_has_two_directions_of_1024_units():
    body = toy_body(np.random.default_rng(0))
    model = MotionHMR(body, channels=15)
    one = 4 * 1024 * (2048 + 1024 + 2)
    assert sum(p.numel() for p in model.lstm.parameters()) == 2 * one
    theta = 24 * 6 + 10 + 3
    head = (2048 + theta + 1) * 1024 + 1025 * 1024 + 1025 * theta
    assert sum(p.numel() for p in model.regressor.parameters()) == head


@pytest.mark.parametrize("rotation", ["6d", "axis-angle"])
def test_refinement_starts_from_an_upright_person_facing_the_camera(rotation):
    pose = np.zeros(72, np.float32)
    pose[3 * 16 + 2], pose[3 * 17 + 2] = -1.2, 1.2  # arms down
    model = small(rotation, pose=pose).eval()
    turns, betas, camera = model.split(model.regressor.start[None])
    joints = model.body(turns, betas)[0]
    head, ankle = joints[15], joints[7]
    assert float(head[1]) < float(ankle[1])  # y points down
    assert float(joints[1, 0]) > float(joints[2, 0])  # facing us, its left is on our right...
    assert float(joints[10, 2]) < float(joints[7, 2])  # ...and its toes point at the camera
    assert float(joints[20, 1]) > float(joints[16, 1])  # wrists below shoulders
    assert torch.allclose(camera, torch.tensor([[0.9, 0.0, 0.0]]))
    assert torch.allclose(
        turns[0, 0], geometry.matrix_from_axis_angle(torch.tensor([math.pi, 0, 0])), atol=1e-6
    )


@pytest.mark.parametrize("feedback", [(), LIMBS])
@pytest.mark.parametrize("rotation", ["6d", "axis-angle"])
def test_every_weight_gets_a_gradient(rotation, feedback):
    model = small(rotation, feedback=feedback)
    prediction = model(Seen(torch.randn(2, 3, 15, 64, 64)))
    assert prediction.joints.shape == (2, 3, 38, 3)
    assert prediction.joints2d.shape == (2, 3, 38, 2)
    (prediction.joints[..., :2].square().sum() + prediction.joints2d.square().sum()).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name


def test_refinement_equals_hmrs_on_feature_and_state():
    regressor = small().eval().regressor
    feature = torch.randn(5, 64)
    state = regressor.start.expand(5, -1)
    for _ in range(3):
        hidden = torch.relu(regressor.fc1(torch.cat((feature, state), 1)))
        state = state + regressor.fc3(torch.relu(regressor.fc2(hidden)))
    assert torch.allclose(regressor(feature), state, atol=1e-5)


def test_heatmap_centres_are_their_keypoints():
    """At every position in the crop except near the edge, which cuts the heatmap."""
    rng = np.random.default_rng(3)
    joints = torch.from_numpy(rng.uniform(8, 120, (2, 3, 12, 2))).float()
    seen = torch.from_numpy(rng.random((2, 3, 12, 1)) < 0.7).float()
    batch = {
        "joints2d": torch.cat((joints, seen), -1),
        "occluded": torch.zeros(2, 3, dtype=torch.uint8),
    }
    batch["occluded"][0, 1] = 1
    image = draw_inputs(batch, InputSpec("keypoints", 32, 128, 4, tuple(range(12)), ())).image
    found = heatmap_centres(image[:, :, :12])
    expected = torch.cat((normalized(joints, 128) * seen, seen), -1)
    expected[0, 1] = 0
    assert torch.equal(found[..., 2], expected[..., 2])
    assert float((found - expected).abs().max()) < 0.01  # 0.6 of the crop's 128 pixels


def test_feedback_gives_refinement_the_reprojection_error():
    model = small(feedback=LIMBS).eval()
    regressor = model.regressor
    feature, keypoints = torch.randn(5, 64), torch.rand(5, 12, 3).round(decimals=1)
    keypoints[..., 2] = keypoints[..., 2].round()
    state = regressor.start.expand(5, -1)
    weights = torch.cat((regressor.fc1.weight, regressor.error_layer.weight), 1)
    for _ in range(3):
        rotation, betas, camera = model.split(state)
        joints = model.body(rotation, betas)[:, 24:36]
        off = keypoints[..., :2] - camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:])
        missed = torch.cat((ERROR_SCALE * off * keypoints[..., 2:], keypoints[..., 2:]), -1)
        known = torch.cat((feature, state, missed.flatten(1)), 1)
        hidden = torch.relu(known @ weights.T + regressor.fc1.bias)
        state = state + regressor.fc3(torch.relu(regressor.fc2(hidden)))
    metadata = regressor(feature, lambda state: model.errors(state, keypoints))
    assert torch.allclose(metadata, state, atol=1e-5)


def test_feedback_uses_the_images_own_keypoints():
    model = small(feedback=LIMBS).eval()
    image = torch.zeros(1, 2, 15, 64, 64)
    image[0, 0, 2 + 4, 20, 50] = 1  # the fifth keypoint, after the flow's two channels
    keypoints = model.keypoints(image)
    assert keypoints.shape == (1, 2, 12, 3) and float(keypoints[..., 2].sum()) == 1
    assert torch.allclose(keypoints[0, 0, 4], torch.tensor([101 / 64 - 1, 41 / 64 - 1, 1.0]))
    exact = model.pose(model.regressor.start[None])[1][:, 24:36]
    seen = torch.ones(1, 12, 1)
    missed = model.errors(model.regressor.start[None], torch.cat((exact, seen), -1))
    assert torch.equal(missed, torch.tensor([[0.0, 0.0, 1.0]]).repeat(1, 12))
    assert small().keypoints(image) is None


def test_weak_perspective():
    model = small().eval()
    p = model(Seen(torch.randn(1, 2, 15, 64, 64)))
    expected = p.camera[..., None, :1] * (p.joints[..., :2] + p.camera[..., None, 1:])
    assert torch.allclose(p.joints2d, expected)


def test_the_lstm_is_bidirectional():
    model = small().eval()
    image = torch.randn(1, 5, 15, 64, 64)
    changed = image.clone()
    changed[:, 2] += 1
    difference = (model(Seen(image)).joints - model(Seen(changed)).joints).abs().amax((0, 2, 3))
    assert bool((difference > 0).all())


def test_the_lstm_runs_in_single_precision():
    # torch's cuDNN LSTM under bf16 autocast is one of fp16, without the scaling that fp16 needs.
    model = small()
    seen = []
    model.lstm.register_forward_hook(
        lambda _, inputs, outputs: seen.append(
            (inputs[0].dtype, outputs[0].dtype, torch.is_autocast_enabled("cpu"))
        )
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert model.backbone(torch.randn(2, 15, 64, 64)).dtype == torch.bfloat16
        prediction = model(Seen(torch.randn(1, 2, 15, 64, 64)))
    assert seen == [(torch.float32, torch.float32, False)]
    assert prediction.joints.dtype == torch.float32
