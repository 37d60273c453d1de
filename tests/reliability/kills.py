"""Kill -9 at random moments: the same command again gives the bytes of an undisturbed run.

    .venv/bin/python tests/reliability/kills.py --mode serial --count 600 --seconds 7200
    .venv/bin/python tests/reliability/kills.py --mode processes --count 300
    .venv/bin/python tests/reliability/kills.py --mode ray --count 100

Prints a line of JSON. A round is one kill, of the driver or of a process that it started. Whenever
a run finishes, the SHA-256 of all files and the leftovers are looked at, then half
of the shards, and now and then the library, are taken away again (Linux).
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
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE.parents[1], HERE.parent / "fixtures"):
    sys.path.insert(0, str(folder))

from ray_nodes import alive, kill, tree  # noqa: E402

TINY = (
    "--clips-per-shard 1 --clip-length 4 --image-size 64 --motion-limit 3 --stride 100 "
    "--video-limit 3 --windows-per-video 1"
).split()
SHARDS = 8
STUCK = 300.0
"""Seconds that a run of 8 tiny shards may take, on a machine that does much else."""
ORPHANED = 120.0
"""Seconds in which what a killed driver started has to end; Ray's own needs half of it."""
VICTIMS = {
    "serial": ("driver",),
    "processes": ("driver", "spawn_main"),
    "ray": ("driver", "ray::_in_worker", "ray::FlowActor", "ray::IDLE"),
}
"""Parts of the command lines of what is killed."""
FORKED = ("serial",)
"""Modes whose driver is forked off this process, which saves it seconds of imports."""


def hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that a finished run is: shards and the files beside them."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.iterdir())
        if path.is_file()
    }


class Driver:
    """A run of datagen.launch."""

    def __init__(self, out: Path, mode: str) -> None:
        options = [*TINY, "--num-shards", str(SHARDS), "--out", str(out), "--backend", mode]
        if mode != "serial":
            options += ["--workers", "2"]
        if mode == "ray":
            options += ["--flow-actors", "1"]
        self.log = out.with_name("log.txt")
        self.began = time.monotonic()
        if mode in FORKED:
            self.pid = os.fork()
            if not self.pid:
                self._launch(options)
        else:
            with open(self.log, "ab") as log:
                environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
                command = [sys.executable, "-m", "datagen.launch", *options]
                self.pid = subprocess.Popen(command, env=environment, stdout=log, stderr=log).pid
        self.status: int | None = None

    def _launch(self, options: list[str]) -> None:
        from datagen.launch import main

        code = 70
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(log, 1)
            os.dup2(log, 2)
            code = main(options)
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def end(self) -> None:
        """Kill it and all below it."""
        kill(*tree(self.pid))
        if self.status is None:
            os.waitpid(self.pid, 0)


