"""Estimators: the one call, FlowNetS's public layout, safe loading, plain refusals."""

import copy
import hashlib
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from benchmarks.flo import read_flo
from datagen.common.errors import BadInput, BadOption
from datagen.flow import flownets, flownets_onednn, network
from datagen.flow.checkpoint import read_checkpoint
from datagen.flow.dis import Dis
from datagen.flow.estimator import check_frames
from datagen.flow.flownets import FlowNetS
from datagen.flow.load import load_estimator
from datagen.flow.options import FlowConfig
from datagen.flow.weights import flow_name
from trainer.data.inputs import InputSpec, full_flow


def moving_frames(size: int, shift: tuple[float, float], count: int = 3) -> np.ndarray:
    """Return a smooth random picture that moves by `shift` px (x, y) a frame: uint8 [n,S,S,3]."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(
        rng.normal(size=(size + 64, size + 64, 3)).astype(np.float32), (0, 0), 3
    )
    picture = np.clip(128 + 300 * noise, 0, 255)
    frames = []
    for t in range(count):
        move = np.float32([[1, 0, shift[0] * t - 32], [0, 1, shift[1] * t - 32]])
        frames.append(cv2.warpAffine(picture, move, (size, size), flags=cv2.INTER_CUBIC))
    return np.clip(np.stack(frames), 0, 255).round().astype(np.uint8)


def test_dis_sees_a_shift_in_pixels_x_first() -> None:
    frames = moving_frames(96, (2.5, -1.0))
    estimator = load_estimator(FlowConfig(flow="dis"))
    flow = estimator(frames)
    assert estimator.name == "dis"
    assert flow.dtype == np.float16 and flow.shape == (2, 2, 24, 24)
    inner = flow[:, :, 4:-4, 4:-4].astype(float)
    assert np.allclose(np.median(inner, axis=(0, 2, 3)), (2.5, -1.0), atol=0.1)
    assert np.array_equal(flow, estimator(frames))


class Everywhere:
    """An estimator that says the same flow of every pixel."""

    name, stride = "same", 4

    def __init__(self, x: float, y: float) -> None:
        self._flow = np.float16([x, y]).reshape(1, 2, 1, 1)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        rows, columns = (-(-side // self.stride) for side in frames.shape[1:3])
        return np.broadcast_to(self._flow, (len(frames) - 1, 2, rows, columns))


def test_dis_refines_the_flow_it_starts_from() -> None:
    frames = moving_frames(99, (25.0, -1.0), count=2)  # beyond the reach of DIS alone
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -12))
    alone, refined = Dis()(frames)[inner], Dis(Everywhere(24, -0.5))(frames)[inner]
    assert refined.shape == alone.shape == (1, 2, 13, 7)
    errors = [
        np.linalg.norm(np.median(flow.astype(float), axis=(0, 2, 3)) - (25, -1))
        for flow in (alone, refined)
    ]
    assert errors[0] > 5 and errors[1] < 0.1
    assert Dis(Everywhere(0, 0)).name == "same"


def test_dis_sees_a_shift_on_a_picture_of_odd_sides() -> None:
    flow = Dis()(moving_frames(99, (8.0, -6.0)))[:, :, 5:-5, 5:-5].astype(float)
    assert np.allclose(np.median(flow, axis=(0, 2, 3)), (8, -6), atol=0.03)


@pytest.mark.parametrize("size", [16, 37, 64])
def test_dis_takes_any_size_and_flat_frames(size: int) -> None:
    flow = load_estimator(FlowConfig(flow="dis"))(np.full((2, size, size, 3), 90, np.uint8))
    assert flow.shape == (1, 2, -(-size // 4), -(-size // 4))
    assert not flow.any()


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((2, 32, 32, 3), np.float32), "float32"),
        (np.zeros((2, 3, 32, 32), np.uint8), "[2, 3, 32, 32]"),
        (np.zeros((1, 32, 32, 3), np.uint8), "two frames"),
        (np.zeros((2, 8, 8, 3), np.uint8), "16 px"),
    ],
)
def test_wrong_frames_are_refused_in_one_sentence(frames: np.ndarray, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        load_estimator(FlowConfig())(frames)
    assert words in str(refusal.value)
    assert str(refusal.value).count("\n") == 0


def test_frames_that_are_no_array_are_refused() -> None:
    with pytest.raises(BadInput, match="list"):
        check_frames([[0]])  # type: ignore[arg-type]


def test_flownets_has_the_public_checkpoints_layout() -> None:
    with torch.device("meta"):
        network = FlowNetS()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert len(shapes) == 33
    assert sum(p.numel() for p in network.parameters()) == 38_675_536
    convs = {
        "conv1.0": (64, 6, 7, 7), "conv2.0": (128, 64, 5, 5), "conv3.0": (256, 128, 5, 5),
        "conv3_1.0": (256, 256, 3, 3), "conv4.0": (512, 256, 3, 3), "conv4_1.0": (512, 512, 3, 3),
        "conv5.0": (512, 512, 3, 3), "conv5_1.0": (512, 512, 3, 3),
        "conv6.0": (1024, 512, 3, 3), "conv6_1.0": (1024, 1024, 3, 3),
    }  # fmt: skip
    expected: dict[str, tuple[int, ...]] = {f"{k}.weight": s for k, s in convs.items()}
    expected |= {f"{k}.bias": s[:1] for k, s in convs.items()}
    expected |= {
        "deconv5.0.weight": (1024, 512, 4, 4), "deconv4.0.weight": (1026, 256, 4, 4),
        "deconv3.0.weight": (770, 128, 4, 4), "deconv2.0.weight": (386, 64, 4, 4),
        "predict_flow6.weight": (2, 1024, 3, 3), "predict_flow5.weight": (2, 1026, 3, 3),
        "predict_flow4.weight": (2, 770, 3, 3), "predict_flow3.weight": (2, 386, 3, 3),
        "predict_flow2.weight": (2, 194, 3, 3),
    }  # fmt: skip
    ups = ("6_to_5", "5_to_4", "4_to_3", "3_to_2")
    expected |= {f"upsampled_flow{name}.weight": (2, 2, 4, 4) for name in ups}
    assert shapes == expected


def narrow(seed: int = 0, width: float = 0.125) -> FlowNetS:
    torch.manual_seed(seed)
    return FlowNetS(width)


def save_public(path: Path, network: FlowNetS, **extras: object) -> Path:
    """Save as FlowNetPytorch does."""
    torch.save({"epoch": 3, "arch": "flownets", "state_dict": network.state_dict(),
                "div_flow": 20.0, **extras}, path)  # fmt: skip
    return path


@pytest.mark.parametrize("flow", ["flownets", "pwc", "pwc+dis"])
def test_the_embedded_networks_see_where_a_photo_moves(flow: str) -> None:
    """Trained for minutes, they are a quarter off at most (benchmarks/flow.py measures more)."""
    estimator = load_estimator(FlowConfig(flow=flow))  # type: ignore[arg-type]
    assert estimator.name == flow_name(FlowConfig(flow=flow))  # type: ignore[arg-type]
    photo = skimage.data.coffee()
    pans = () if flow == "flownets" else ((12.0, 5.0), (-16.0, 6.0))
    for x, y in ((3.0, -1.5), (-6.0, 2.0), *pans):
        move = [np.float32([[1, 0, x * t - 70], [0, 1, y * t - 70]]) for t in range(2)]
        frames = np.stack([cv2.warpAffine(photo, m, (224, 224)) for m in move])
        inner = estimator(frames)[:, :, 8:-8, 8:-8].astype(float)
        assert np.linalg.norm(np.median(inner, axis=(0, 2, 3)) - (x, y)) < np.hypot(x, y) / 4


def test_flownets_from_a_file_equals_the_network_itself(tmp_path: Path) -> None:
    net = narrow().eval()
    path = save_public(tmp_path / "flownets.pth", net, best_EPE=np.float64(1.951))
    estimator = load_estimator(FlowConfig(flow="flownets", flow_weights=path, flow_dtype="float32"))
    frames = moving_frames(224, (1, 1))
    flow = estimator(frames)
    known = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert (estimator.name, estimator.stride) == (f"flownets-{known}", 4)
    assert load_estimator(FlowConfig(flow="flownets")).name == "flownets"
    assert flow.shape == (2, 2, 56, 56)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    images = images - torch.tensor([0.411, 0.432, 0.45]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = 20 * net(torch.cat((images[:-1], images[1:]), 1))
    assert np.allclose(flow, expected.numpy(), atol=2e-3 * float(expected.abs().max()))


def test_bfloat16_flow_is_as_good(tmp_path: Path) -> None:
    path = save_public(tmp_path / "flownets.pth", narrow())
    frames = moving_frames(64, (1, 1))
    flows = [
        load_estimator(FlowConfig(flow="flownets", flow_weights=path, flow_dtype=dtype))(frames)
        for dtype in ("float32", "bfloat16")
    ]
    scale = float(np.abs(flows[0]).max())
    assert np.abs(flows[0].astype(float) - flows[1]).max() < 0.05 * scale


@pytest.mark.skipif(
    not (network.best_dtype("cpu") == torch.bfloat16 and flownets_onednn.available()),
    reason="needs AVX512_BF16",
)
@pytest.mark.parametrize(("width", "size"), [(0.125, (97, 100)), (0.5, (64, 224))])
def test_packed_layers_are_the_networks_own(width: float, size: tuple[int, int]) -> None:
    """As near to float32 as bfloat16's plain layers at every level, and alone as in a batch."""
    exact = narrow(width=width).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in exact.modules():  # biases start as zeros, which would hide their loss
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
            torch.nn.init.normal_(layer.bias, std=0.1)
    plain, fast = (copy.deepcopy(exact).to(torch.bfloat16) for _ in range(2))
    flownets_onednn.pack(fast)
    pairs = torch.randn(5, 6, *size).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        wanted = exact.pyramid(pairs)
        pairs = pairs.to(torch.bfloat16)
        found = fast.pyramid(pairs)
        for truth, ours, theirs in zip(wanted, found, plain.pyramid(pairs), strict=True):
            assert ours.dtype == torch.bfloat16 and ours.shape == truth.shape
            error, usual = (float((flow.float() - truth).norm()) for flow in (ours, theirs))
            assert error < 1.5 * usual and usual < 0.02 * float(truth.norm())
        assert all(torch.equal(fast(pairs[k : k + 1])[0], found[0][k]) for k in range(5))


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16", "float16"])
def test_every_precision_gives_finite_flow_of_one_kind(tmp_path: Path, dtype: str) -> None:
    path = save_public(tmp_path / "flownets.pth", narrow())
    cfg = FlowConfig(flow="flownets", flow_weights=path, flow_dtype=dtype)  # type: ignore[arg-type]
    flow = load_estimator(cfg)(moving_frames(64, (1, 1)))
    assert flow.dtype == np.float16 and flow.shape == (2, 2, 16, 16) and flow.any()


