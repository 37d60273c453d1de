"""Kill -9 at random moments, lose a node half-way: the bytes are those of an undisturbed run."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from ray_nodes import ENVIRONMENT, alive, free_port, kill, node, tree

from datagen.launch import main as launch
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest
from datagen.verify import main as verify

TINY = (
    "--clips-per-shard 2 --clip-length 4 --image-size 64 --motion-limit 12 --video-limit 8"
).split()
KINDS = {"worker": "ray::_in_worker", "flow actor": "ray::FlowActor", "driver": "datagen.launch"}

pytestmark = pytest.mark.slow


def hashes(out: Path) -> dict[int, str]:
    lines = Manifest(Layout(out).manifests / "shards.jsonl").latest("shard")
    return {index: line["sha256"] for index, line in lines.items()}


def undisturbed(out: Path, shards: int) -> dict[int, str]:
    options = [*TINY, "--num-shards", str(shards), "--out", str(out), "--backend", "serial"]
    assert launch(options) == 0
    return hashes(out)


def start(out: Path, shards: int, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "datagen.launch", *TINY, "--num-shards", str(shards)]
    with open(out.with_name("log.txt"), "ab") as log:
        return subprocess.Popen(
            [*command, "--out", str(out), *options], env=ENVIRONMENT, stdout=log, stderr=log
        )


def test_thirty_kills_change_no_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = int(os.environ.get("MOTION_HMR_KILLS", "30"))
    shards, out, draw = 24, tmp_path / "x", random.Random(0)
    wanted = undisturbed(tmp_path / "undisturbed", shards)
    options = ("--workers", "2", "--flow-actors", "1")
    driver, killed, finished = start(out, shards, *options), Counter[str](), 0
    try:
        while sum(killed.values()) < rounds:
            kind = draw.choice(list(KINDS))
            until = time.monotonic() + draw.uniform(0, 8)
            victims: list[int] = []
            # From that moment on, whenever one of this kind is there.
            while driver.poll() is None and not victims:
                time.sleep(0.02)
                if time.monotonic() > until:
                    there = tree(driver.pid)
                    victims = [p for p, command in there.items() if KINDS[kind] in command]
            if driver.poll() is not None:
                # It has made all that was missing: take some of it away again.
                assert driver.returncode == 0, out.with_name("log.txt").read_text()[-3000:]
                assert hashes(out) == wanted
                finished += 1
                for path in draw.sample(sorted(out.glob("shard-*.tar")), shards // 2):
                    path.unlink()
                shutil.rmtree(out / "library")
                driver = start(out, shards, *options)
                continue
            victim = driver.pid if kind == "driver" else draw.choice(victims)
            below = tree(driver.pid)
            kill(victim)
            killed[kind] += 1
            if victim == driver.pid:
                driver.wait()
                wait_for_the_end_of(below)
                driver = start(out, shards, *options)
        assert driver.wait(600) == 0, out.with_name("log.txt").read_text()[-3000:]
    finally:
        kill(*tree(driver.pid))
    assert hashes(out) == wanted
    assert verify([str(out)]) == 0
    assert not list(out.rglob("*.tmp"))
    assert not (out / "manifests" / "quarantine.jsonl").exists()
    with capsys.disabled():
        print(f"\n{dict(killed)} killed, {finished} runs finished between")


def wait_for_the_end_of(processes: dict[int, str]) -> None:
    """Wait until Ray has noticed that its driver is gone."""
    until = time.monotonic() + 120
    while left := [process for process in processes if alive(process)]:
        assert time.monotonic() < until, [processes[process] for process in left]
        time.sleep(0.1)


def wait_for_two_nodes(address: str) -> None:
    until = time.monotonic() + 120
    status = ["ray", "status", f"--address={address}"]
    while subprocess.run(status, env=ENVIRONMENT, capture_output=True).stdout.count(b"node_") < 2:
        assert time.monotonic() < until
        time.sleep(1)


def test_two_nodes_share_a_run_and_one_is_lost_half_way(tmp_path: Path) -> None:
    shards, out, port = 40, tmp_path / "x", free_port()
    wanted = undisturbed(tmp_path / "undisturbed", shards)
    address = f"127.0.0.1:{port}"
    head = ["--head", f"--port={port}", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
    head.append("--include-dashboard=false")
    with node(*head), node(f"--address={address}", "--num-cpus=1") as second:
        wait_for_two_nodes(address)
        driver = start(out, shards, "--address", address)
        try:
            at_work = False
            while len(Layout(out).found()) < shards // 3:
                assert driver.poll() is None, out.with_name("log.txt").read_text()[-3000:]
                at_work |= any(KINDS["worker"] in command for command in tree(second.pid).values())
                time.sleep(0.1)
            while not any(KINDS["worker"] in command for command in tree(second.pid).values()):
                assert driver.poll() is None
            kill(*tree(second.pid))
            assert at_work
            assert len(Layout(out).found()) < shards
            assert driver.wait(600) == 0, out.with_name("log.txt").read_text()[-3000:]
        finally:
            kill(*tree(driver.pid))
    assert hashes(out) == wanted
    assert verify([str(out)]) == 0
    assert not (out / "manifests" / "quarantine.jsonl").exists()
