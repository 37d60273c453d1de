"""One launch at a time fills a data set: the second is refused, a dead one holds up nobody."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from instant_tasks import run

from datagen.cluster.options import ClusterConfig
from datagen.common import temporary
from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import place, sizes
from datagen.launcher.config import LaunchConfig
from datagen.launcher.run import launch
from datagen.output import card, claim
from datagen.output.claim import claimed
from datagen.output.layout import Layout
from datagen.output.manifest import finished_shards
from datagen.output.options import OutputConfig

HOLDER = """
import sys, time
from pathlib import Path
from datagen.output.claim import claimed
from datagen.output.layout import Layout
with claimed(Layout(Path(sys.argv[1])), "f1"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "BEAT", 0.05)
    monkeypatch.setattr(claim, "WATCH", 0.4)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds tmp_path/x."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def memory() -> Iterator[Layout]:
    yield Layout(place("memory://bucket/x"))
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def refused(layout: Layout, fingerprint: str = "f1", shards: list[int] | None = None) -> str:
    with pytest.raises(BadInput) as error, claimed(layout, fingerprint, shards):
        pass
    return str(error.value)


def test_the_second_is_refused_until_the_first_ends_or_is_killed(tmp_path: Path, holder) -> None:
    layout = Layout(tmp_path / "x")
    text = refused(layout)
    assert str(layout.shards) in text and f"process {holder.pid} on" in text
    assert "with other options" not in text and "with other options" in refused(layout, "f2")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with claimed(layout, "f2"):
        assert refused(layout)
    with claimed(layout, "f1"):
        pass
    assert not any(path.is_file() for path in (tmp_path / "x").rglob("*"))


def test_a_launch_of_another_seed_ends_before_it_writes_anything(
    instant, tmp_path: Path, holder, capsys
) -> None:
    """Also if the first has no shard yet, so that dataset.json does not mention it."""
    before = sorted(tmp_path.rglob("*"))
    assert run(tmp_path / "x", "--num-shards", "2", "--seed", "2") == 2
    error = capsys.readouterr().err
    assert "being filled by another launch" in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_launches_of_different_shards_share_the_work(instant, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "x")
    with claimed(layout, "f1", [0, 1]):
        assert "--shards" in refused(layout, "f1", [1, 2])
        assert "with other options" in refused(layout, "f2", [2])
        assert refused(layout, "f1")
        with claimed(layout, "f1", [2, 3]):
            assert refused(layout, "f1", [3])
    failures: list[int] = []
    wanted = [",".join(map(str, range(first, 6, 2))) for first in range(2)]

    def work(shards: str) -> None:
        output = OutputConfig(out=tmp_path / "x", clips_per_shard=2, shards=shards)
        cluster = ClusterConfig(backend="serial")
        failures.append(launch(LaunchConfig(output=output, cluster=cluster)))

    threads = [threading.Thread(target=work, args=(shards,)) for shards in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [0, 0] and sorted(finished_shards(layout)) == list(range(6))
    described = json.loads(layout.dataset.read_text())
    assert described["shards"] == 8 and described["clips"] == 12
    assert card.current(layout, finished_shards(layout))


@pytest.mark.parametrize("locks", [True, False])
def test_a_claim_of_another_host_is_watched(
    quick, tmp_path: Path, locks: bool, monkeypatch
) -> None:
    """Its lock may not be visible here, or there are none: signs of life decide."""
    layout = Layout(tmp_path / "x")
    if not locks:
        for module in (temporary, claim):
            monkeypatch.setattr(module, "try_lock", lambda file: None)
    with claimed(layout, "f1"):
        (path,) = (layout.manifests / "running").iterdir()
        monkeypatch.setattr(claim, "try_lock", lambda file: True if locks else None)
        monkeypatch.setattr(claim, "machine", lambda: "elsewhere")
        assert "being filled" in refused(layout)
        dead = path.with_name("0.json")
        dead.write_bytes(path.read_bytes())
    with claimed(layout, "f1"):
        assert not dead.exists()


def test_a_launch_that_stood_still_while_another_took_over_stops(quick, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "x")
    lost = pytest.raises(BadMachine, match="another launch took over")
    with lost, claimed(layout, "f1"):
        (path,) = (layout.manifests / "running").iterdir()
        path.unlink()
        threading.Event().wait(20)


def test_behind_a_url_signs_of_life_decide(quick, memory: Layout) -> None:
    with claimed(memory, "f1", [0]):
        assert "being filled" in refused(memory, "f1", [1])
        (name,) = sizes(memory.manifests / "running")
        content = (memory.manifests / "running" / name).read_bytes()
    assert not sizes(memory.manifests / "running")
    (memory.manifests / "running" / "0.json").write_bytes(content)  # of one that was killed
    with claimed(memory, "f1"):
        assert "0.json" not in sizes(memory.manifests / "running")


def test_of_two_that_begin_at_one_moment_one_goes_on(quick, tmp_path: Path, monkeypatch) -> None:
    """Each looks before the other has written: both see it afterwards."""
    layout, start = Layout(tmp_path / "x"), threading.Barrier(2, timeout=20)
    look, looks, ended = claim._Claim.rival, [], []
    held = threading.Event()

    def together(self):
        found = look(self)
        looks.append(found)
        if len(looks) <= 2:
            start.wait()
        return found

    monkeypatch.setattr(claim._Claim, "rival", together)

    def launch() -> None:
        try:
            with claimed(layout, "f1"):
                ended.append("held")
                held.wait(20)
        except BadInput:
            ended.append("refused")
            held.set()

    threads = [threading.Thread(target=launch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["held", "refused"] and looks[:2] == [None, None]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("out", ["/proc/nope/shards", "/sys/nope/shards", "file/shards"])
def test_a_place_that_takes_no_folder_is_named_as_it_was_given(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shards = tmp_path / out
    with pytest.raises(BadMachine) as error, claimed(Layout(shards), "f1"):
        pass
    there = shards.parents[0 if out[0] == "f" else 1]
    assert str(error.value).startswith(f"--out {shards} cannot be created: {there}")
    assert "manifests" not in str(error.value) and str(error.value).endswith("another path")
