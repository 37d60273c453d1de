"""`--init` starts from another run's weights, `--keep-init` freezes them."""

from pathlib import Path

import pytest
import torch
from trainer_fixtures import write_shards

from trainer.errors import BadInput
from trainer.fit import fit
from trainer.model.checkpoint import load_checkpoint
from trainer.training.options import FitConfig

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("toy"), shards=1, clips=4, frames=5, size=32)


def config(toy: Path, out: Path, **changes) -> FitConfig:
    options = dict(
        shards=toy, out=out, device="cpu", steps=2, batch_size=2, image_size=32, lstm_width=8,
        precision="fp32", backbone="maps", head="joints", keypoints="coordinates",
        inputs="keypoints", weight_decay=0.1,
    )  # fmt: skip
    return FitConfig(**{**options, **changes})


@pytest.fixture(scope="module")
def first(toy, tmp_path_factory) -> Path:
    return fit(config(toy, tmp_path_factory.mktemp("first") / "run")) / "last.pt"


@pytest.mark.parametrize("keep", [True, False])
def test_pictures_are_added_to_a_keypoint_network(toy, first, tmp_path, keep):
    options = {"inputs": "flow+keypoints", "init": first, "keep_init": keep}
    start, end = (
        load_checkpoint(fit(config(toy, tmp_path / name, lr=lr, lr_min=0, **options)) / "last.pt")
        for name, lr in (("start", 1e-30), ("end", 1e-2))
    )
    theirs = load_checkpoint(first)["average"]
    # The toy clips have no gravity, so head.fall does not change.
    trained = [
        name for name in theirs if not name.startswith(("limb_length", "head.skip", "head.fall"))
    ]
    assert "lstm.weight_ih_l0" in trained
    for name in trained:
        assert torch.allclose(start["weights"][name], theirs[name], rtol=1e-6), name
        assert torch.equal(end["weights"][name], theirs[name]) == keep, name
        assert torch.allclose(end["average"][name], theirs[name]) == keep, name
    fresh = [name for name, _ in start["weights"].items() if name.endswith("conv1.weight")]
    for name in ("projection.weight", *fresh):
        assert not torch.equal(end["weights"][name], start["weights"][name]), name


def test_impossible_initial_weights_are_refused(toy, first, tmp_path):
    with pytest.raises(BadInput, match=r"--keep-init leaves nothing to train: .* has all"):
        fit(config(toy, tmp_path / "same", init=first, keep_init=True))
    with pytest.raises(BadInput, match=r"is of another network: .* is \(16, 37\)"):
        fit(config(toy, tmp_path / "wide", init=first, lstm_width=16))
    with pytest.raises(BadInput, match="--keep-init keeps the weights of --init; pass one"):
        config(toy, tmp_path / "none", keep_init=True)