def test_a_clip_in_parts_gives_the_clips_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_public(tmp_path / "flownets.pth", narrow(), preparation="contrast")
    estimator = load_estimator(FlowConfig(flow="flownets", flow_weights=path, flow_dtype="float32"))
    frames = moving_frames(224, (1, 1), 6)
    whole = estimator(frames)
    monkeypatch.setitem(network.PAIRS_AT_ONCE, "cpu", 2)
    parts = estimator(frames)
    assert whole.shape == parts.shape == (5, 2, 56, 56)
    assert np.allclose(whole, parts, atol=1e-3 * float(np.abs(whole).max()))


def test_input_is_prepared_as_the_checkpoint_says(tmp_path: Path) -> None:
    frames = torch.from_numpy(moving_frames(64, (1, 1))).permute(0, 3, 1, 2)
    pair = torch.cat((frames[0], frames[1])).double()
    mean = flownets.prepare(frames[:-1], frames[1:], "mean")
    wanted = pair / 255 - torch.tensor([0.411, 0.432, 0.45] * 2).view(6, 1, 1)
    assert torch.allclose(mean[0].double(), wanted, atol=1e-6)
    contrast = flownets.prepare(frames[:-1], frames[1:], "contrast")
    wanted = (pair - pair.mean()) / (pair.std() + flownets.FAINT)
    assert torch.allclose(contrast[0].double(), wanted, atol=1e-3)
    assert contrast.is_contiguous(memory_format=torch.channels_last)
    flat = torch.full((2, 3, 64, 64), 80, dtype=torch.uint8)
    assert not flownets.prepare(flat[:1], flat[1:], "contrast").any()

    path = save_public(tmp_path / "odd.pth", narrow(), preparation="sepia")
    with pytest.raises(BadInput, match="sepia"):
        load_estimator(FlowConfig(flow="flownets", flow_weights=path))
    path = save_public(tmp_path / "odd.pth", narrow(), div_flow=-1.0)
    with pytest.raises(BadInput, match="div_flow -1"):
        load_estimator(FlowConfig(flow="flownets", flow_weights=path))


