"""trainer.fit end to end on toy shards: a run's files, and what it refuses."""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from trainer_fixtures import toy_config, write_shards

from trainer.errors import BadInput
from trainer.evaluate import evaluate
from trainer.evaluation.options import EvaluateConfig, PredictConfig
from trainer.fit import best_of, fit, skipped
from trainer.model.checkpoint import load_checkpoint
from trainer.predict import predict
from trainer.training.options import FitConfig
from trainer.training.run_folder import RunWriter

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_writes_its_folder_and_can_be_evaluated_and_exported(toy, tmp_path, capsys):
    folder = fit(
        toy_config(toy, tmp_path / "run", inputs="flow+keypoints", val_shards=(toy,), val_every=3)
    )
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "run.json", "metrics.jsonl", "last.pt", "best.pt", "loss.png"} <= names
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    errors = {line["val_pa_mpjpe"]: line["step"] for line in metrics if "val_pa_mpjpe" in line}
    *_, best, following = capsys.readouterr().out.splitlines()
    step = errors[min(errors)]
    assert best == f"best     PA-MPJPE {min(errors):.1f} mm on the validation clips, at step {step}"
    command = f"Next: python -m trainer.evaluate --checkpoint {folder / 'best.pt'} --shards {toy}"
    assert following == command
    about = json.loads((folder / "run.json").read_text())
    assert about["data"]["fingerprint"] == "toy-0" and about["revision"]
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert {"step", "loss", "pa_mpjpe", "data_wait", "clips_per_second", "lr"} <= line.keys()

    results = evaluate(EvaluateConfig(checkpoint=folder / "best.pt", shards=toy, device="cpu"))
    assert set(results["per_person"]) == {"toy0", "toy1"}
    assert 0 < results["persons"]["pa_mpjpe"] < 1000
    (evaluation,) = (folder / "evaluation").iterdir()
    assert evaluation.name.endswith("-best")
    predictions = capsys.readouterr().out
    assert "mm/frame²" in predictions and f"{evaluation}: evaluation.json" in predictions
    assert (evaluation / "skeletons.png").stat().st_size > 10_000
    json.loads((evaluation / "evaluation.json").read_text())

    predictions = tmp_path / "predictions"
    options = PredictConfig(
        checkpoint=folder / "last.pt", shards=toy, out=predictions, device="cpu"
    )
    assert predict(options) == 8
    with np.load(predictions / "000000_0000.npz") as clip:
        shapes = {name: clip[name].shape for name in clip}
    assert (
        shapes.items()
        >= {
            "joints": (6, 38, 3),
            "joints2d": (6, 38, 2),
            "pose": (6, 72),
            "shapes": (6, 10),
            "camera": (6, 3),
            "poses": (6, 156),
            "trans": (6, 3),
            "betas": (10,),
        }.items()
    )


def test_the_best_error_of_a_run_is_named_with_its_step():
    lines = [{"step": 1, "loss": 2.0}, {"step": 5, "val_pa_mpjpe": 61.25}]
    lines += [{"step": 10, "val_pa_mpjpe": 58.0}, {"step": 15, "val_pa_mpjpe": None}]
    assert best_of(lines, 58.0) == "PA-MPJPE 58.0 mm on the validation clips, at step 10"
    assert best_of(lines[:2], 58.0).endswith("in the folder of the run that was resumed")
    assert "--val-shards" in best_of(lines[:1], math.inf)


def test_damaged_clips_are_summed_up_with_the_command_that_repairs_them(toy, tmp_path, capsys):
    damage = [
        "/a b/shard-000001.tar: clip 000001_0000: flow.npy differs from its checksum",
        "/a b/shard-000001.tar: clip 000001_0003 has 4 frames, fewer than 6",  # is no damage
        "https://host/x/shard-000002.tar is truncated: it has no end-of-archive mark",
    ]
    assert skipped(damage) == [
        "skipped  1 clip of shard-000001 (damaged): python -m datagen.verify '/a b' --repair",
        "skipped  clips of shard-000002 (damaged)",
    ]
    torn = tmp_path / "torn"
    shutil.copytree(toy, torn)
    tar = sorted(torn.glob("shard-*.tar"))[-1]
    tar.write_bytes(tar.read_bytes()[:-20000])
    fit(toy_config(torn, tmp_path / "run", steps=8, val_shards=(torn,)))
    printed = capsys.readouterr().out
    assert f"of {tar.stem} (damaged): python -m datagen.verify {torn} --repair\n" in printed
    note = "note     --val-shards is part of the training set, so its error is a training error\n"
    assert note in printed


def test_damage_in_validation_shards_stops_a_run_with_on_damage_stop(toy, tmp_path, capsys):
    held = write_shards(tmp_path / "held", shards=1, clips=3, frames=8, size=32)
    tar = held / "shard-000000.tar"
    tar.write_bytes(tar.read_bytes()[:-20000])
    fit(toy_config(toy, tmp_path / "on", steps=1, val_shards=(held,)))
    assert "skipped: " in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"shard-000000\.tar.* make that shard again"):
        fit(toy_config(toy, tmp_path / "off", steps=1, val_shards=(held,), on_damage="stop"))


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["keypoints", "flow+keypoints"])
def test_one_shard_is_learned_to_below_15_mm(tmp_path, inputs):
    shards = write_shards(tmp_path / "one", shards=1, clips=4, frames=8, size=64)
    options = dict(image_size=64, batch_size=4, lstm_width=64, steps=600, lr=2e-3, flip=False)
    folder = fit(toy_config(shards, tmp_path / "run", inputs=inputs, **options))
    measure = EvaluateConfig(checkpoint=folder / "last.pt", shards=shards, device="cpu", pictures=0)
    assert evaluate(measure)["every_frame"]["pa_mpjpe"] < 15


