"""The driver alone: thousands of instant shards, --shards, quarantine, full and read-only disks."""

import errno
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from instant_tasks import BROKEN, run

from datagen.bodies.options import BodiesConfig
from datagen.cluster.options import ClusterConfig
from datagen.common.errors import BadMachine, BadOption
from datagen.common.files import place, whole
from datagen.launch import main as launch
from datagen.launcher.config import LaunchConfig, absolute
from datagen.launcher.library import Library
from datagen.output import dataset
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest
from datagen.output.options import OutputConfig


def made(out: Path) -> list[int]:
    return list(Layout(out).found())


@pytest.mark.slow
def test_the_driver_takes_milliseconds_a_shard_and_the_second_run_seconds(
    instant: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--num-shards", "5000", "--clip-length", "2", "--image-size", "16"]
    assert run(tmp_path / "few", *options, "--num-shards", "50") == 0  # imports what is needed
    began, memory = time.process_time(), _peak()
    assert run(tmp_path / "x", *options) == 0
    spent, grown = time.process_time() - began, _peak() - memory
    lines = Manifest(tmp_path / "x" / "manifests" / "shards.jsonl").lines()
    assert sorted(line["shard"] for line in lines) == list(range(5000)) == made(tmp_path / "x")
    assert dataset.read(Layout(tmp_path / "x"))["clips"] == 5000 * 64
    began = time.process_time()
    assert run(tmp_path / "x", *options) == 0
    again = time.process_time() - began
    assert "Nothing to do" in capsys.readouterr().out
    with capsys.disabled():
        print(f"\n{spent / 5:.2f} ms a shard, {grown:.0f} MB more memory, again {again:.2f} s")
    assert spent / 5000 < 0.005
    assert grown < 100
    assert again < 5


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def test_shards_named_are_made_and_no_others(instant: None, tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "x", "--shards", "17,4-6") == 0
    assert made(tmp_path / "x") == [4, 5, 6, 17]
    assert run(tmp_path / "x", "--shards", "5,17", "--plan") == 0
    assert "has the 2 requested shards" in capsys.readouterr().out
    assert dataset.read(Layout(tmp_path / "x"))["shards"] == 18
    assert run(tmp_path / "x", "--shards", "2") == 0
    assert dataset.read(Layout(tmp_path / "x"))["shards"] == 18
    assert "5 shards, 320 clips" in (printed := capsys.readouterr()).out
    assert "(1 shard made now)" in printed.out and "64 clips composed now at" in printed.err
    assert run(tmp_path / "x", "--num-shards", "20") == 0
    assert made(tmp_path / "x") == list(range(20))


def test_files_of_a_part_of_the_sources_are_announced(
    instant: None, tmp_path: Path, capsys
) -> None:
    """ "24 scenes" at first and "23/23" later left open which was right."""
    options = ["--num-shards", "1", "--clips-per-shard", "3", "--split", "test"]
    assert run(tmp_path / "x", *options) == 0
    printed = capsys.readouterr().out
    counts = [
        len(Manifest(tmp_path / "x" / "manifests" / f"{kind}.jsonl").latest("name"))
        for kind in ("bodies", "backgrounds")
    ]
    assert f"files to make now: {counts[0]} people, {counts[1]} scenes; the" in printed
    following = printed.splitlines()[-1]
    assert following.startswith("Next: python -m trainer.evaluate --shards ")
    assert "FILE" not in following
    assert run(tmp_path / "x", *options) == 0
    assert "files to make" not in capsys.readouterr().out


def test_what_a_ray_job_writes_is_not_in_its_temporary_folder(tmp_path: Path, monkeypatch) -> None:
    job = tmp_path / "runtime_resources" / "working_dir"
    job.mkdir(parents=True)
    monkeypatch.chdir(job)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    cfg = LaunchConfig(
        bodies=BodiesConfig(body=Path("smpl")),
        output=OutputConfig(out=Path("x"), library=Path("people")),
        cluster=ClusterConfig(cache=Path("copies")),
    )
    found = absolute(cfg)
    assert (found.output.out, found.output.library) == (tmp_path / "x", tmp_path / "people")
    assert found.cluster.cache == tmp_path / "copies"
    assert found.bodies.body == job / "smpl"  # read from the job's copy
    url = OutputConfig(out=tmp_path / "y", library=place("memory://people"))
    assert absolute(LaunchConfig(output=url)).output == url


@pytest.mark.parametrize("shards", ["", "x", "3-", "5-4", "1,40-17", "-1", "1,,2"])
def test_shards_that_are_no_numbers_are_refused(shards: str) -> None:
    with pytest.raises(BadOption, match="--shards"):
        OutputConfig(shards=shards)


def test_a_configuration_gives_the_command_line_that_gives_it() -> None:
    cfg = LaunchConfig(
        bodies=BodiesConfig(camera_pitch=(0, 20)),
        output=OutputConfig(num_shards=3, rgb=False, shards="1-2", out=Path("/a b")),
        cluster=ClusterConfig(backend="serial", max_bad=0.25),
    )
    words = "--camera-pitch 0 20 --num-shards 3 --shards 1-2 --out '/a b' --no-rgb"
    assert shlex.join(cfg.arguments()) == f"{words} --backend serial --max-bad 0.25"


def test_a_broken_shard_costs_itself_and_names_the_command_that_breaks_it_again(
    instant: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    BROKEN.add(3)
    assert run(tmp_path / "x", "--num-shards", "6") == 1
    assert "1 shard failed" in capsys.readouterr().out
    assert made(tmp_path / "x") == [0, 1, 2, 4, 5]
    (line,) = Manifest(tmp_path / "x" / "manifests" / "quarantine.jsonl").lines()
    assert (line["kind"], line["name"], line["seed"]) == ("shard", "shard-000003.tar", 0)
    assert "this shard is broken" in line["traceback"]
    _, _, module, *arguments = shlex.split(line["command"])
    assert module == "datagen.launch"
    assert launch(arguments) == 1
    assert len(Manifest(tmp_path / "x" / "manifests" / "quarantine.jsonl").lines()) == 2
    BROKEN.clear()
    assert launch(arguments) == 0
    assert made(tmp_path / "x") == list(range(6))


def test_too_many_broken_shards_stop_the_run(instant: None, tmp_path: Path, capsys) -> None:
    BROKEN.update(range(100))
    assert run(tmp_path / "x", "--num-shards", "100", "--max-bad", "0.2") == 2
    error = capsys.readouterr().err
    assert (
        "5 of 5 shards could not be made, more than --max-bad 0.2" in error and "is broken" in error
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


TINY = (
    "--num-shards 4 --clips-per-shard 2 --clip-length 4 --image-size 64 --motion-limit 3 "
    "--video-limit 2"
).split()


@pytest.mark.parametrize("filled", [0, 2_700_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_torn(
    disk: Path, tmp_path: Path, filled: int, capsys
) -> None:
    """With the disk full at a shard (its library lies elsewhere) or at once."""
    (disk / "ballast").write_bytes(bytes(filled))
    options = [*TINY, "--library", str(tmp_path / "library"), "--num-shards", "400"]
    assert run(disk / "x", *options) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: no space is left in ") and str(disk) in error
    assert "run the same command" in error
    assert not list(disk.rglob("*.tmp"))
    lines = Manifest(disk / "x" / "manifests" / "shards.jsonl").latest("shard")
    for index, size in Layout(disk / "x").found().items():
        assert index not in lines or lines[index]["bytes"] == size


def test_a_full_disk_under_the_library_is_not_the_motions_fault(
    disk: Path, tmp_path: Path, capsys
) -> None:
    assert run(tmp_path / "x", *TINY, "--library", str(disk / "library")) == 2
    assert "no space is left in " in capsys.readouterr().err
    assert not (tmp_path / "x" / "manifests" / "quarantine.jsonl").exists()
    assert not list(disk.rglob("*.tmp"))


def test_a_read_only_output_is_one_sentence(disk: Path, capsys) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert run(disk / "x", *TINY) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is not writable" in error and str(disk) in error


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space"), (errno.EDQUOT, "no space"), (errno.EROFS, "is not writable")],
)
def test_a_disk_that_fails_half_way_leaves_nothing(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(BadMachine, match=words), whole(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_tears_no_manifest_line(tmp_path: Path, monkeypatch) -> None:
    manifest = Manifest(tmp_path / "m.jsonl")
    manifest.append({"shard": 0})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadMachine, match="no space"):
        manifest.append({"shard": 1})
    assert manifest.lines() == [{"shard": 0}] and not manifest.damaged()


@pytest.mark.parametrize(
    ("backend", "number", "status"),
    [
        ("serial", "TERM", 143),
        ("processes", "INT", 130),
        pytest.param("serial", "INT", 130, marks=pytest.mark.slow),
        pytest.param("processes", "TERM", 143, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_says_how_to_go_on_and_leaves_nothing_half_made(
    tmp_path: Path, backend: str, number: str, status: int
) -> None:
    stop_and_check(tmp_path / "x", backend, number, status)


def stop_and_check(out: Path, backend: str, number: str, status: int) -> None:
    options = [*TINY, "--num-shards", "1000", "--workers", "1", "--out", str(out)]
    command = [sys.executable, "-m", "datagen.launch", *options, "--backend", backend]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    people = out / "manifests" / "bodies.jsonl"
    while not people.exists():  # the line of a file comes after it
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    subprocess.run(["kill", f"-{number}", str(process.pid)], check=True)
    _, error = process.communicate(timeout=120)
    assert process.returncode == status, error
    assert error.rstrip().endswith("stopped; run the same command to continue")
    assert "Traceback" not in error
    assert not list(out.rglob("*.tmp"))
    for line in map(json.loads, people.read_text().splitlines()):
        assert next(out.rglob(line["file"])).stat().st_size == line["bytes"]


def test_what_shards_were_made_without_stays_left_out_after_a_restart(tmp_path: Path) -> None:
    """A source whose worker died might pass at a later try, and the shards would not agree."""
    paths = [tmp_path / f"{name}.npz" for name in "abc"]
    for path in paths:
        path.write_bytes(b"motion")
    sources = [SimpleNamespace(name=path.stem, path=path, subject="one") for path in paths]

    def library() -> Library:
        manifest = Manifest(tmp_path / "bodies.jsonl")
        return Library(tmp_path / "people", manifest, sources, lambda *source: source)

    first = library()
    first.fail("a", "not a motion", bad_input=True)
    first.fail("b", "its worker died", bad_input=False)
    assert first.failures() == 2
    assert library().tried() == 0  # nothing was made without them yet
    first.settle()
    again = library()
    assert again.known("a") is None  # bad input is as bad each time, and may be repaired
    line = again.known("b")
    assert again.failures() == 1 and line is not None
    (note,) = (tmp_path / "people").glob("b-*.json")
    assert line["reason"] == f"its worker died (given up; remove {note} to try it again)"
    paths[1].write_bytes(b"a longer motion")
    assert library().tried() == 0
