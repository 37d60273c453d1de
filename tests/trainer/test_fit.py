"""The doors end to end on toy shards: losses fall, a resumed run is the straight one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from trainer_fixtures import write_shards

from trainer.analysis.runs import find_runs
from trainer.errors import BadInput, Stopped
from trainer.evaluate import evaluate, table
from trainer.evaluation.metrics import Tally, summarize
from trainer.evaluation.options import EvaluateConfig, PredictConfig
from trainer.fit import fit
from trainer.model.checkpoint import load_checkpoint, save_checkpoint
from trainer.predict import predict
from trainer.training import settings
from trainer.training.options import FitConfig
from trainer.training.run_folder import RunWriter
from trainer.training.signals import Interrupt

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("toy"), shards=2, clips=4, frames=6, size=32)


def config(toy: Path, out: Path, **changes) -> FitConfig:
    options = dict(
        shards=toy,
        out=out,
        device="cpu",
        steps=6,
        batch_size=2,
        image_size=32,
        lstm_width=16,
        precision="fp32",
        inputs="keypoints",
        backbone="small",
    )
    return FitConfig(**{**options, **changes})


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def test_a_run_leaves_its_folder_and_can_be_measured_and_used(toy, tmp_path, capsys):
    folder = fit(
        config(toy, tmp_path / "run", inputs="flow+keypoints", val_shards=(toy,), val_every=3)
    )
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "run.json", "metrics.jsonl", "last.pt", "best.pt", "loss.png"} <= names
    about = json.loads((folder / "run.json").read_text())
    assert about["data"]["fingerprint"] == "toy-0" and about["revision"]
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert {"step", "loss", "pa_mpjpe", "data_wait", "clips_per_second", "lr"} <= line.keys()

    results = evaluate(EvaluateConfig(checkpoint=folder / "best.pt", shards=toy, device="cpu"))
    assert set(results["per_person"]) == {"toy0", "toy1"}
    assert 0 < results["persons"]["pa_mpjpe"] < 1000
    (evaluation,) = (folder / "evaluation").iterdir()
    assert evaluation.name.endswith("-best")
    said = capsys.readouterr().out
    assert "mm/frame²" in said and str(evaluation / "evaluation.json") in said
    assert (evaluation / "skeletons.png").stat().st_size > 10_000
    json.loads((evaluation / "evaluation.json").read_text())

    said = tmp_path / "said"
    options = PredictConfig(checkpoint=folder / "last.pt", shards=toy, out=said, device="cpu")
    assert predict(options) == 8
    with np.load(said / "000000_0000.npz") as clip:
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


def test_damage_in_validation_stops_a_run_that_is_to_stop(toy, tmp_path, capsys):
    held = write_shards(tmp_path / "held", shards=1, clips=3, frames=8, size=32)
    tar = held / "shard-000000.tar"
    tar.write_bytes(tar.read_bytes()[:-20000])
    fit(config(toy, tmp_path / "on", steps=1, val_shards=(held,)))
    assert "skipped: " in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"shard-000000\.tar.* make that shard again"):
        fit(config(toy, tmp_path / "off", steps=1, val_shards=(held,), on_damage="stop"))


def test_a_person_of_whom_no_frame_counts_is_in_no_mean():
    truth = torch.randn(4, 14, 3)
    tallies = {"seen": Tally(), "hidden": Tally()}
    for name, tally in tallies.items():
        tally.add(
            truth + 0.1 * torch.randn(4, 14, 3), truth, torch.full((4,), name == "seen"), (2, 3)
        )
    results = json.loads(json.dumps(summarize(tallies), allow_nan=False))
    assert results["per_person"]["hidden"]["pa_mpjpe"] is None
    assert results["persons"]["pa_mpjpe"] == results["per_person"]["seen"]["pa_mpjpe"]
    lines = table(results).splitlines()
    assert lines[-1].endswith("mm over 1 person")
    assert lines[2].split() == ["hidden", "-", "-", "-", "0"]
    nobody = summarize({"hidden": tallies["hidden"]})
    assert table(nobody).endswith("PA-MPJPE - mm over 0 persons")


def test_each_data_set_has_its_own_evaluation(toy, tmp_path):
    folder = fit(config(toy, tmp_path / "runs/one", steps=1, inputs="keypoints"))
    other = write_shards(tmp_path / "other/shards", shards=1, clips=2, frames=6, size=32)
    options = {"checkpoint": folder / "last.pt", "device": "cpu", "pictures": 0}
    for shards in (toy, other, other):  # the same set again replaces its own results
        evaluate(EvaluateConfig(shards=shards, **options))
    shutil.copy(folder / "last.pt", folder / "best.pt")
    one = EvaluateConfig(shards=toy, **options)
    for changes in ({"max_clips": 1}, {"mirror": True}, {"raw_weights": True}, {"stride": 1}):
        evaluate(replace(one, **changes))  # another look, which replaces nothing
    looks = {path.name.split("-", 2)[2] for path in folder.glob("evaluation/*-*-*")}
    assert looks == {"clips1", "mirror", "raw", "stride1"}
    for path in folder.glob("evaluation/*-stride1"):
        shutil.rmtree(path)  # as good as the plain one, which of them is compared is open
    places = sorted(path.parent.name for path in folder.glob("evaluation/*/evaluation.json"))
    best = folder / "best.pt"
    evaluate(EvaluateConfig(checkpoint=best, shards=toy, device="cpu", pictures=0))
    assert sorted({name.split("-")[0] for name in places}) == sorted(["other", toy.name])
    for shards, clips in ((toy, 8), (other, 2)):
        (run,) = find_runs(str(tmp_path / "runs"), str(shards))
        assert run.evaluation and run.evaluation["shards"] == str(shards)
        assert len(run.clips) == clips and run.evaluation["checkpoint"].endswith("last.pt")
    with pytest.raises(BadInput, match=r"dataset\.json"):
        find_runs(str(tmp_path / "runs"), str(tmp_path))


def test_windows_are_rejoined_to_whole_clips(toy, tmp_path):
    folder = fit(config(toy, tmp_path / "run", steps=1, frames=4))
    checkpoint = folder / "last.pt"
    look = EvaluateConfig(checkpoint=checkpoint, shards=toy, device="cpu", stride=1, pictures=0)
    results = evaluate(look)
    assert results["window"] == {"frames": 4, "stride": 1, "mirror": False, "refine": False}
    assert results["every_frame"]["frames"] == 8 * 6
    both = evaluate(replace(look, mirror=True))
    assert both["window"]["mirror"] and both["every_frame"]["frames"] == 8 * 6
    assert both["every_frame"]["pa_mpjpe"] != results["every_frame"]["pa_mpjpe"]
    with pytest.raises(BadInput, match="--stride 5 would leave frames out between windows of 4"):
        evaluate(EvaluateConfig(checkpoint=checkpoint, shards=toy, device="cpu", stride=5))


def test_poor_keypoints_are_shown_to_the_model_and_compared_with_the_true_ones(toy, tmp_path):
    folder = fit(config(toy, tmp_path / "run", steps=1, inputs="keypoints"))
    look = EvaluateConfig(checkpoint=folder / "last.pt", shards=toy, device="cpu", pictures=0)
    exact = evaluate(look)
    noisy, again = (evaluate(replace(look, keypoint_noise=3.0)) for _ in range(2))
    assert noisy == again and noisy["keypoints"] == {"noise": 3.0, "drop": 0.0, "gaps": 0.0}
    blind = evaluate(replace(look, keypoint_drop=1.0))
    gaping = evaluate(replace(look, keypoint_gaps=1.0))
    for poor in (noisy, blind, gaping):  # the same frames count
        assert poor["persons"]["pa_mpjpe"] != exact["persons"]["pa_mpjpe"]
        assert poor["frames"]["frames"] == exact["frames"]["frames"] > 0
    away = evaluate(replace(look, keypoint_noise=1e7))  # no heatmap reaches into its picture
    assert away["every_frame"] == blind["every_frame"]
    places = [path.name.split("-", 2)[2:] for path in (folder / "evaluation").iterdir()]
    assert sorted(places) == [[], ["drop1"], ["gaps1"], ["noise1e+07"], ["noise3"]]
    (run,) = find_runs(str(tmp_path))
    assert run.evaluation == exact
    with pytest.raises(BadInput, match=r"--keypoint-drop must lie in \[0, 1\], got 2"):
        replace(look, keypoint_drop=2.0)
    with pytest.raises(BadInput, match=r"--keypoint-gaps must lie in \[0, 1\], got -1"):
        replace(look, keypoint_gaps=-1)
    flow = fit(config(toy, tmp_path / "flow", steps=1, inputs="flow")) / "last.pt"
    with pytest.raises(BadInput, match="sees flow alone, so --keypoint-noise"):
        evaluate(replace(look, checkpoint=flow, keypoint_noise=3.0))


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["keypoints", "flow+keypoints"])
def test_one_shard_is_learned_to_below_15_mm(tmp_path, inputs):
    shards = write_shards(tmp_path / "one", shards=1, clips=4, frames=8, size=64)
    options = dict(image_size=64, batch_size=4, lstm_width=64, steps=600, lr=2e-3, flip=False)
    folder = fit(config(shards, tmp_path / "run", inputs=inputs, **options))
    measure = EvaluateConfig(checkpoint=folder / "last.pt", shards=shards, device="cpu", pictures=0)
    assert evaluate(measure)["every_frame"]["pa_mpjpe"] < 15


@pytest.mark.parametrize("more", [{}, {"accumulate": 2, "keypoint_noise": 2.0, "ema": 0.9}])
def test_a_resumed_run_is_the_straight_one_to_the_bit(toy, tmp_path, more):
    options = {"log_every": 1, "save_every": 3, **more}
    straight = fit(config(toy, tmp_path / "straight", **options))
    part = fit(config(toy, tmp_path / "part", **options))
    # The state after step 3, as a run killed there leaves it.
    killed = tmp_path / "killed"
    killed.mkdir()
    stop_after(part, killed, toy, options)
    resumed = fit(config(toy, killed, resume=killed / "last.pt", **options))
    assert losses(resumed) == losses(straight)
    ours, theirs = (load_checkpoint(f / "last.pt") for f in (resumed, straight))
    for part_name in ("weights", "average"):
        for name, value in theirs[part_name].items():
            assert torch.equal(ours[part_name][name], value), name


def stop_after(part: Path, killed: Path, toy: Path, options: dict) -> None:
    """Run the same config in another process and kill it once its checkpoint of step 3 is there."""
    import trainer.training.loop as loop

    original = loop.save_checkpoint

    class Stop(Exception):
        pass

    def save_and_die(path: Path, content: dict) -> None:
        original(path, content)
        raise Stop

    loop.save_checkpoint = save_and_die
    try:
        with pytest.raises(Stop):
            fit(config(toy, killed, **options))
    finally:
        loop.save_checkpoint = original
    assert load_checkpoint(killed / "last.pt")["step"] == 3


def test_other_options_or_other_data_are_not_resumed(toy, tmp_path):
    folder = fit(config(toy, tmp_path / "run", steps=2))
    with pytest.raises(BadInput, match=r"trained with --batch-size 2, not --batch-size 4"):
        fit(config(toy, folder, steps=2, batch_size=4, resume=folder / "last.pt"))
    other = write_shards(tmp_path / "other", shards=1, clips=2, frames=6, size=32, seed=5)
    with pytest.raises(BadInput, match="other shards"):
        fit(config(other, folder, steps=2, resume=folder / "last.pt"))
    saved = load_checkpoint(folder / "last.pt")
    save_checkpoint(folder / "last.pt", {**saved, "loaders": saved["loaders"] * 2})
    with pytest.raises(BadInput, match="trained on 2 ranks, not 1"):
        fit(config(toy, folder, steps=2, resume=folder / "last.pt"))
    del saved["config"]["feedback"]  # as of a version that did not know it
    save_checkpoint(folder / "last.pt", saved)
    with pytest.raises(BadInput, match="trained with --no-feedback, not --feedback"):
        fit(config(toy, folder, steps=2, feedback=True, resume=folder / "last.pt"))
    with pytest.raises(BadInput, match="trained with --precision fp32, not no --precision"):
        fit(config(toy, folder, steps=2, precision=None, resume=folder / "last.pt"))
    saved["config"]["wings"] = 0.0  # an option of former versions, which was off
    save_checkpoint(folder / "last.pt", saved)
    fit(config(toy, folder, steps=2, resume=folder / "last.pt"))
    saved["config"]["wings"] = 0.5
    save_checkpoint(folder / "last.pt", saved)
    with pytest.raises(BadInput, match=r"--wings 0\.5, which this version no longer has"):
        fit(config(toy, folder, steps=2, resume=folder / "last.pt"))


def test_what_was_chosen_for_one_machine_is_kept_on_another(toy, tmp_path, monkeypatch):
    options = {"steps": 2, "lr": None, "backbone": None}
    folder = fit(config(toy, tmp_path / "run", **options))
    monkeypatch.setattr(settings, "LEARNING_RATES", {"resnet18": 1.0})
    fit(config(toy, folder, resume=folder / "last.pt", **options))
    assert json.loads((folder / "run.json").read_text())["settings"]["lr"] == 5e-4


def test_a_run_is_not_overwritten(toy, tmp_path):
    stillborn = tmp_path / "stillborn"
    stillborn.mkdir()
    (stillborn / "log.txt").write_text("a note\n")
    folder = fit(config(toy, stillborn, steps=2))
    with pytest.raises(BadInput, match=r"holds a run already; pass --resume .*last\.pt"):
        fit(config(toy, folder, steps=2))
    other = fit(config(toy, tmp_path / "other", steps=2))
    with pytest.raises(BadInput, match=r"holds a run already"):  # another run's checkpoint
        fit(config(toy, folder, steps=2, resume=other / "last.pt"))
    copied = fit(config(toy, tmp_path / "copy", steps=2, resume=folder / "last.pt"))
    assert load_checkpoint(copied / "last.pt")["step"] == 2  # nothing left to do but this
    (folder / "last.pt").unlink()
    with pytest.raises(BadInput, match=r"without a last\.pt .*; remove the folder"):
        fit(config(toy, folder, steps=2))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_as_the_straight_one(toy, tmp_path, monkeypatch, number):
    options = {"log_every": 1, "save_every": 100, "val_shards": (toy,), "val_every": 3}
    straight = fit(config(toy, tmp_path / "straight", **options))
    log = RunWriter.log

    def interrupted(self, line):
        log(self, line)
        if line["step"] == 4:
            os.kill(os.getpid(), number)

    folder, handler = tmp_path / "run", signal.getsignal(number)
    with monkeypatch.context() as patch, pytest.raises(Stopped) as stop:
        patch.setattr(RunWriter, "log", interrupted)
        fit(config(toy, folder, **options))
    words = f"stopped at step 4; go on with `--resume {folder / 'last.pt'}` and the same options"
    assert str(stop.value) == words and stop.value.status == 128 + number
    assert signal.getsignal(number) == handler
    fit(config(toy, folder, resume=folder / "last.pt", **options))
    same_runs(folder, straight)


def test_a_second_signal_of_another_kind_is_noted_too():
    former = signal.getsignal(signal.SIGTERM)
    with Interrupt(on=True) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.number == signal.SIGINT
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == former


def test_the_best_of_other_clips_is_no_best(toy, tmp_path):
    options = {"steps": 4, "save_every": 2, "val_every": 2}
    stopped = fit(config(toy, tmp_path / "run", val_shards=(toy,), **options))
    saved = load_checkpoint(stopped / "last.pt")
    save_checkpoint(stopped / "last.pt", {**saved, "best": 1.0, "validated": False})
    fit(config(toy, stopped, resume=stopped / "last.pt", val_shards=(toy,), **options))
    assert load_checkpoint(stopped / "last.pt")["best"] == 1.0
    fit(config(toy, stopped, resume=stopped / "last.pt", **options))  # keeps it in mind
    assert load_checkpoint(stopped / "last.pt")["best"] == 1.0
    saved = load_checkpoint(stopped / "last.pt")
    save_checkpoint(stopped / "last.pt", {**saved, "validated": False})
    options["val_clips"] = 3
    fit(config(toy, stopped, resume=stopped / "last.pt", val_shards=(toy,), **options))
    assert load_checkpoint(stopped / "last.pt")["best"] > 1.0


def test_a_validation_that_fails_costs_no_step(toy, tmp_path, monkeypatch):
    import trainer.training.loop as loop

    options = {"log_every": 1, "save_every": 3, "val_shards": (toy,), "val_every": 3}
    straight = fit(config(toy, tmp_path / "straight", **options))

    def fail(*_):
        raise OSError("the disk is gone")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk"):
        patch.setattr(loop, "held_out_error", fail)
        fit(config(toy, folder, **options))
    assert load_checkpoint(folder / "last.pt")["step"] == 3
    fit(config(toy, folder, resume=folder / "last.pt", **options))
    same_runs(folder, straight)


def same_runs(ours: Path, theirs: Path) -> None:
    """Assert that two runs logged the same and ended with the same weights, to the bit."""
    told = [
        [
            (line["step"], line.get("loss"), line.get("val_pa_mpjpe"))
            for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        ]
        for run in (ours, theirs)
    ]
    assert told[0] == told[1]
    a, b = (load_checkpoint(run / "last.pt") for run in (ours, theirs))
    assert a["best"] == b["best"]
    for part in ("weights", "average"):
        for name, value in b[part].items():
            assert torch.equal(a[part][name], value), name


def test_wrong_validation_shards_are_refused_before_training(toy, tmp_path):
    with pytest.raises(BadInput, match=r"nowhere is not a folder; point --val-shards"):
        fit(config(toy, tmp_path / "run", val_shards=(Path("nowhere"),)))
    pictures = write_shards(tmp_path / "rgb", shards=1, clips=2, frames=6, size=32, rgb=True)
    with pytest.raises(BadInput, match=r"--val-shards: .* holds no pictures"):
        fit(config(pictures, tmp_path / "run", inputs="rgb", val_shards=(toy,)))
    assert not (tmp_path / "run").exists()


def test_a_training_that_blows_up_ends_with_a_sentence(toy, tmp_path):
    with pytest.raises(BadInput, match=r"The loss is .* at step \d+; lower --lr"):
        fit(config(toy, tmp_path / "run", lr=1e30, warmup=0, clip_grad=0, inputs="flow+keypoints"))


def test_a_run_that_cannot_mirror_says_so(tmp_path, capsys):
    cut = write_shards(tmp_path / "cut", shards=1, clips=2, frames=6, size=34)
    for inputs, off in (("flow+keypoints", True), ("keypoints", False)):
        fit(config(cut, tmp_path / inputs, steps=1, image_size=34, inputs=inputs))
        words = "flip     off: crops of 34 px do not hold whole flow cells of 4 px"
        assert (words in capsys.readouterr().out) == off


def test_metrics_are_json_whatever_they_are(tmp_path):
    RunWriter(tmp_path).log({"step": 1, "grad_norm": float("inf"), "val_pa_mpjpe": float("nan")})
    line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line) == {"step": 1, "grad_norm": None, "val_pa_mpjpe": None}


def test_a_checkpoint_is_data_and_never_half(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1, "weights": {"a": torch.ones(3)}})
    assert load_checkpoint(path)["step"] == 1
    (tmp_path / "code.pt").write_bytes(b"cposix\nsystem\n(S'echo bad'\ntR.")
    (tmp_path / "text.pt").write_text("a note\n")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "folder.pt").mkdir()
    np.savez(tmp_path / "arrays.pt.npz", a=np.zeros(3))
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    torch.save({"a": torch.ones(3)}, tmp_path / "other.pt")
    others = [one for one in tmp_path.iterdir() if one != path]
    assert len(others) == 7
    for other in others:
        with pytest.raises(
            BadInput, match=r"is (not a checkpoint .*|a folder); pass a last\.pt"
        ) as error:
            load_checkpoint(other)
        assert "weights_only" not in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(BadInput, match="does not exist"):
        load_checkpoint(tmp_path / "none.pt")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadInput, match="is not a checkpoint"):
        load_checkpoint(path)


def test_a_kill_during_a_checkpoint_leaves_a_loadable_one(tmp_path):
    program = f"""