def test_a_run_is_not_overwritten(toy, tmp_path):
    stillborn = tmp_path / "stillborn"
    stillborn.mkdir()
    (stillborn / "log.txt").write_text("a note\n")
    folder = fit(toy_config(toy, stillborn, steps=2))
    with pytest.raises(BadInput, match=r"holds a run already; pass --resume .*last\.pt"):
        fit(toy_config(toy, folder, steps=2))
    other = fit(toy_config(toy, tmp_path / "other", steps=2))
    with pytest.raises(BadInput, match=r"holds a run already"):  # another run's checkpoint
        fit(toy_config(toy, folder, steps=2, resume=other / "last.pt"))
    copied = fit(toy_config(toy, tmp_path / "copy", steps=2, resume=folder / "last.pt"))
    assert load_checkpoint(copied / "last.pt")["step"] == 2  # only the checkpoint is written
    (folder / "last.pt").unlink()
    with pytest.raises(BadInput, match=r"without a last\.pt .*; remove the folder"):
        fit(toy_config(toy, folder, steps=2))


def test_wrong_validation_shards_are_refused_before_training(toy, tmp_path):
    with pytest.raises(BadInput, match=r"nowhere is not a folder; point --val-shards"):
        fit(toy_config(toy, tmp_path / "run", val_shards=(Path("nowhere"),)))
    pictures = write_shards(tmp_path / "rgb", shards=1, clips=2, frames=6, size=32, rgb=True)
    with pytest.raises(BadInput, match=r"--val-shards: .* holds no pictures"):
        fit(toy_config(pictures, tmp_path / "run", inputs="rgb", val_shards=(toy,)))
    assert not (tmp_path / "run").exists()


def test_a_note_names_another_joint_regressor_of_validation_shards(toy, tmp_path, capsys):
    """The same clips, but dataset.json names another regressor, so errors are not comparable."""
    other = tmp_path / "other"
    shutil.copytree(toy, other)
    known = json.loads((other / "dataset.json").read_text())
    known["joint_regressor"] = {"name": "H36M's", "sha256": "0f"}
    (other / "dataset.json").write_text(json.dumps(known))
    for held, noted in ((toy, False), (other, True)):
        capsys.readouterr()
        run = tmp_path / f"run-{held.name}"
        fit(toy_config(toy, run, steps=1, inputs="keypoints", val_shards=(held,)))
        printed = capsys.readouterr().out
        assert (f"note     {held} has evaluation joints from H36M's (0f)" in printed) is noted
        assert ("make both data sets with one --joint-regressor" in printed) is noted


def test_a_diverging_training_ends_with_one_sentence(toy, tmp_path):
    with pytest.raises(BadInput, match=r"The loss is .* at step \d+; lower --lr"):
        fit(
            toy_config(
                toy, tmp_path / "run", lr=1e30, warmup=0, clip_grad=0, inputs="flow+keypoints"
            )
        )


def test_a_run_that_cannot_mirror_says_so(tmp_path, capsys):
    cut = write_shards(tmp_path / "cut", shards=1, clips=2, frames=6, size=34)
    for inputs, off in (("flow+keypoints", True), ("keypoints", False)):
        fit(toy_config(cut, tmp_path / inputs, steps=1, image_size=34, inputs=inputs))
        words = "flip     off: crops of 34 px are no multiple of the flow's stride of 4 px"
        assert (words in capsys.readouterr().out) == off


def test_metrics_are_valid_json_also_for_nan_and_infinity(tmp_path):
    RunWriter(tmp_path).log({"step": 1, "grad_norm": float("inf"), "val_pa_mpjpe": float("nan")})
    line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line) == {"step": 1, "grad_norm": None, "val_pa_mpjpe": None}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "0"], "--steps must be at least 1, got 0"),
        (["--clip-grad", "-1"], "--clip-grad must be at least 0, got -1.0"),
        (["--frames", "99"], "--frames 99 is more than the 6 frames"),
        (["--inputs", "rgb"], "holds no pictures"),
        (["--inputs", "flow", "--keypoint-drop", "0.1"], "have no effect with --inputs flow"),
        (["--lr", "1e-7"], "--lr-min 1e-06 must be at most --lr"),
        (["--model", "lifter"], "--model lifter uses only keypoints"),
        (["--shards", "nowhere"], "nowhere is not a folder"),
        (["--out", __file__], "test_fit.py: File exists; name another path"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(toy, tmp_path, options, words, capsys):
    from trainer.common import cli

    argv = sys.argv
    sys.argv = ["fit", "--shards", str(toy), "--device", "cpu", "--out", str(tmp_path), *options]
    try:
        with pytest.raises(SystemExit) as stop:
            cli.run(FitConfig, fit, "")
    finally:
        sys.argv = argv
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("error: ") and error.count("\n") == 1
