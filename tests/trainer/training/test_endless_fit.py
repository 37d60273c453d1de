"""`--clips endless` end to end on toy motions: it learns, and resumes exactly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_motions import some_motions, toy_motion, write_motions

from trainer.data.endless.options import EndlessConfig
from trainer.errors import BadInput
from trainer.fit import fit
from trainer.model.checkpoint import load_checkpoint, save_checkpoint
from trainer.training import loop
from trainer.training.options import FitConfig

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def motions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some_motions(tmp_path_factory.mktemp("motions"), takes=2, frames=64)


def config(shards: Path, out: Path, **changes) -> FitConfig:
    """A small, fast network that predicts joints from coordinates."""
    options = dict(
        shards=shards, out=out, device="cpu", precision="fp32", clips="endless", head="joints",
        inputs="keypoints", keypoints="coordinates", frames=8, spacing=2, batch_size=16, steps=20,
        lstm_width=32, residual=True, lr=5e-3, warmup=2, log_every=1, save_every=10,
    )  # fmt: skip
    return FitConfig(**{**options, **changes})


def lines(folder: Path) -> list[dict]:
    """Return the steps that a run logged."""
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in read if "loss" in line]


def test_the_loss_falls_in_twenty_steps(motions: Path, tmp_path: Path):
    folder = fit(config(motions, tmp_path / "run"))
    logged = lines(folder)
    assert [line["step"] for line in logged] == list(range(1, 21))
    assert {"distance", "aligned", "sigma", "rotations", "gravity"} <= logged[0].keys()
    for name, share in (("loss", 0.8), ("aligned", 0.8), ("distance", 0.9)):
        values = [line[name] for line in logged]
        assert np.isfinite(values).all()
        assert np.mean(values[-5:]) < share * np.mean(values[:2]), name


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(
    motions: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
):
    """Stopped when its checkpoint of step 6 is written, with other numbers of threads."""
    options = {"steps": 12, "save_every": 6}
    straight = fit(config(motions, tmp_path / "straight", workers=2, **options))

    class Cut(Exception):
        pass

    def save_and_stop(path: Path, content: dict) -> None:
        save_checkpoint(path, content)
        raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(loop, "save_checkpoint", save_and_stop)
        fit(config(motions, tmp_path / "cut", workers=workers, **options))
    cut = config(
        motions, tmp_path / "cut", workers=workers, resume=tmp_path / "cut" / "last.pt", **options
    )
    again = fit(cut)
    assert [x["loss"] for x in lines(again)][-6:] == [x["loss"] for x in lines(straight)][-6:]
    ours, theirs = (load_checkpoint(folder / "last.pt") for folder in (again, straight))
    for part in ("weights", "average"):
        for name, value in theirs[part].items():
            assert torch.equal(ours[part][name], value), name


def test_a_run_is_resumed_only_with_its_own_clip_options(motions: Path, tmp_path: Path):
    folder = fit(config(motions, tmp_path / "run", steps=1))
    other = config(
        motions, folder, steps=1, resume=folder / "last.pt", endless=EndlessConfig(turn=3.0)
    )
    with pytest.raises(BadInput, match=r"--endless.turn 12\.0, not --endless.turn 3\.0"):
        fit(other)


def test_validation_uses_fixed_clips_of_held_out_motions(motions: Path, tmp_path: Path):
    held = some_motions(tmp_path / "held", takes=2, frames=50, seed=9)
    cfg = config(
        motions, tmp_path / "run", val_shards=(held, held), steps=4, val_every=2, val_clips=3
    )
    folder = fit(cfg)
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    errors = [line["val_pa_mpjpe"] for line in read if "val_pa_mpjpe" in line]
    assert len(errors) == 2 and (folder / "best.pt").exists()
    # The mean of two data sets counts; of the same set twice, it is that set's error.
    once = fit(replace(cfg, out=tmp_path / "once", val_shards=(held,)))
    read = [json.loads(line) for line in (once / "metrics.jsonl").read_text().splitlines()]
    assert [line["val_pa_mpjpe"] for line in read if "val_pa_mpjpe" in line] == errors


HEATMAPS = {
    "keypoints": "heatmaps", "backbone": "small", "image_size": 32, "residual": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{"head": "smpl"}, HEATMAPS, {**HEATMAPS, "head": "smpl"}],
    ids=["smpl from coordinates", "joints from heatmaps", "smpl from heatmaps"],
)  # fmt: skip
def test_other_networks_learn_from_endless_clips_too(motions: Path, tmp_path: Path, changes: dict):
    folder = fit(config(motions, tmp_path / "run", steps=2, batch_size=3, **changes))
    assert np.isfinite([line["loss"] for line in lines(folder)]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": "flow+keypoints"}, {"inputs": "flow"}, {"inputs": "rgb+keypoints"},
        {"model": "lifter", "head": "smpl", "keypoints": "heatmaps"}, {"turn": 5.0},
        {"keypoint_noise": 2.0}, {"keypoint_drop": 0.1}, {"keypoint_gaps": 0.1},
        {"dann_shards": Path("x"), "head": "smpl"},
    ],
)  # fmt: skip
def test_options_that_endless_clips_lack_are_refused(changes: dict):
    with pytest.raises(BadInput):
        config(Path("shards"), Path("run"), **changes)


def test_clips_longer_than_the_motions_are_refused(motions: Path, tmp_path: Path):
    with pytest.raises(
        BadInput, match=r"--frames 33, 2 apart, span 65 frames, is more than the 64"
    ):
        fit(config(motions, tmp_path / "run", frames=33))


def test_rendered_clips_from_motion_shards_are_refused(motions: Path, tmp_path: Path):
    cfg = config(motions, tmp_path / "run", clips="stored", inputs="flow+keypoints")
    with pytest.raises(BadInput, match=r"motions without pictures .* --clips endless"):
        fit(cfg)


def test_damaged_takes_are_named_and_skipped_or_stop_the_run(tmp_path: Path, capsys):
    rng = np.random.default_rng(0)
    broken = toy_motion(rng, 40)
    broken["pose"][3] = np.nan
    shards = write_motions(tmp_path / "shards", [toy_motion(rng, 40), broken])
    cfg = config(shards, tmp_path / "run", steps=1)
    fit(cfg)
    assert "skipped" in capsys.readouterr().err
    with pytest.raises(BadInput, match="000000_0001 holds no motion"):
        fit(replace(cfg, out=tmp_path / "other", on_damage="stop"))


def test_the_same_seed_draws_other_clips_with_other_options(motions: Path, tmp_path: Path):
    """Options reach the clips: near and far cameras give different losses."""
    near = EndlessConfig(distance=(2, 2.1))
    one = fit(config(motions, tmp_path / "one", steps=1, endless=near))
    two = fit(config(motions, tmp_path / "two", steps=1))
    assert lines(one)[0]["loss"] != lines(two)[0]["loss"]
