"""The paper's tables: the rows, new and finished runs, and the report."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tyro
from faulty_server import serving
from trainer_fixtures import write_shards

from trainer.data.dataset import open_dataset
from trainer.data.store import Store
from trainer.errors import BadInput
from trainer.evaluate import evaluate
from trainer.evaluation.options import EvaluateConfig
from trainer.fit import fit
from trainer.paper import rows
from trainer.paper import study as runs
from trainer.paper.options import TablesConfig
from trainer.paper.rows import DANN_WEIGHTS, SMALL, clips_per_step, fit_options, launch_command
from trainer.tables import common_options, make_tables, named
from trainer.training.options import FitConfig

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = tuple("steps=2 batch-size=2 image-size=32 lstm-width=16 backbone=small val-every=1".split())


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("data")
    return {
        name: write_shards(root / name, shards=1, clips=2, frames=31, size=32, seed=seed)
        for seed, name in enumerate(("full", "static", "test", "other"))
    }


@pytest.fixture
def calls(monkeypatch) -> list[list[str]]:
    """Run the commands in this process; return their command lines."""
    done: list[list[str]] = []

    def call(line: list[str], folder: Path, lock: int) -> int:
        done.append(line)
        folder.mkdir(parents=True, exist_ok=True)
        if line[0] == "trainer.fit":
            fit(tyro.cli(FitConfig, args=line[1:]))
        else:
            evaluate(tyro.cli(EvaluateConfig, args=[*line[1:], "--pictures", "0"]))
        return 0

    monkeypatch.setattr(runs, "call", call)
    return done


def config(sets: dict[str, Path], out: Path, **changes) -> TablesConfig:
    options = dict(
        data=(f"full={sets['full']}", f"static={sets['static']}"),
        test=(f"held-out={sets['test']}",),
        out=out, tables=(2,), options=FEW, device="cpu",
    )  # fmt: skip
    return TablesConfig(**{**options, **changes})  # type: ignore[arg-type]


def test_the_rows_are_the_papers():
    first, second, third = rows.tables()
    paper = {row.title: row.paper for table in (first, second, third) for row in table.rows}
    assert paper["Flow + keypoints"] == paper["Full"] == paper["31 frames"] == "74.7"
    assert (paper["Keypoints"], paper["Flow"], paper["RGB"]) == ("77.6", "100.1", "105.6")
    assert paper["No occlusions, static background"] == "88.9" and paper["8 frames"] == "79.0"
    trainings = {
        t.name for table in (first, second, third) for r in table.rows for t in r.trainings
    }
    assert len(trainings) == 6 + len(DANN_WEIGHTS) + 3 + 3  # flow+keypoints is in all three
    titles = {row.title for table in (first, second, third) for row in table.rows}
    assert all(name in titles for t in (first, second, third) for pair in t.order for name in pair)
    quoted = [row for row in first.rows if not row.trainings]
    assert len(quoted) == 4


def test_every_rows_options_are_options_of_fit(tmp_path):
    for table in rows.tables():
        for row in table.rows:
            for training in row.trainings:
                options = fit_options(training, SMALL, 3)
                line = ["--shards", str(tmp_path), *rows.words(options)]
                cfg = tyro.cli(FitConfig, args=line)
                assert cfg.seed == 3 and cfg.frames == training.frames
                blind = training.options["inputs"] in ("rgb", "flow")
                common = {**SMALL, "keypoint-noise": 2.0, "feedback": True, "weights": "resnet.pth"}
                cfg = tyro.cli(
                    FitConfig,
                    args=line[:2] + rows.words(fit_options(training, common, 3)),
                )
                assert cfg.keypoint_noise == (0 if blind else 2)
                assert cfg.feedback == (not blind and cfg.model != "lifter")
                assert (cfg.weights is None) == (cfg.model == "lifter")
                common = {**SMALL, "head": "joints", "keypoints": "coordinates"}
                cfg = tyro.cli(
                    FitConfig,
                    args=line[:2] + rows.words(fit_options(training, common, 3)),
                )
                plain = blind or cfg.model == "lifter"
                assert cfg.head == ("smpl" if plain else "joints")
                assert cfg.keypoints == ("heatmaps" if plain else "coordinates")
    assert [clips_per_step(frames, 3) for frames in (8, 16, 31, 56)] == [6, 6, 3, 2]


@pytest.mark.parametrize(
    ("common", "clips"), [({}, [6, 6, 3, 2]), ({"batch-size": 24}, [48, 48, 24, 16])]
)
def test_a_step_of_table_3_has_the_papers_clips(common, clips):
    """Section 4.1, per GPU: 6 clips of 8 and of 16 frames, 3 of 31, 2 of 56."""
    lengths = {row.title: row.trainings[0] for row in rows.length_table().rows}
    found = [fit_options(training, common, 0) for training in lengths.values()]
    assert [options["frames"] for options in found] == [8, 16, 31, 56]
    assert [options["batch-size"] for options in found] == clips


def test_finished_runs_are_not_repeated(data, tmp_path, calls, capsys):
    cfg = config(data, tmp_path)
    assert make_tables(cfg) == 0
    assert [line[0] for line in calls] == ["trainer.fit", "trainer.evaluate"] * 2
    printed = capsys.readouterr().out
    assert "no-occluders: no --data no-occluders=DIR" in printed
    assert "python -m datagen.launch" in printed and "--no-track-camera" in printed
    assert "3DPW is not given" in printed
    report = (tmp_path / "report.md").read_text()
    assert "**3DPW was not available.**" in report and "| Full | 74.7 | " in report
    assert "not run: no --data no-tracking=DIR" in report and (tmp_path / "table-2.png").exists()
    metadata = [
        json.loads(path.read_text())["persons"]["pa_mpjpe"]
        for path in sorted(tmp_path.glob("runs/*/held-out/evaluation.json"))
    ]
    assert len(metadata) == 2 and all(f"| {error:.1f} |" in report for error in metadata)

    calls.clear()
    assert make_tables(cfg) == 0 and not calls
    assert (tmp_path / "report.md").read_text() == report
    # The report names the code that trained the networks, not the code that writes it.
    for metadata in (tmp_path / "runs").glob("*/run.json"):
        metadata.write_text(
            json.dumps({**json.loads(metadata.read_text()), "revision": "elsewhere"})
        )
    assert make_tables(cfg) == 0
    assert "; trained by code `elsewhere`.\n" in (tmp_path / "report.md").read_text()
    # Trained networks are evaluated on a new evaluation set, and again on a changed one.
    more = config(data, tmp_path, test=(*cfg.test, f"3dpw={data['other']}"))
    assert make_tables(more) == 0
    assert [line[0] for line in calls] == ["trainer.evaluate"] * 2
    assert "ours, 3dpw | ours, held-out" in (tmp_path / "report.md").read_text()
    calls.clear()
    changed = config(data, tmp_path, test=(f"held-out={data['other']}",))
    assert make_tables(changed) == 0
    assert [line[0] for line in calls] == ["trainer.evaluate"] * 2
    # Other options or data give other networks, in other folders.
    calls.clear()
    assert make_tables(config(data, tmp_path, options=(*FEW, "ema=0.5"), data=cfg.data[:1])) == 0
    assert [line[0] for line in calls] == ["trainer.fit", "trainer.evaluate"]
    assert len(list((tmp_path / "runs").glob("*[!k]"))) == 3  # besides the locks


def test_the_printed_command_for_missing_data_parses(data):
    metadata = json.loads((data["full"] / "dataset.json").read_text())
    bodies = {"camera_pitch": [-10.0, 30.0], "motions": "folder 1", "stride": 6, "surreal": None}
    config = {"bodies": bodies, "output": {"rgb": False}}
    (data["full"] / "dataset.json").write_text(json.dumps({**metadata, "config": config}))
    printed = launch_command("static", open_dataset(data["full"]))
    (data["full"] / "dataset.json").write_text(json.dumps(metadata))
    assert " --camera-pitch -10.0 30.0 --motions … --stride 6 --no-rgb " in printed


def test_data_sets_may_be_urls_and_patterns_as_for_fit(data, tmp_path, calls, capsys):
    with serving(data["full"].parent) as (http, _):
        pattern = f"{http}/test/shard-{{000000..000000}}.tar"
        cfg = config(
            data, tmp_path, data=(f"full={http}/full",), test=(f"held-out={pattern}",),
            cache=tmp_path / "kept",
        )  # fmt: skip
        assert make_tables(cfg) == 0
        assert len(list((tmp_path / "kept").glob("*.tar"))) == 2
        calls.clear()
        assert make_tables(config(data, tmp_path, data=(f"full={data['full']}",))) == 0
        assert not calls  # the same shards elsewhere are the same data set
    printed = capsys.readouterr().out
    assert (
        "python -m datagen.launch --num-shards 1" in printed and f"--out {http}/static" in printed
    )


def test_a_failed_row_does_not_affect_others(data, tmp_path, monkeypatch, capsys):
    asked: list[str] = []

    def call(line: list[str], folder: Path, lock: int) -> int:
        asked.append(line[0])
        return 1

    monkeypatch.setattr(runs, "call", call)
    assert make_tables(config(data, tmp_path)) == 2
    assert asked == ["trainer.fit", "trainer.fit"]
    printed = capsys.readouterr().out
    assert "FAILED" in printed and "log.txt" in printed and "2 commands failed" in printed
    assert "not finished" in (tmp_path / "report.md").read_text()


def test_the_best_domain_weight_is_reported_with_the_mean(data, tmp_path, monkeypatch):
    from trainer.paper import report

    table = rows.tables((0.1, 0.3))[0]
    row = next(row for row in table.rows if row.best)
    values = {"rgb+dann-0.1": [100.0, 102.0], "rgb+dann-0.3": [90.0, 94.0]}
    monkeypatch.setattr(report, "figures", lambda study, training, *_: values[training.name])
    monkeypatch.setattr(report, "runs_of", lambda *_: [])
    study = runs.Study(tmp_path, {}, {}, None, {})
    assert report.cell(study, row, "held-out", 2) == "92.0 ± 2.8 (96.5)"


def test_the_order_is_compared_with_the_spread_of_seeds(tmp_path, monkeypatch):
    from trainer.paper import report

    table = rows.tables()[1]
    values = {
        "flow+keypoints": [70.0, 72.0],
        "no-occluders": [75.0, 76.0],
        "no-tracking": [75.0, 79.0],
        "static": [60.0, 61.0],
    }
    monkeypatch.setattr(report, "figures", lambda study, training, *_: values[training.name])
    study = runs.Study(tmp_path, {}, {"held-out": None}, None, {})  # type: ignore[dict-item]
    lines = report.order_of(study, table, 2).splitlines()[2:]
    assert [line.split(": ")[1] for line in lines] == [
        "holds (+4.5 mm)", "within the spread of seeds (+1.5 mm)", "does not hold (-16.5 mm)",
    ]  # fmt: skip
    values |= {"flow+keypoints": [75.9], "no-occluders": [76.0], "no-tracking": [79.5]}
    lines = report.order_of(study, table, 1).splitlines()
    assert "one seed: 3 mm" in lines[0]
    assert [line.split(": ")[1] for line in lines[2:]] == [
        "within the spread of seeds (+0.1 mm)", "holds (+3.5 mm)", "does not hold (-19.0 mm)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "words"),
    [("full", "takes NAME=SHARDS"), ("fulll=x", "is none of"), ("full=nowhere", "is not a folder")],
)
def test_a_wrong_pair_gives_one_sentence(pair, words):
    with pytest.raises(BadInput, match=words):
        named((pair,), "--data", tuple(rows.VARIANTS), Store())


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("steps", "takes NAME=VALUE"),
        ("frames=16", "what distinguishes the rows"),
        ("batch-size=many", "must be a whole number of clips, got many"),
    ],
)
def test_a_wrong_option_for_all_rows_gives_one_sentence(pair, words):
    cfg = TablesConfig(test=("held-out=x",), options=(pair,))
    with pytest.raises(BadInput, match=words):
        common_options(cfg)


def test_a_training_that_outlives_its_parent_is_waited_for(tmp_path):
    folder = tmp_path / "runs" / "x"
    with runs.alone(folder) as lock:
        orphan = subprocess.Popen(["sleep", "0.7"], pass_fds=(lock,))
    began = time.monotonic()
    with runs.alone(folder):
        assert orphan.poll() is not None or time.monotonic() - began > 0.3
    orphan.wait()


SLOW = """
import signal, time
def save(*_):
    time.sleep(1)  # a step of a large network, longer than subprocess.run would wait
    print("saved", flush=True)
    raise SystemExit
