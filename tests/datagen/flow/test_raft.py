"""RAFT: the official layout, its parts against closed forms, its accuracy on FlyingChairs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from benchmarks.flo import read_flo
from datagen.common.errors import BadInput
from datagen.flow.load import load_estimator
from datagen.flow.options import FlowConfig
from datagen.flow.raft import Raft, convex_upsample, correlate, look_up


def test_parameters_are_as_many_as_the_official_ones() -> None:
    for small, count in ((True, 990_162), (False, 5_257_536)):
        with torch.device("meta"):
            network = Raft(small)
        assert sum(p.numel() for p in network.parameters()) == count


def test_lookup_reads_the_correlation_at_the_cell_itself_and_around_it() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(2, 1, 8, 16, 16)
    pyramid = correlate(first, second, 4)
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    seen = look_up(pyramid, torch.stack((x, y))[None], 1)
    assert seen.shape == (1, 36, 16, 16)

    def product(dx: int, dy: int) -> float:
        return float(first[0, :, 5, 6] @ second[0, :, 5 + dy, 6 + dx]) / 8**0.5

    assert float(seen[0, 4, 5, 6]) == pytest.approx(product(0, 0), abs=1e-4)
    assert float(seen[0, 1, 5, 6]) == pytest.approx(product(-1, 0), abs=1e-4)  # x is outside
    assert float(seen[0, 3, 5, 6]) == pytest.approx(product(0, -1), abs=1e-4)


def test_convex_upsampling_takes_the_neighbour_that_the_mask_names() -> None:
    flow = torch.randn(1, 2, 5, 6)
    mask = torch.full((1, 9, 8, 8, 5, 6), -1e4)
    mask[:, 4] = 0  # the cell itself
    full = convex_upsample(flow, mask.reshape(1, 576, 5, 6))
    assert torch.allclose(full, 8 * interpolate(flow, scale_factor=8, mode="nearest"))


@pytest.mark.parametrize("size", [16, 100, 136])
def test_any_size_gives_a_field_of_stride_four(tmp_path: Path, size: int) -> None:
    torch.manual_seed(0)
    weights = {f"module.{key}": value for key, value in Raft(True).state_dict().items()}
    torch.save(weights, tmp_path / "small.pth")
    cfg = FlowConfig(flow="raft_small", flow_weights=tmp_path / "small.pth", raft_iterations=1)
    estimator = load_estimator(cfg)
    flow = estimator(np.zeros((2, size, size, 3), np.uint8))
    assert estimator.name.startswith("raft_small-") and estimator.stride == 4
    assert flow.shape == (1, 2, -(-size // 4), -(-size // 4))


def test_the_other_size_of_raft_is_refused(tmp_path: Path) -> None:
    torch.save(Raft(True).state_dict(), tmp_path / "small.pth")
    with pytest.raises(BadInput, match="not a checkpoint of RAFT large"):
        load_estimator(FlowConfig(flow="raft_large", flow_weights=tmp_path / "small.pth"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flow", "file", "limits"),
    [("raft_small", "raft-small.pth", (1.2, 0.65)), ("raft_large", "raft-sintel.pth", (0.95, 0.4))],
)
def test_official_weights_on_flying_chairs(
    shared_data: Path, flow: str, file: str, limits: tuple[float, float]
) -> None:
    folder = shared_data / "flow"
    network = Raft(flow == "raft_small")
    state = torch.load(folder / file, map_location="cpu", weights_only=True)
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    network.eval()
    for name, limit in zip(("00001", "00002"), limits, strict=True):
        images = [cv2.imread(str(folder / f"{name}_img{i}.ppm")) for i in (1, 2)]
        frames = torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2)
        with torch.inference_mode():
            found = network(frames)[0].permute(1, 2, 0).numpy()
        error = np.linalg.norm(found - read_flo(folder / f"{name}_flow.flo"), axis=-1).mean()
        print(f"{file} on {name}: EPE {error:.3f} px")
        assert error < limit
