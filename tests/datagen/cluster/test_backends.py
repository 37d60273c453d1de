"""The three backends give the same outcomes, whatever happens to a worker."""

import atexit
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datagen.cluster import on_ray
from datagen.cluster.backends import open_backend
from datagen.cluster.options import ClusterConfig
from datagen.common.errors import BadInput

BACKENDS = ("serial", "processes", "ray")


@dataclass(frozen=True)
class Square:
    """Squares a number; 3 is bad input, 5 fails, 7 kills its worker once."""

    number: int
    folder: Path

    @property
    def name(self) -> str:
        return f"square{self.number}"

    def __call__(self) -> dict[str, Any]:
        if self.number == 3:
            raise BadInput("three is not for squaring; use another number")
        if self.number == 5:
            raise RuntimeError("five always fails")
        if self.number == 7 and not (flag := self.folder / "died").exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": self.number**2}


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_task_comes_back_once(backend: str, tmp_path: Path) -> None:
    numbers = [n for n in range(12) if backend != "serial" or n != 7]
    if backend == "ray":  # its workers do not find this module by name
        import ray.cloudpickle

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cfg = ClusterConfig(backend=backend, workers=2)  # pyright: ignore[reportArgumentType]
    with open_backend(cfg) as opened:
        outcomes = {
            outcome.task.name: outcome
            for outcome in opened.run(Square(number, tmp_path) for number in numbers)
        }
    assert len(outcomes) == len(numbers)
    for number in numbers:
        outcome = outcomes[f"square{number}"]
        if number == 3:
            assert outcome.bad_input and "three" in outcome.reason and not outcome.trace
        elif number == 5:
            assert outcome.reason == "RuntimeError: five always fails"
            assert "Traceback" in outcome.trace
        else:
            assert outcome.line == {"square": number**2}
    assert (tmp_path / "died").exists() == (backend != "serial")


def test_a_task_that_always_kills_its_worker_is_given_up(tmp_path: Path) -> None:
    with open_backend(ClusterConfig(backend="processes", workers=1)) as opened:
        (outcome,) = opened.run([Killer()])
    assert outcome.line is None and "worker died" in outcome.reason


@dataclass(frozen=True)
class Killer:
    name: str = "killer"

    def __call__(self) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


def test_a_ray_that_was_killed_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ray start` notes its address; Ray itself tries to reach it for minutes."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert on_ray.local_cluster() is None
    record = tmp_path / "ray" / "ray_current_cluster"
    record.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        record.write_text(f"127.0.0.1:{server.getsockname()[1]}")
        assert on_ray.local_cluster() == record.read_text()
    assert on_ray.local_cluster() is None


@dataclass(frozen=True)
class SlowToLeave:
    """Leaves its worker with a second of work at its exit."""

    name: str = "slow"

    def __call__(self) -> dict[str, Any]:
        atexit.register(time.sleep, 1.0)
        return {}


def test_workers_that_are_leaving_when_a_run_is_stopped_say_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with (
        pytest.raises(BadInput),
        open_backend(ClusterConfig(backend="processes", workers=1)) as opened,
    ):
        list(opened.run([SlowToLeave()]))
        opened.pool.shutdown(wait=False)
        time.sleep(0.3)  # the worker is in its exit now
        raise BadInput("the run is stopped")
    assert capfd.readouterr().err == ""
