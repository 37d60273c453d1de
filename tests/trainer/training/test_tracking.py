"""--tracking: services get a run's finite figures once, also if it is resumed."""

import sys
from types import ModuleType

import pytest
from trainer_fixtures import write_shards  # pyright: ignore[reportMissingImports]

from trainer.common.files import read_json_lines
from trainer.errors import BadInput
from trainer.fit import fit
from trainer.training.options import FitConfig
from trainer.training.run_folder import RunWriter
from trainer.training.tracking import NoTracker, open_tracker


class Recorder:
    """A tracker that stores what is logged."""

    def __init__(self, folder, options, step) -> None:
        self.start, self.options, self.logged, self.closed = step, options, [], False

    def log(self, step, figures) -> None:
        self.logged.append((step, figures))

    def close(self) -> None:
        self.closed = True


def test_steps_of_a_resumed_run_are_recorded_once(tmp_path, monkeypatch) -> None:
    opened: list[Recorder] = []
    monkeypatch.setitem(
        sys.modules["trainer.training.tracking"].SERVICES,
        "wandb",
        lambda *args: opened.append(Recorder(*args)) or opened[-1],
    )
    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))
    toy = write_shards(tmp_path / "toy", shards=1, clips=2, frames=6, size=32)
    small = dict(
        shards=toy, device="cpu", batch_size=1, backbone="small", lstm_width=16, threads=1,
        workers=0, steps=4, save_every=2, tracking="wandb",
    )  # fmt: skip
    run = fit(FitConfig(**small, out=tmp_path / "run"))
    lines = read_json_lines(run / "metrics.jsonl")
    assert (
        [step for step, _ in opened[0].logged] == [line["step"] for line in lines] == [1, 2, 3, 4]
    )
    assert opened[0].logged[2][1]["loss"] == lines[2]["loss"]
    assert opened[0].closed and opened[0].options["steps"] == 4
    fit(FitConfig(**small, resume=run / "last.pt", out=tmp_path / "more"))
    assert opened[1].start == 4 and opened[1].logged == [] and opened[1].closed


def test_non_finite_figures_are_not_sent(tmp_path) -> None:
    writer = RunWriter(tmp_path)
    writer.tracker = recorder = Recorder(tmp_path, {}, 0)
    writer.log({"step": 3, "loss": float("nan"), "pa_mpjpe": 50.0, "note": "x"})
    assert recorder.logged == [(3, {"pa_mpjpe": 50.0})]


def test_a_service_that_is_not_installed_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BadInput, match=r"pip install '\.\[wandb\]'"):
        open_tracker("wandb", tmp_path, {}, 0)
    assert isinstance(open_tracker("none", tmp_path, {}, 0), NoTracker)
    with pytest.raises(BadInput, match=r"pip install '\.\[wandb\]'"):  # before anything is read
        fit(FitConfig(shards=("nowhere",), tracking="wandb"))


def test_a_service_that_refuses_gives_one_sentence(tmp_path, monkeypatch) -> None:
    broken = ModuleType("wandb")

    def init(**_: object) -> None:
        raise RuntimeError("no API key\nconfigured")

    broken.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", broken)
    with pytest.raises(BadInput, match="--tracking wandb cannot start: no API key configured"):
        open_tracker("wandb", tmp_path, {}, 0)


@pytest.mark.parametrize("start", [0, 2])
def test_tensorboard_reads_what_was_logged(tmp_path, start) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first in (0, start):
        tracker = open_tracker("tensorboard", tmp_path, {}, first)
        for step in range(first + 1, 5):
            tracker.log(step, {"loss": 10.0 * first + step})
        tracker.close()
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    expected = [(step, 10.0 * (start if step > start else 0) + step) for step in range(1, 5)]
    assert [(event.step, event.value) for event in events] == expected


def test_mlflow_continues_the_same_run(tmp_path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path}/mlruns")
    for first in (0, 2):
        tracker = open_tracker("mlflow", tmp_path / "run", {"steps": 4}, first)
        for step in (first + 1, first + 2):
            tracker.log(step, {"loss": float(step)})
        tracker.close()
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(n, float(n)) for n in (1, 2, 3, 4)]


def test_weights_and_biases_takes_a_run_offline(tmp_path, monkeypatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = open_tracker("wandb", tmp_path, {"steps": 2}, 0)
    tracker.log(1, {"loss": 2.0})
    tracker.close()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
