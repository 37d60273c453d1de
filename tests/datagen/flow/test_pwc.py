"""PWC-Net: its cost volume and its warp against plain ones, its levels, weights from a file."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from datagen.common.errors import BadInput
from datagen.flow.load import load_estimator
from datagen.flow.options import FlowConfig
from datagen.flow.pwc import WIDTHS, PwcNet, correlate, fetch, prepare


def narrow(seed: int = 0, width: float = 0.25) -> PwcNet:
    torch.manual_seed(seed)
    return PwcNet(width).eval()


def frames(size: tuple[int, int], count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 60, (count, *size, 3)).clip(0, 255).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in noise])


@pytest.mark.parametrize("size", [(8, 8), (14, 19), (1, 3)])
@pytest.mark.parametrize("reach", [1, 3])
def test_the_cost_volume_is_the_product_with_every_shifted_cell(
    size: tuple[int, int], reach: int
) -> None:
    first, second = torch.randn(2, 2, 5, *size, dtype=torch.float64)
    cost = correlate(first, second, reach)
    around = pad(second, (reach,) * 4)
    height, width = size
    shifts = [(y, x) for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
    assert cost.shape == (2, len(shifts), height, width)
    for index, (y, x) in enumerate(shifts):
        wanted = (first * around[:, :, y : y + height, x : x + width]).sum(1)
        assert torch.allclose(cost[:, index], wanted)


def test_the_cost_volumes_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(2, 1, 2, 9, 4, dtype=torch.float64)
    first.requires_grad_()
    second.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: correlate(a, b, 1), (first, second))


def test_features_are_fetched_as_opencv_remaps_them() -> None:
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(11, 17)).astype(np.float32)
    flow = rng.normal(0, 4, (11, 17, 2)).astype(np.float32)
    flow = np.round(flow * 32) / 32  # OpenCV's positions are multiples of 1/32 px
    y, x = np.indices(picture.shape, np.float32)
    wanted = cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    found = fetch(
        torch.from_numpy(picture)[None, None], torch.from_numpy(flow).permute(2, 0, 1)[None]
    )
    assert np.allclose(found[0, 0].numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (97, 100), (224, 224)])
def test_levels_have_the_strides_4_to_32_at_any_size(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        flows = narrow().pyramid(torch.randn(2, 6, *size))
    for flow, stride in zip(flows, (4, 8, 16, 32), strict=True):
        assert flow.shape == (2, 2, *(-(-side // stride) for side in size))
        assert flow.dtype == torch.float32 and flow.isfinite().all()


def test_each_frame_is_prepared_alone() -> None:
    images = torch.from_numpy(frames((20, 30), 2)).permute(0, 3, 1, 2)
    found = prepare(images).double()
    wanted = images.double()
    centred = wanted - wanted.mean((1, 2, 3), keepdim=True)
    deviation = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    assert torch.allclose(found, centred / (deviation + 5), atol=1e-4)
    assert torch.equal(prepare(images)[1:], prepare(images[1:]))


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_pwc_from_a_file_gives_the_networks_own_flow(tmp_path: Path, width: float) -> None:
    network = narrow(width=width)
    path = tmp_path / "pwc.pth"
    torch.save({"arch": "pwc", "state_dict": network.state_dict()}, path)
    cfg = FlowConfig(flow="pwc", flow_weights=path, flow_dtype="float32")
    estimator = load_estimator(cfg)
    clip = frames((96, 64), 4)
    flow = estimator(clip)
    known = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert (estimator.name, estimator.stride) == (f"pwc-{known}", 4)
    assert flow.shape == (3, 2, 24, 16) and flow.dtype == np.float16
    images = prepare(torch.from_numpy(clip).permute(0, 3, 1, 2))
    with torch.inference_mode():
        wanted = network(torch.cat((images[:-1], images[1:]), 1)).numpy()
    size = float(np.abs(wanted).max())
    assert size > 0 and np.allclose(flow, wanted, atol=2e-3 * size)
    cfg = FlowConfig(flow="pwc", flow_weights=path, flow_dtype="bfloat16")
    assert np.abs(load_estimator(cfg)(clip) - wanted).max() < 0.1 * size


def test_other_checkpoints_are_refused_in_one_sentence(tmp_path: Path) -> None:
    state = narrow().state_dict()
    others = {
        "empty": {"conv1.0.weight": torch.zeros(16, 6, 7, 7)},
        "odd": state | {"features.0.0.0.weight": torch.zeros(5, 3, 3, 3)},
        "short": {key: value for key, value in state.items() if "carry.1" not in key},
    }
    for name, content in others.items():
        path = tmp_path / f"{name}.pth"
        torch.save(content, path)
        with pytest.raises(BadInput, match="not a checkpoint of this PWC-Net") as refusal:
            load_estimator(FlowConfig(flow="pwc", flow_weights=path))
        assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="multiple of 1/4"):
        PwcNet(0.3)
    assert 1.0 in WIDTHS


def test_a_step_towards_the_flow_lowers_the_error() -> None:
    """The gradient reaches every weight, and a few steps learn one pair's shift."""
    network = narrow().train()
    clip = frames((72, 72), 1)[0]
    pair = np.stack((clip[4:68, 4:68], clip[4:68, 1:65]))  # moves by 3 px to the right
    images = prepare(torch.from_numpy(pair).permute(0, 3, 1, 2))
    pairs = torch.cat((images[:1], images[1:]), 1)
    truth = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    errors = []
    for _ in range(60):
        flows = network.pyramid(pairs)
        loss = sum(torch.linalg.vector_norm(flow - truth, dim=1).mean() for flow in flows)
        network.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        assert all(p.grad is not None for p in network.parameters())
        optimizer.step()
        errors.append(float(torch.linalg.vector_norm(flows[0].detach() - truth, dim=1).mean()))
    assert errors[-1] < 0.3 * errors[0]