def test_infinite_flow_is_refused(tmp_path: Path) -> None:
    big = {key: value * 1e8 for key, value in narrow().state_dict().items()}
    torch.save(big, tmp_path / "big.pth")
    estimator = load_estimator(FlowConfig(flow="flownets", flow_weights=tmp_path / "big.pth"))
    with pytest.raises(BadInput, match="NaN or infinite flow") as refusal:
        estimator(moving_frames(64, (1, 1)))
    assert "\n" not in str(refusal.value)


class Ramp(torch.nn.Module):
    """A network whose flow is the pixel's own (x, y)."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        y, x = torch.meshgrid(*(torch.arange(float(n)) for n in frames.shape[2:]), indexing="ij")
        return torch.stack((x, y)).expand(len(frames) - 1, -1, -1, -1)


def test_a_cell_is_the_mean_of_its_own_pixels_at_any_size() -> None:
    flow = network.RaftClip(Ramp(), 4)(torch.zeros(2, 3, 37, 66, dtype=torch.uint8))  # type: ignore[arg-type]
    assert flow.shape == (1, 2, 10, 17)
    assert torch.equal(flow[0, 0, 0, :3], torch.tensor([1.5, 5.5, 9.5]))
    assert torch.equal(flow[0, 1, :3, 0], torch.tensor([1.5, 5.5, 9.5]))
    assert flow[0, 1, 9, 0] == 36


@pytest.mark.parametrize("size", [224, 97])
def test_the_trainer_enlarges_flow_as_flownets_itself_ends(size: int) -> None:
    spec = InputSpec("flow", size, size, flow_stride=4, keypoints=(), mirror=())
    flow = torch.randn(2, 2, -(-size // 4), -(-size // 4))
    ours = 20 * size / 224 * full_flow(flow, spec).permute(0, 3, 1, 2)
    assert torch.allclose(ours, flownets.upsample(flow, (size, size)), atol=1e-5)


def test_flownets_takes_sizes_that_are_no_multiple_of_64() -> None:
    net = narrow().eval()
    for size in (16, 97, 100):
        assert net(torch.zeros(1, 6, size, size)).shape[2:] == (-(-size // 4),) * 2


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


def test_a_checkpoint_with_code_is_refused_unrun(tmp_path: Path) -> None:
    old, new = tmp_path / "old.pth", tmp_path / "new.pth"
    old.write_bytes(pickle.dumps({"state_dict": Bomb()}, protocol=2))
    torch.save({"state_dict": Bomb()}, new)
    for path in (old, new):
        with pytest.raises(BadInput, match="code or objects"):
            read_checkpoint(path)


def test_bad_checkpoints_are_refused_in_one_sentence(tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(BadInput) as error:
            load_estimator(FlowConfig(flow="flownets", flow_weights=path))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "does not exist" in refusal(tmp_path / "absent.pth")
    text = tmp_path / "text.pth"
    text.write_text("hello")
    assert str(text) in refusal(text)
    whole = save_public(tmp_path / "whole.pth", narrow())
    half = tmp_path / "half.pth"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "damaged" in refusal(half)
    other = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), other)
    assert "FlowNetS" in refusal(other)
    state = narrow().state_dict()
    lacking = {key: value for key, value in state.items() if key != "deconv2.0.weight"}
    torch.save(lacking, other)
    assert "deconv2.0.weight" in refusal(other)
    torch.save(state | {"deconv2.0.bias": torch.zeros(8)}, other)  # as NVIDIA's FlowNetS has
    assert "deconv2.0.bias" in refusal(other)
    torch.save(state | {"conv2.0.weight": torch.zeros(3, 3)}, other)
    assert "conv2.0.weight" in refusal(other)
    torch.save(state | {"conv2.0.weight": state["conv2.0.weight"] * float("nan")}, other)
    assert "NaN" in refusal(other)
    torch.save([1, 2], other)
    assert "state dict" in refusal(other)


def test_networks_without_weights_say_where_to_get_them() -> None:
    for flow in ("raft_small", "raft_large"):
        with pytest.raises(BadOption, match=r"--flow-weights FILE .*\.pth from"):
            FlowConfig(flow=flow)  # type: ignore[arg-type]


def test_flo_files_are_read_and_broken_ones_are_refused(tmp_path: Path) -> None:
    flow = np.random.default_rng(0).normal(size=(5, 7, 2)).astype(np.float32)
    path = tmp_path / "a.flo"
    path.write_bytes(b"PIEH" + np.array([7, 5], "<i4").tobytes() + flow.tobytes())
    assert np.array_equal(read_flo(path), flow)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BadInput, match="7x5"):
        read_flo(path)
    path.write_bytes(b"x")
    with pytest.raises(BadInput, match=r"not a \.flo"):
        read_flo(path)
