"""A resumed run is bit-identical to an uninterrupted one; wrong resumes are refused."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from trainer_fixtures import toy_config, write_shards

from trainer.errors import BadInput, Stopped
from trainer.evaluate import evaluate
from trainer.evaluation.options import EvaluateConfig
from trainer.fit import fit
from trainer.model.checkpoint import load_checkpoint, save_checkpoint
from trainer.training import settings
from trainer.training.run_folder import RunWriter
from trainer.training.signals import Interrupt

pytestmark = pytest.mark.usefixtures("one_thread")


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


@pytest.mark.parametrize("more", [{}, {"accumulate": 2, "keypoint_noise": 2.0, "ema": 0.9}])
def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(toy, tmp_path, more):
    options = {"log_every": 1, "save_every": 3, **more}
    straight = fit(toy_config(toy, tmp_path / "straight", **options))
    part = fit(toy_config(toy, tmp_path / "part", **options))
    # The state of a run that was killed after step 3.
    killed = tmp_path / "killed"
    killed.mkdir()
    stop_after(part, killed, toy, options)
    resumed = fit(toy_config(toy, killed, resume=killed / "last.pt", **options))
    assert losses(resumed) == losses(straight)
    ours, theirs = (load_checkpoint(f / "last.pt") for f in (resumed, straight))
    for part_name in ("weights", "average"):
        for name, value in theirs[part_name].items():
            assert torch.equal(ours[part_name][name], value), name


def stop_after(part: Path, killed: Path, toy: Path, options: dict) -> None:
    """Run the same config in another process and kill it after its checkpoint of step 3."""
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
            fit(toy_config(toy, killed, **options))
    finally:
        loop.save_checkpoint = original
    assert load_checkpoint(killed / "last.pt")["step"] == 3


def test_other_options_or_data_cannot_be_resumed(toy, tmp_path):
    folder = fit(toy_config(toy, tmp_path / "run", steps=2))
    with pytest.raises(BadInput, match=r"trained with --batch-size 2, not --batch-size 4"):
        fit(toy_config(toy, folder, steps=2, batch_size=4, resume=folder / "last.pt"))
    other = write_shards(tmp_path / "other", shards=1, clips=2, frames=6, size=32, seed=5)
    with pytest.raises(BadInput, match="other shards"):
        fit(toy_config(other, folder, steps=2, resume=folder / "last.pt"))
    saved = load_checkpoint(folder / "last.pt")
    save_checkpoint(folder / "last.pt", {**saved, "loaders": saved["loaders"] * 2})
    with pytest.raises(BadInput, match="trained on 2 ranks, not 1"):
        fit(toy_config(toy, folder, steps=2, resume=folder / "last.pt"))
    del saved["config"]["feedback"]  # as written by a version without this option
    save_checkpoint(folder / "last.pt", saved)
    with pytest.raises(BadInput, match="trained with --no-feedback, not --feedback"):
        fit(toy_config(toy, folder, steps=2, feedback=True, resume=folder / "last.pt"))
    with pytest.raises(BadInput, match="trained with --precision fp32, not no --precision"):
        fit(toy_config(toy, folder, steps=2, precision=None, resume=folder / "last.pt"))
    saved["config"]["wings"] = 0.0  # an option of former versions, which was off
    save_checkpoint(folder / "last.pt", saved)
    fit(toy_config(toy, folder, steps=2, resume=folder / "last.pt"))
    saved["config"]["wings"] = 0.5
    save_checkpoint(folder / "last.pt", saved)
    with pytest.raises(BadInput, match=r"--wings 0\.5, which this version no longer has"):
        fit(toy_config(toy, folder, steps=2, resume=folder / "last.pt"))


def test_settings_chosen_for_one_machine_are_kept_on_another(toy, tmp_path, monkeypatch):
    options = {"steps": 2, "lr": None, "backbone": None}
    folder = fit(toy_config(toy, tmp_path / "run", **options))
    monkeypatch.setattr(settings, "LEARNING_RATES", {"resnet18": 1.0})
    fit(toy_config(toy, folder, resume=folder / "last.pt", **options))
    assert json.loads((folder / "run.json").read_text())["settings"]["lr"] == 5e-4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_resumes_as_if_uninterrupted(toy, tmp_path, monkeypatch, number):
    options = {"log_every": 1, "save_every": 100, "val_shards": (toy,), "val_every": 3}
    straight = fit(toy_config(toy, tmp_path / "straight", **options))
    log = RunWriter.log

    def interrupted(self, line):
        log(self, line)
        if line["step"] == 4:
            os.kill(os.getpid(), number)

    folder, handler = tmp_path / "run", signal.getsignal(number)
    with monkeypatch.context() as patch, pytest.raises(Stopped) as stop:
        patch.setattr(RunWriter, "log", interrupted)
        fit(toy_config(toy, folder, **options))
    words = f"stopped at step 4; continue with `--resume {folder / 'last.pt'}` and the same options"
    assert str(stop.value) == words and stop.value.status == 128 + number
    assert signal.getsignal(number) == handler
    fit(toy_config(toy, folder, resume=folder / "last.pt", **options))
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


def test_the_best_error_on_other_clips_is_not_kept(toy, tmp_path):
    options = {"steps": 4, "save_every": 2, "val_every": 2}
    stopped = fit(toy_config(toy, tmp_path / "run", val_shards=(toy,), **options))
    saved = load_checkpoint(stopped / "last.pt")
    save_checkpoint(stopped / "last.pt", {**saved, "best": 1.0, "validated": False})
    fit(toy_config(toy, stopped, resume=stopped / "last.pt", val_shards=(toy,), **options))
    assert load_checkpoint(stopped / "last.pt")["best"] == 1.0
    fit(toy_config(toy, stopped, resume=stopped / "last.pt", **options))  # keeps the best error
    assert load_checkpoint(stopped / "last.pt")["best"] == 1.0
    saved = load_checkpoint(stopped / "last.pt")
    save_checkpoint(stopped / "last.pt", {**saved, "validated": False})
    options["val_clips"] = 3
    fit(toy_config(toy, stopped, resume=stopped / "last.pt", val_shards=(toy,), **options))
    assert load_checkpoint(stopped / "last.pt")["best"] > 1.0


def test_a_failing_validation_loses_no_step(toy, tmp_path, monkeypatch):
    import trainer.training.loop as loop

    options = {"log_every": 1, "save_every": 3, "val_shards": (toy,), "val_every": 3}
    straight = fit(toy_config(toy, tmp_path / "straight", **options))

    def fail(*_):
        raise OSError("the disk is gone")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk"):
        patch.setattr(loop, "held_out_error", fail)
        fit(toy_config(toy, folder, **options))
    assert load_checkpoint(folder / "last.pt")["step"] == 3
    fit(toy_config(toy, folder, resume=folder / "last.pt", **options))
    same_runs(folder, straight)


def same_runs(ours: Path, theirs: Path) -> None:
    """Assert that two runs have bit-identical logs and final weights."""
    metadata = [
        [
            (line["step"], line.get("loss"), line.get("val_pa_mpjpe"))
            for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        ]
        for run in (ours, theirs)
    ]
    assert metadata[0] == metadata[1]
    a, b = (load_checkpoint(run / "last.pt") for run in (ours, theirs))
    assert a["best"] == b["best"]
    for part in ("weights", "average"):
        for name, value in b[part].items():
            assert torch.equal(a[part][name], value), name


def test_a_checkpoint_with_former_names_is_resumed_exactly(toy, tmp_path):
    """Former checkpoints named the LSTM `memory`."""
    straight = fit(toy_config(toy, tmp_path / "straight", steps=4, save_every=2, feedback=True))
    old = fit(toy_config(toy, tmp_path / "old", steps=4, save_every=2, feedback=True))
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
    fit(toy_config(toy, old, steps=4, save_every=2, feedback=True, resume=old / "last.pt"))
    again = load_checkpoint(old / "last.pt")["weights"]
    expected = load_checkpoint(straight / "last.pt")["weights"]
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], expected[name]) for name in expected)
