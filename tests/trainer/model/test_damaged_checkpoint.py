"""Wrong checkpoints are named in one sentence."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from trainer_fixtures import network, toy_body

from trainer.errors import BadInput
from trainer.model.build import build_model
from trainer.model.checkpoint import load_checkpoint, load_model, save_checkpoint
from trainer.training.resume import saved_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    spec, body = network(), toy_body(np.random.default_rng(0))
    return {
        "model": spec.plain(), "body": {n: torch.as_tensor(a) for n, a in body.items()},
        "weights": build_model(spec, body).state_dict(), "average": None, "config": {},
        "data": {"fingerprint": "x"}, "settings": {}, "step": 3,
    }  # fmt: skip


def changed(whole: dict[str, Any], part: str, name: str, value: Any) -> dict[str, Any]:
    return {**whole, part: {**whole[part], name: value}}


def test_an_intact_checkpoint_is_read(whole: dict[str, Any], tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", whole)
    assert load_model(tmp_path / "last.pt", CPU)[2]["step"] == 3


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("model", "lstm_width", 10**9),
        ("model", "lstm_width", -1),
        ("model", "frames", "16"),
        ("model", "keypoints", ["x"]),
        ("model", "backbone", "none such"),
        ("model", "unknown", 1),
        ("body", "parents", torch.arange(24) + 1),
        ("body", "weights", torch.full((144, 24), torch.nan)),
        ("body", "v_template", torch.zeros(0, 3)),
        ("weights", "body.rest", torch.zeros(2)),
    ],
)
def test_a_damaged_checkpoint_is_refused(
    whole: dict[str, Any], part: str, name: str, value: Any, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "last.pt", changed(whole, part, name, value))
    with pytest.raises(BadInput, match=r"last\.pt"):
        load_model(tmp_path / "last.pt", CPU)


def test_non_finite_weights_are_refused(whole: dict[str, Any], tmp_path: Path) -> None:
    name = next(n for n, w in whole["weights"].items() if w.is_floating_point())
    save_checkpoint(
        tmp_path / "last.pt",
        changed(whole, "weights", name, whole["weights"][name] * torch.nan),
    )
    with pytest.raises(BadInput, match="NaN"):
        load_model(tmp_path / "last.pt", CPU)


@pytest.mark.parametrize("part", ["model", "body", "weights", "config", "data", "settings", "step"])
def test_a_missing_part_is_named(whole: dict[str, Any], part: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", {n: v for n, v in whole.items() if n != part})
    with pytest.raises(BadInput, match=f"has no {part}"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_checkpoint_that_cannot_be_resumed_is_refused(
    whole: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, whole)  # without the loaders' positions
    data: Any = SimpleNamespace(identity=lambda: {"fingerprint": "x"})
    cfg: Any = SimpleNamespace(resume=path, shards="shards")
    ranks: Any = SimpleNamespace(world=1)
    with pytest.raises(BadInput, match=r"damaged.*loaders"):
        saved_run(cfg, data, None, ranks, tmp_path)