signal.signal(signal.SIGINT, save)
print("running", flush=True)
time.sleep(60)
"""


def test_after_control_c_a_training_finishes_its_step(tmp_path):
    (tmp_path / "slow_training.py").write_text(SLOW)
    code = f"""
import os, sys
from pathlib import Path
from trainer.paper.study import call
call(["slow_training"], Path({str(tmp_path / "run")!r}), os.open(os.devnull, os.O_RDONLY))
"""
    path = os.pathsep.join((str(tmp_path), *sys.path))
    tables = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    log = tmp_path / "run" / "log.txt"
    for _ in range(300):
        if log.exists() and "running" in log.read_text():
            break
        time.sleep(0.1)
    time.sleep(1)  # on a busy machine the parent may still be inside Popen
    os.killpg(tables.pid, signal.SIGINT)  # like a terminal
    assert tables.wait(30) != 0
    assert log.read_text().split()[-2:] == ["running", "saved"]


@pytest.mark.slow
def test_a_killed_training_resumes_from_its_checkpoint(data, tmp_path):
    """Real processes: kill -9 the whole group, then repeat the same command."""
    line = [sys.executable, "-m", "trainer.tables", "--data", f"full={data['full']}"]
    line += ["--test", f"held-out={data['test']}", "--out", str(tmp_path), "--tables", "2"]
    line += ["--device", "cpu", "--options", *FEW, "steps=60", "save-every=5", "log-every=1"]
    line += ["val-every=60"]
    first = subprocess.Popen(line, start_new_session=True)
    deadline = time.time() + 120
    while not list(tmp_path.glob("runs/*/last.pt")) and time.time() < deadline:
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not list(tmp_path.glob("runs/*/trained.json"))
    subprocess.run(line, check=True)
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert "--resume" in (folder / "log.txt").read_text()
    steps = [
        json.loads(text)["step"] for text in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert sorted(set(steps)) == list(range(1, 61))
    assert json.loads((folder / "held-out" / "evaluation.json").read_text())["step"] == 60
