"""Kill -9 at random moments: the same command again gives the bytes of an undisturbed run.

    .venv/bin/python tests/reliability/kills.py --mode serial --count 600 --seconds 7200
    .venv/bin/python tests/reliability/kills.py --mode processes --count 300
    .venv/bin/python tests/reliability/kills.py --mode ray --count 100
    .venv/bin/python tests/reliability/kills.py --mode cluster --count 100

Half of the moments are uniform over a run's time, half over its progress: when so many shards are
there, of which all is the time of the card; now and then what runs is `verify --repair`.

Prints a line of JSON. A round is one kill, of the driver or of a process that it started; after a
driver's death the same command runs again, at once or when all that it had started has ended.
Whenever a run finishes, the SHA-256 of all files and the leftovers are looked at, then half of the
shards, and now and then the library, are taken away again (Linux).

`ray` starts a local Ray in every run, `cluster` joins one that lives as long as the loop.

Drivers, and the workers of `processes`, are forked from this process, which saves their imports;
`--spawn` starts them as a user's shell would.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tiny
from ray_nodes import ENVIRONMENT, alive, free_port, kill, node, tree

SHARDS = 6
STUCK = 600.0
"""Seconds that a run of tiny shards may take, on a machine that does much else."""
ORPHANED = 120.0
"""Seconds in which what a killed driver started has to end; Ray's own needs half of it."""
VICTIMS = {
    "serial": ("driver",),
    "processes": ("driver", "spawned", "spawned"),
    "ray": ("driver", "ray::_in_worker", "ray::FlowActor", "ray::IDLE"),
    "cluster": ("driver", "ray::_in_worker", "ray::FlowActor", "ray::IDLE"),
}
"""Names, or parts of the command lines, of what is killed."""
PATIENCE = 2
"""Kills of workers below one driver: a task whose worker dies for the third time has failed."""
BAD = ("failed", "wrong", "stale", "left over", "stuck", "orphans")


def hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that a finished run is: shards and the files beside them."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.iterdir())
        if path.is_file()
    }


@contextmanager
def head(mode: str) -> Iterator[tuple[str, int] | None]:
    """Yield the address and the process of a Ray node that lives until the block ends."""
    if mode != "cluster":
        yield None
        return
    os.environ |= {"RAY_AUTH_MODE": ENVIRONMENT["RAY_AUTH_MODE"]}
    address = f"127.0.0.1:{free_port()}"
    alone = "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--num-cpus=2"
    with node("--head", f"--port={address.split(':')[1]}", *alone) as process:
        yield address, process.pid


class Driver:
    """A run of datagen.launch, or of datagen.verify that repairs."""

    def __init__(
        self,
        out: Path,
        mode: str,
        spawn: bool,
        repairs: bool = False,
        cluster: tuple[str, int] | None = None,
    ) -> None:
        module = "datagen.verify" if repairs else "datagen.launch"
        options = tiny.options(out.parents[1] / "motions", SHARDS)
        options += ["--out", str(out), "--backend", "ray" if cluster else mode]
        if mode != "serial":
            options += ["--workers", "2"]
        if mode in ("ray", "cluster"):
            options += ["--flow-actors", "1"]
        if cluster:
            options += ["--address", cluster[0]]
        if repairs:  # it joins no cluster
            options = [str(out), "--repair", *(["--backend", "serial"] if cluster else [])]
        self.node = cluster[1] if cluster and not repairs else None
        self.log = out.with_name("log.txt")
        self.began = time.monotonic()
        self.killed = 0
        """Workers killed below it."""
        if spawn:
            with open(self.log, "ab") as log:
                environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT)}
                command = [sys.executable, "-m", module, *options]
                self.pid = subprocess.Popen(command, env=environment, stdout=log, stderr=log).pid
        else:
            self.pid = tiny.fork(module, options, self.log)
        self.status: int | None = None

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def below(self, kind: str) -> list[int]:
        """Return the processes of a kind that it has started."""
        if kind == "driver":
            return [self.pid]
        found = self.others()
        return [
            pid for pid, command in found.items()
            if kind in command or kind == tiny.name(pid)
            or (kind == "spawned" and "spawn_main" in command)
        ]  # fmt: skip

    def others(self) -> dict[int, str]:
        """Return the processes that work for it: those below it, and a cluster's workers."""
        found = {pid: command for pid, command in tree(self.pid).items() if pid != self.pid}
        if self.node:
            ours = VICTIMS["cluster"]
            found |= {pid: text for pid, text in tree(self.node).items() if text.startswith(ours)}
        return found

    def end(self) -> None:
        """Kill it and all below it."""
        kill(*tree(self.pid))
        if self.status is None:
            os.waitpid(self.pid, 0)
            self.status = -9