import torch, sys
from pathlib import Path
from trainer.model.checkpoint import save_checkpoint
step = 0
while True:
    step += 1
    save_checkpoint(Path({str(tmp_path)!r}) / "last.pt", {{"step": step, "w": torch.ones(400_000)}})
    print(step, flush=True)
"""
    for delay in (0.0, 0.01):
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.readline()
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert load_checkpoint(tmp_path / "last.pt")["step"] >= 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "0"], "--steps must be at least 1, got 0"),
        (["--clip-grad", "-1"], "--clip-grad must be at least 0, got -1.0"),
        (["--frames", "99"], "--frames 99 is more than the 6 frames"),
        (["--inputs", "rgb"], "holds no pictures"),
        (["--inputs", "flow", "--keypoint-drop", "0.1"], "change nothing for --inputs flow"),
        (["--lr", "1e-7"], "--lr-min 1e-06 must be at most --lr"),
        (["--model", "lifter"], "--model lifter lifts keypoints alone"),
        (["--shards", "nowhere"], "nowhere is not a folder"),
        (["--out", __file__], "test_fit.py: File exists; name another path"),
    ],
)
def test_bad_options_cost_one_sentence(toy, tmp_path, options, words, capsys):
    from trainer import cli

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


def test_a_run_of_former_names_goes_on_as_it_would_have(toy, tmp_path):
    """Checkpoints called the LSTM `memory` once."""
    straight = fit(config(toy, tmp_path / "straight", steps=4, save_every=2, feedback=True))
    old = fit(config(toy, tmp_path / "old", steps=4, save_every=2, feedback=True))
    saved = load_checkpoint(old / "last.pt")
    former = (("lstm.", "memory."), ("regressor.error_layer.", "regressor.of_errors."))

    def renamed(name: str) -> str:
        for now, before in former:
            if name.startswith(now):
                return before + name.removeprefix(now)
        return name

    for part in ("weights", "average"):
        saved[part] = {renamed(name): value for name, value in saved[part].items()}
    assert any(name.startswith("memory.") for name in saved["weights"])
    save_checkpoint(old / "last.pt", saved)
    look = {"shards": toy, "device": "cpu", "pictures": 0}
    ours = evaluate(EvaluateConfig(checkpoint=straight / "last.pt", **look))
    theirs = evaluate(EvaluateConfig(checkpoint=old / "last.pt", **look))
    assert ours["every_frame"] == theirs["every_frame"]
    fit(config(toy, old, steps=4, save_every=2, feedback=True, resume=old / "last.pt"))
    again = load_checkpoint(old / "last.pt")["weights"]
    expected = load_checkpoint(straight / "last.pt")["weights"]
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], expected[name]) for name in expected)