class Loop:
    """Rounds of kills on one data set."""

    def __init__(self, folder: Path, mode: str, seed: int) -> None:
        self.mode, self.draw = mode, random.Random(seed)
        self.out, self.found = folder / "shards", Counter[str]()
        (folder / "undisturbed").mkdir()
        whole = Driver(folder / "undisturbed" / "shards", "serial")
        while whole.poll() is None:
            time.sleep(0.05)
        assert whole.status == 0, whole.log.read_text()[-2000:]
        self.usual = time.monotonic() - whole.began
        self.wanted = hashes(folder / "undisturbed" / "shards")
        self.driver = Driver(self.out, mode)

    def round(self) -> None:
        """Kill one process; begin again where the driver is dead or done."""
        kind = self.draw.choice(VICTIMS[self.mode])
        due = time.monotonic() + self.draw.random() ** 2 * 1.3 * self.usual
        victims: list[int] = []
        while not victims:
            if self.driver.poll() is not None:
                self._finished()
                return
            if time.monotonic() - self.driver.began > STUCK:
                self.found["stuck"] += 1
                self.driver.end()
                self.driver = Driver(self.out, self.mode)
                return
            time.sleep(0.005)
            if time.monotonic() > due:
                below = {} if self.mode in FORKED else tree(self.driver.pid)
                victims = [p for p, command in below.items() if kind in command]
                victims = [self.driver.pid] if kind == "driver" else victims
                if not victims and time.monotonic() > due + 5:
                    kind = "driver"  # there is none of the other kind
        below = tree(self.driver.pid)
        victim = self.draw.choice(victims)
        kill(victim)
        self.found[f"killed {kind}"] += 1
        if victim == self.driver.pid:
            self._wait_for_the_end_of(set(below) - {victim})
            self.driver = Driver(self.out, self.mode)

    def _finished(self) -> None:
        """Check a run that came to its end, then take some of it away and begin again."""
        self.found["finished"] += 1
        self.usual = min(self.usual, time.monotonic() - self.driver.began)
        self.found["failed"] += self.driver.status != 0
        held = hashes(self.out)
        tars = [name for name in self.wanted if name.endswith(".tar")]
        self.found["wrong"] += any(held.get(name) != self.wanted[name] for name in tars)
        self.found["stale"] += held != self.wanted and {n: held.get(n) for n in tars} == {
            n: self.wanted[n] for n in tars
        }
        left = list(self.out.rglob("*.tmp"))
        self.found["left over"] += (
            bool(left) or (self.out.parent / "manifests" / "quarantine.jsonl").exists()
        )
        if self.driver.status or held != self.wanted or left:
            print(self.driver.log.read_text()[-1500:], left, file=sys.stderr)
            print({n: (held.get(n), self.wanted.get(n)) for n in {**held, **self.wanted}
                   if held.get(n) != self.wanted.get(n)}, file=sys.stderr)  # fmt: skip
        for name in self.draw.sample(tars, len(tars) // 2):
            (self.out / name).unlink(missing_ok=True)
        if self.draw.random() < 0.5:
            for library in {*self.out.rglob("library"), *self.out.parent.glob("library")}:
                shutil.rmtree(library, ignore_errors=True)
        self.driver.log.unlink()
        self.driver = Driver(self.out, self.mode)

    def _wait_for_the_end_of(self, processes: set[int]) -> None:
        self.driver.status = 0
        os.waitpid(self.driver.pid, 0)
        until = time.monotonic() + ORPHANED
        while any(map(alive, processes)):
            if time.monotonic() > until:
                self.found["orphans"] += sum(map(alive, processes))
                kill(*processes)
                return
            time.sleep(0.02)

    @property
    def kills(self) -> int:
        return sum(number for name, number in self.found.items() if name.startswith("killed"))


def kills(
    mode: str, count: int, seconds: float, seed: int, say: Callable[[str], None] = lambda _: None
) -> dict[str, object]:
    """Return the figures of `count` kills, or of as many as there was time for."""
    if mode in FORKED or mode == "processes":
        import datagen.launch
        import datagen.launcher.run  # noqa: F401
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(Path(folder), mode, seed)
        while loop.kills < count and time.monotonic() - begin < seconds:
            loop.round()
            say(f"{loop.kills} {dict(loop.found)}")
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
        bad = ("failed", "wrong", "stale", "left over", "stuck", "orphans")
        return {
            "mode": mode, "seed": seed, "kills": loop.kills,
            **{name: loop.found[name] for name in (*sorted(loop.found), *bad)},
            "seconds": round(time.monotonic() - begin),
        }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=VICTIMS, default="serial")
    parser.add_argument("--count", type=int, default=30, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="time limit")
    parser.add_argument("--log", type=Path, help="file for the figures after each round")
    args = parser.parse_args()

    def say(text: str) -> None:
        if args.log:
            args.log.write_text(text + "\n")

    found = kills(args.mode, args.count, args.seconds, args.seed, say)
    print(json.dumps(found))
    bad = ("failed", "wrong", "stale", "left over", "stuck", "orphans")
    return int(any(found[name] for name in bad))


if __name__ == "__main__":
    sys.exit(main())