class Loop:
    """Rounds of kills on one data set."""

    def __init__(
        self, folder: Path, mode: str, seed: int, spawn: bool, cluster: tuple[str, int] | None
    ) -> None:
        self.mode, self.spawn, self.draw = mode, spawn, random.Random(seed)
        self.cluster = cluster
        self.out, self.found = folder / "made" / "shards", Counter[str]()
        self.dying: dict[int, tuple[float, str]] = {}
        """What killed drivers had started: until when each may live, and what it is."""
        for name in ("undisturbed", "made"):
            (folder / name).mkdir()
        self.repairs = False
        """Whether it is a repair."""
        self.tail = 0.1
        """Seconds from the last shard to a run's end."""
        self.library = True
        """Whether the driver that runs has its library to make."""
        whole = Driver(folder / "undisturbed" / "shards", "serial", spawn)
        while whole.poll() is None:
            time.sleep(0.05)
        assert whole.status == 0, whole.log.read_text()[-2000:]
        self.usual: dict[bool, float] = {}
        """Seconds of a run that makes its library, or not; the first of each is left alone."""
        self.wanted = hashes(folder / "undisturbed" / "shards")
        self._launch()

    def _launch(self) -> None:
        self.driver = Driver(self.out, self.mode, self.spawn, self.repairs, self.cluster)
        self.complete: float | None = None
        """When all shards were there."""
        self.spared = self._shards() == SHARDS and self.draw.random() < 0.6
        """Whether it is left alone: one that finds all shards would else be killed most."""

    def _shards(self) -> int:
        """Return how many shards are there."""
        found = len(list(self.out.glob("shard-*.tar")))
        if found == SHARDS and self.complete is None:
            self.complete = time.monotonic()
        return found

    def round(self) -> None:
        """Kill one process; begin again where the driver is dead or done."""
        kinds = VICTIMS[self.mode] if self.driver.killed < PATIENCE else ("driver",)
        kind = self.draw.choice(kinds)
        usual = self.usual.get(self.library, 2 * STUCK)
        wait = self.draw.random() * usual if self.library in self.usual else usual
        due = time.monotonic() + wait
        by_progress = self.library in self.usual and self.draw.random() < 0.5
        if self.spared:
            due, by_progress = due + 2 * STUCK, False
        reached = self.draw.randint(0, SHARDS) if by_progress else 0
        stretch = self.tail if reached == SHARDS else usual / SHARDS
        pause = self.draw.random() * stretch
        victims: list[int] = []
        while not victims:
            self._bury()
            if self.driver.poll() is not None:
                self._finished()
                return
            if time.monotonic() - self.driver.began > STUCK:
                self.found["stuck"] += 1
                self.driver.end()
                self._launch()
                return
            time.sleep(0.005)
            shards = self._shards()
            if by_progress and shards >= reached:
                due, by_progress = time.monotonic() + pause, False
            if not by_progress and time.monotonic() > due:
                victims = self.driver.below(kind)
                if not victims and time.monotonic() > due + usual:
                    kind = "driver"  # there is none of the other kind
        victim = self.draw.choice(victims)
        below = {
            pid: what for pid, what in self.driver.others().items()
            if pid != victim and not (self.driver.node and "IDLE" in what)  # perhaps nobody's
        }  # fmt: skip
        kill(victim)
        self.found[f"killed {kind}"] += 1
        self.found[f"with {self._shards()} of {SHARDS} shards"] += 1
        self.found["in a repair"] += self.repairs
        if victim != self.driver.pid:
            self.driver.killed += 1
            return
        os.waitpid(victim, 0)
        until = time.monotonic() + ORPHANED
        self.dying |= {pid: (until, f"{tiny.name(pid)} {what}") for pid, what in below.items()}
        if self.draw.random() < 0.5:
            self._wait()
        self._launch()

    def _finished(self) -> None:
        """Check a run that came to its end, then take some of it away and begin again."""
        if self.driver.status and "Ray does not start" in self.driver.log.read_text()[-400:]:
            self.found["Ray did not start"] += 1  # in its own time limit, on a busy machine
            self._launch()
            return
        self.found["finished"] += 1
        spent = time.monotonic() - self.driver.began
        if self.complete is not None:
            self.tail = max(0.05, time.monotonic() - self.complete)
        self.usual[self.library] = max(spent, self.usual.get(self.library, 0) / 2)
        self.found["failed"] += self.driver.status != 0
        self._wait()
        held = hashes(self.out)
        tars = [name for name in self.wanted if name.endswith(".tar")]
        both = self.wanted.keys() | held.keys()
        wrong = {name for name in both if held.get(name) != self.wanted.get(name)}
        self.found["wrong"] += not wrong.isdisjoint(tars)
        self.found["stale"] += bool(wrong) and wrong.isdisjoint(tars)
        kinds = "*.tmp", "quarantine.jsonl", "running"
        left = [path for kind in kinds for path in self.out.parent.rglob(kind)]
        self.found["left over"] += bool(left)
        if self.driver.status or wrong or left:
            print(self.driver.status, wrong, left, self.driver.log.read_text()[-1500:],
                  file=sys.stderr, flush=True)  # fmt: skip
        for name in self.draw.sample(tars, len(tars) // 2):
            (self.out / name).unlink(missing_ok=True)
        self.library = self.draw.random() < 0.25
        if self.library:
            shutil.rmtree(self.out.with_name("library"), ignore_errors=True)
        self.repairs = not self.library and self.draw.random() < 0.25
        self.driver.log.unlink()
        self._launch()

    def _bury(self) -> None:
        """Take note of what has ended, and of what has not although it is long overdue."""
        for process, (until, what) in list(self.dying.items()):
            if not alive(process):
                del self.dying[process]
            elif time.monotonic() > until:
                self.found["orphans"] += 1
                print(f"orphan {process} {what:.300}", file=sys.stderr, flush=True)
                kill(process)
                del self.dying[process]

    def _wait(self) -> None:
        while self.dying:
            self._bury()
            time.sleep(0.02)

    @property
    def kills(self) -> int:
        return sum(number for name, number in self.found.items() if name.startswith("killed"))


def kills(
    mode: str,
    count: int,
    seconds: float,
    seed: int,
    spawn: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, object]:
    """Return the figures of `count` kills, or of as many as there was time for."""
    if not spawn:
        tiny.warm()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, head(mode) as cluster:
        loop = Loop(Path(folder), mode, seed, spawn, cluster)
        while loop.kills < count and time.monotonic() - begin < seconds:
            loop.round()
            say(f"{loop.kills} in {time.monotonic() - begin:.0f} s: {dict(loop.found)}")
        done = loop.found["finished"]  # and now undisturbed to the end
        until = time.monotonic() + STUCK
        while loop.found["finished"] == done:
            if loop.driver.poll() is not None:
                loop._finished()
            elif time.monotonic() > until:
                loop.found["stuck"] += 1
                break
            time.sleep(0.05)
        loop.driver.end()
        return {
            "mode": mode, "seed": seed, "spawn": spawn, "kills": loop.kills,
            **{name: loop.found[name] for name in (*sorted(loop.found), *BAD)},
            "seconds": round(time.monotonic() - begin),
        }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=VICTIMS, default="serial")
    parser.add_argument("--count", type=int, default=30, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="time limit")
    parser.add_argument("--spawn", action="store_true", help="start processes without fork")
    parser.add_argument("--log", type=Path, help="file for the figures after each round")
    args = parser.parse_args()

    def say(text: str) -> None:
        if args.log:
            args.log.write_text(text + "\n")

    found = kills(args.mode, args.count, args.seconds, args.seed, args.spawn, say)
    print(json.dumps(found))
    return int(any(found[name] for name in BAD))


if __name__ == "__main__":
    sys.exit(main())
