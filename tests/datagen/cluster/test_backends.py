"""The three backends give the same outcomes, whatever happens to a worker."""

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray_nodes import alive

from datagen.cluster.backends import Processes, open_backend
from datagen.cluster.on_ray import Ray, Try
from datagen.cluster.options import ClusterConfig
from datagen.common.errors import BadInput, BadMachine

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


@dataclass(frozen=True)
class Nap:
    """Sleeps; writes its worker's process id into a file of its name first."""

    name: str
    seconds: float
    folder: Path

    def __call__(self) -> dict[str, Any]:
        (self.folder / self.name).write_text(str(os.getpid()))
        time.sleep(self.seconds)
        return {"name": self.name}


def process_of(folder: Path, name: str) -> int:
    until = time.monotonic() + 60
    while not ((folder / name).exists() and (folder / name).read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return int((folder / name).read_text())


def test_a_run_whose_own_ray_process_has_ended_is_one_sentence(tmp_path: Path) -> None:
    exceptions = pytest.importorskip("ray.exceptions")

    def get(_: object) -> None:
        raise exceptions.LocalRayletDiedError

    backend = Ray(ClusterConfig(backend="ray"))
    backend.ray, backend.errors = SimpleNamespace(get=get), exceptions  # type: ignore[assignment]
    with pytest.raises(BadMachine, match="has ended: run the same command"):
        backend._judge(Try(Square(1, tmp_path)), None)


def test_an_idle_worker_that_is_killed_holds_up_no_other(tmp_path: Path) -> None:
    """With one queue for all it takes the queue's lock with it, and the run never ends."""
    naps = [Nap("short", 0, tmp_path), Nap("long", 3, tmp_path), Nap("last", 0, tmp_path)]

    def tasks() -> Iterator[Nap]:
        yield from naps[:2]
        time.sleep(1)  # "short" is done, its worker waits
        os.kill(process_of(tmp_path, "short"), signal.SIGKILL)
        yield naps[2]

    cfg = ClusterConfig(backend="processes", workers=2)
    with open_backend(cfg) as opened:
        outcomes = list(opened.run(tasks()))
    assert sorted(outcome.line["name"] for outcome in outcomes if outcome.line) == [
        "last", "long", "short"
    ]  # fmt: skip


DRIVER = """
import sys
from pathlib import Path
from datagen.cluster.backends import Processes
from datagen.cluster.options import ClusterConfig
from test_backends import Nap
if __name__ == "__main__":
    with Processes(ClusterConfig(backend="processes", workers=2)) as backend:
        list(backend.run([Nap("one", 600, Path(sys.argv[1])), Nap("two", 0, Path(sys.argv[1]))]))
"""


def test_workers_end_with_their_driver(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
    )
    workers = [process_of(tmp_path, name) for name in ("one", "two")]
    driver.kill()
    driver.wait()
    until = time.monotonic() + 5  # less than the time after which it is done by force
    while any(map(alive, workers)):
        assert time.monotonic() < until
        time.sleep(0.05)


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
        assert isinstance(opened, Processes)
        opened._idle[0].connection.close()
        time.sleep(0.3)  # the worker is in its exit now
        raise BadInput("the run is stopped")
    assert capfd.readouterr().err == ""
