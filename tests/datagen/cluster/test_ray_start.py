"""A local Ray: whom it listens to, and that it starts although its first worker dies."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray_nodes import alive, kill, tree

from datagen.cluster import ray_start
from datagen.common.errors import BadMachine

LOCAL = """
import sys
from datagen.cluster import ray_start
if __name__ == "__main__":
    ray_start.start(None, 1, {"OMP_NUM_THREADS": "1"})
    print("started", flush=True)
    sys.stdin.read()
"""
LATE = """
import subprocess, time
from datagen.cluster.deadline import deadline
below = subprocess.Popen(["sleep", "60"])
print(below.pid, flush=True)
with deadline(0.5, "it took too long; try again"):
    time.sleep(60)
"""
QUICK = """
from datagen.cluster.deadline import deadline
with deadline(60, "it took too long; try again"):
    pass
print("went on")
"""


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}


def listening(processes: dict[int, str]) -> set[str]:
    """Return the addresses, hexadecimal, on which the processes take connections."""
    inodes = set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").glob("*"):
            try:
                inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                found.add(words[1].partition(":")[0])
    return found


LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1 and ::ffff:127.0.0.1 as the kernel writes them."""


@pytest.mark.slow
def test_a_local_ray_is_reached_from_this_machine_alone_and_by_its_token() -> None:
    command = [sys.executable, "-c", LOCAL]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "started\n"
        below = tree(driver.pid)
        found = listening(below)
        assert found
        assert found <= LOOPBACK
        gcs = next(process for process, line in below.items() if "gcs_server" in line.split()[0])
        assert b"RAY_AUTH_MODE=token" in Path(f"/proc/{gcs}/environ").read_bytes().split(b"\0")


@pytest.mark.slow
def test_a_ray_whose_first_worker_dies_starts() -> None:
    """Ray's default is that the driver waits for it, for ever."""
    command = [sys.executable, "-c", LOCAL]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        os.set_blocking(driver.stdout.fileno(), False)
        until, text = time.monotonic() + 120, ""
        while text != "started\n":
            assert time.monotonic() < until
            workers = [
                process
                for process, line in tree(driver.pid).items()
                if "default_worker.py" in line and "python" in line.split()[0].rpartition("/")[2]
            ]
            kill(*workers)
            time.sleep(0.05)
            text = driver.stdout.readline()


def test_a_call_that_takes_too_long_ends_with_all_below_it_and_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], env=environment(), capture_output=True, text=True, timeout=50
    )
    assert done.stderr == "error: it took too long; try again\n"
    assert done.returncode != 0
    assert not alive(int(done.stdout))


def test_a_call_that_is_quick_enough_is_left_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUICK], env=environment(), capture_output=True, text=True, timeout=50
    )
    assert (done.stdout, done.stderr, done.returncode) == ("went on\n", "", 0)


def test_ray_is_tried_twice_and_then_named_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    calls = []

    def init(*_: object, **__: object) -> None:
        calls.append(1)
        raise Exception("The current node timed out during startup.\nAnd so on.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(BadMachine, match=r"does not start .*timed out.*; run the same") as caught:
        ray_start._twice(None, {})
    assert len(calls) == 2
    assert "\n" not in str(caught.value)
