"""--plan: its sums, what it counts as done, and that it leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from instant_tasks import run
from motion_files import bvh_text

from datagen.cluster.backends import Serial
from datagen.cluster.flow_pool import FlowPool
from datagen.cluster.outcome import Outcome
from datagen.common import digests
from datagen.common.errors import BadInput, BadMachine
from datagen.flow.dis import Dis
from datagen.launch import main as launch
from datagen.launcher import cost, sample
from datagen.launcher import plan as room
from datagen.launcher.config import LaunchConfig
from datagen.launcher.cost import Plan, Stage, duration
from datagen.launcher.driver import Driver
from datagen.output.options import OutputConfig

OPTIONS = (
    "--num-shards 3 --clips-per-shard 2 --clip-length 4 --image-size 64 --motion-limit 2 "
    "--video-limit 1 --backend serial"
).split()


def test_time_is_shared_out_and_the_last_tasks_are_waited_for() -> None:
    stages = {"people": Stage(10, 100.0, 0.0), "shards": Stage(4, 40.0, 0.0)}
    one = Plan(stages, starts=6.0, fixed=5.0, workers=1)
    assert one.wall == pytest.approx(5 + 6 + 140)
    two = Plan(stages, starts=6.0, fixed=5.0, workers=2)
    assert two.wall == pytest.approx(5 + 146 / 2 + 10 / 4 + 10 / 4)
    gpus = Plan(stages, starts=0.0, fixed=0.0, workers=2, gpus=4.0)
    assert gpus.gpu_seconds == pytest.approx(4 * 40 / 2)
    done = Plan({"people": Stage(0, 0.0, 0.0)}, starts=0.0, fixed=1.0, workers=2)
    assert done.wall == 1.0


def test_a_plan_names_a_range_other_clusters_pictures_and_the_disk() -> None:
    cfg = LaunchConfig(output=OutputConfig(num_shards=10_000, clips_per_shard=1))
    clip = 31 * 2 * 56 * 56 * 2 + 31 * (38 * 24 + 38 + 83 * 4 + 1) + 4000  # flow, labels, headers
    stages = {
        "people": Stage(1, 0.0, 1e9), "scenes": Stage(1, 0.0, 0.0),
        "shards": Stage(10_000, 36_000.0 * 640, 10_000 * (clip + 3e6)),
    }  # fmt: skip
    plan = Plan(stages, 0.0, 0.0, workers=10, spread=0.25, motions=7, scenes=1, free=1e9)
    text = "\n".join(cost.report(plan, cfg, 0))
    assert "time on 10 workers: 20 d 0 h to 33 d " in text  # 26.7 days, a quarter less and more
    assert "on 64 cores 3 d 3 h to 5 d 5 h" in text and "on 256 cores 18 h" in text
    assert "(--no-rgb) saves 30.000 GB" in text and "clips drawn from 7 motions and 1 scene" in text
    assert "GPU-hours: not measured here" in text and "WHICH IS NOT ENOUGH" in text
    lines = [{"shard": {"clips": 2, "seconds": {"total": total}}} for total in (2.0, 4.0)]
    assert cost.spread_of(lines) == pytest.approx(2 / 3)  # 2 · 0.7071 / √2 / 1.5
    assert cost.spread_of(lines[:1]) == 0.5 and cost.spread_of(lines[:1] * 4) == 0.1


def test_every_16_tasks_a_new_process_is_paid_for() -> None:
    cold = {"people": 2.0, "shards": 1.0}
    lines = [{"waited": 3.0, "cold": cold}, {"waited": 5.0, "cold": cold}]
    stages = {"people": Stage(33, 1.0, 1.0), "shards": Stage(1, 1.0, 1.0)}
    assert cost.starts_cost(lines, stages, 2, True) == pytest.approx(3 * 4.0 + 3 * 2.0 + 1 * 1.0)
    assert cost.starts_cost(lines, stages, 2, False) == pytest.approx(2.0 + 1.0)


def test_people_are_weighed_and_shards_counted_by_clips() -> None:
    def person(wall: float, size: int) -> dict:
        return {"wall": wall, "bytes": size, "seconds": {"render": wall / 2}}

    lines = [{"people": {"a": person(2.0, 20), "b": person(4.0, 40)}}]
    stage = cost.library_cost(lines, "people", 5, 300.0, {"a": 10.0, "b": 20.0})
    assert (stage.core_seconds, stage.bytes) == pytest.approx((60.0, 600.0))
    assert stage.parts == pytest.approx({"render": 30.0})
    shard = {"clips": 4, "bytes": 400, "seconds": {"flow": 1.0, "total": 2.0}}
    stage = cost.shards_cost([{"shard": shard}, {"shard": shard}], 3, 24)
    assert (stage.core_seconds, stage.bytes, stage.parts) == (12.0, 2400.0, {"flow": 6.0})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.21, "4.2 s"), (723, "12 min 3 s"), (18_600, "5 h 10 min"), (183_600, "2 d 3 h")],
)
def test_durations_are_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_failed_sample_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    task = sample.WorkerSample("sample 0", (), (), LaunchConfig(), 0.0)
    good, bad = Outcome(task, line={"kind": "sample"}), Outcome(task, reason="no window")
    assert room._measured([good, bad]) == [good.line]
    assert "1 of 2 samples failed" in capsys.readouterr().out
    with pytest.raises(BadInput, match="no window"):
        room._measured([bad])
    with pytest.raises(BadMachine, match="no space"):
        room._measured([good, Outcome(task, reason="no space", bad_machine=True)])


class OwnFlow(FlowPool):
    """As a pool of flow actors, which hold GPUs."""

    def __call__(self, frames: np.ndarray) -> Callable[[], np.ndarray]:
        flow = Dis()(frames)
        return lambda: flow


def test_a_plan_measures_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(room, "PEOPLE", 2)
    monkeypatch.setattr(room, "SCENES", 2)
    monkeypatch.setattr(sample, "CLIPS", 2)
    out = tmp_path / "x"
    assert launch([*OPTIONS, "--out", str(out), "--plan"]) == 0
    text = capsys.readouterr().out
    assert "3 shards, each of 2 clips of 4 frames; 0 done" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line[:1].strip()}
    assert rows["people"][1] == "2" and rows["scenes"][1] == "1" and rows["shards"][1] == "3"
    assert float(rows["total"][1]) > 0 and "time on 1 worker:" in text
    assert not out.exists()

    assert launch([*OPTIONS, "--out", str(out), "--num-shards", "1"]) == 0
    assert launch([*OPTIONS, "--out", str(out), "--num-shards", "1", "--plan"]) == 0
    assert "Nothing to do" in capsys.readouterr().out
    other = tmp_path / "other"
    library = ["--library", str(out / "library")]
    assert launch([*OPTIONS, "--out", str(other), *library, "--plan"]) == 0
    assert "scenes             0" in capsys.readouterr().out and not other.exists()
    pool = OwnFlow((), gpus=1e6)
    monkeypatch.setattr(Serial, "flow", lambda *_: pool)
    assert launch([*OPTIONS, "--out", str(out), "--shards", "0,1,4", "--plan"]) == 0
    text = capsys.readouterr().out
    assert "3 shards" in text and "1 done" in text and "without --plan" in text
    hours = next(line for line in text.splitlines() if line.startswith("GPU-hours"))
    assert float(hours.split()[1]) > 0
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line[:1].strip()}
    assert rows["scenes"][1:3] == ["0", "0.0000"] and rows["shards"][1] == "2"


def test_a_plan_reads_only_inputs_that_have_files_in_the_library(
    instant: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing all of Kinetics takes hours; no input is hashed that nothing was made from."""
    hashed: set[str] = set()
    drivers: list[Driver] = []

    def noted(path: Path) -> tuple[Path, str, str]:
        hashed.add(path.name)
        return hash_file(path)

    def stopped(driver: Driver, *_: object) -> Plan:
        drivers.append(driver)
        raise BadInput("enough")

    hash_file = digests._hash
    monkeypatch.setattr(digests, "_hash", noted)
    monkeypatch.setattr(room, "estimate", stopped)
    (tmp_path / "m").mkdir()
    for k in range(9):
        (tmp_path / "m" / f"{k}.bvh").write_text(bvh_text(12 + k))
    few = ["--num-shards", "1", "--clips-per-shard", "2", "--video-limit", "1", "--split", "all"]
    few += ["--motions", str(tmp_path / "m"), "--library", str(tmp_path / "library")]
    assert run(tmp_path / "x", *few, "--plan") == 2
    assert hashed == set()
    assert run(tmp_path / "one", *few, "--motions-only", "^7$") == 0
    hashed.clear()
    assert run(tmp_path / "x", *few, "--plan") == 2
    (tmp_path / "m" / "7.bvh").write_text(bvh_text(40))
    assert run(tmp_path / "x", *few, "--plan") == 2
    assert hashed == {"7.bvh"}
    known = [[name for name in "0123456789" if d.people._known.get(name)] for d in drivers]
    assert known == [[], ["7"], []]
    assert not (tmp_path / "x").exists()


def test_the_ray_is_named_before_it_is_waited_for(tmp_path: Path, monkeypatch, capsys) -> None:
    def silent(*_: object) -> None:
        raise BadInput("enough")

    monkeypatch.setattr(room, "open_backend", silent)
    monkeypatch.setattr(room.ray_address, "local_cluster", lambda: None)
    options = [*OPTIONS[:-1], "ray", "--out", str(tmp_path / "x"), "--plan"]
    named = {"": "Starting a local Ray …", "h:1": "Joining the Ray cluster at h:1 …"}
    for address, words in named.items():
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert launch(options) == 2
        assert capsys.readouterr().out.endswith(f"{words}\n")


def test_a_busy_machine_is_named() -> None:
    assert room.remark_on_load(22.4, 2) == (
        "note: this machine was busy (load 22 on 2 cores), so hours and times are upper bounds"
    )
    assert room.remark_on_load(2.0, 2) == ""
