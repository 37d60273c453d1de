"""Run the tables' trainings as processes, each once, resuming those that were killed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.data.dataset import DataSet
from trainer.paper.rows import Options, RowNetwork, fit_options, words

DONE = "trained.json"
"""File in a run's folder that marks a finished training; holds the command."""
PATIENCE = 60.0
"""Seconds after Ctrl-C until a process that is still running is signalled again."""


@dataclass(frozen=True)
class Study:
    """What all trainings share."""

    out: Path
    data: dict[str, DataSet]
    """Training sets by the names of Table 2's rows."""
    tests: dict[str, DataSet]
    """Evaluation sets by name; the first one's curve is drawn."""
    real: DataSet | None
    common: Options
    machine: tuple[str, ...] = ()
    """Command-line words for every command: its device and the cache of shards."""


@dataclass(frozen=True)
class SeededRun:
    """A training with a seed; its folder depends only on its options and data."""

    study: Study
    training: RowNetwork
    seed: int

    @property
    def obstacle(self) -> str:
        """Why the training cannot be run; empty if it can."""
        data = self.study.data.get(self.training.data)
        if data is None:
            return f"no --data {self.training.data}=DIR"
        if self.training.real and self.study.real is None:
            return "no unlabelled real clips (--real DIR)"
        if data.clip_length < self.training.frames:
            return (
                f"the clips of {data.folder} have {data.clip_length} frames, "
                f"not {self.training.frames}"
            )
        rgb = "rgb" in str(self.training.options.get("inputs"))
        if rgb and not all(some.rgb for some in (data, *self.study.tests.values())):
            return "the shards hold no pictures (--no-rgb)"
        return ""

    @property
    def options(self) -> Options:
        return fit_options(self.training, self.study.common, self.seed)

    @property
    def fingerprint(self) -> str:
        """Return a hash of everything that determines the trained network except the code."""
        data = self.study.data[self.training.data]
        real = self.study.real if self.training.real else None
        decides = [self.options, data.identity(), real and real.identity()]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def folder(self) -> Path:
        return self.study.out / "runs" / f"{self.training.name}-{self.seed}-{self.fingerprint}"

    @property
    def trained(self) -> bool:
        return not self.obstacle and (self.folder / DONE).exists()

    def evaluation(self, test: str) -> dict[str, Any] | None:
        """Return the results on the current version of an evaluation set, if there are any."""
        try:
            results = json.loads((self.folder / test / "evaluation.json").read_text())
        except (OSError, ValueError):
            return None
        same = results.get("data") == self.study.tests[test].identity()
        return results if same and self.trained else None

    @property
    def finished(self) -> bool:
        return all(self.evaluation(test) is not None for test in self.study.tests)

    def fit_command(self) -> list[str]:
        """Return the command that trains, or resumes a killed training."""
        data = self.study.data[self.training.data]
        line = [
            "trainer.fit",
            "--shards",
            data.text,
            "--out",
            str(self.folder),
            *self.study.machine,
        ]
        if self.study.tests:
            first = next(iter(self.study.tests.values()))
            line += ["--val-shards", first.text]
        line += words(self.options)
        if self.training.real and self.study.real:
            line += ["--dann-shards", self.study.real.text]
        if (self.folder / "last.pt").exists():
            line += ["--resume", str(self.folder / "last.pt")]
        return line

    def evaluate_command(self, test: str) -> list[str]:
        """Return the command that evaluates the last checkpoint (none is selected on test data)."""
        return [
            "trainer.evaluate", "--checkpoint", str(self.folder / "last.pt"),
            "--shards", self.study.tests[test].text, "--out", str(self.folder / test),
            *self.study.machine,
        ]  # fmt: skip


@dataclass
class RunResult:
    """The outcome of a run in this call."""

    run: SeededRun
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    """Commands that failed."""


def work(runs: list[SeededRun]) -> Iterator[RunResult]:
    """Do the missing parts of each run, one process at a time, and yield the outcomes."""
    for run in runs:
        outcome = RunResult(run)
        began = time.perf_counter()
        with alone(run.folder) as lock:
            finish(run, outcome, lock)
        outcome.seconds = time.perf_counter() - began
        yield outcome


def finish(run: SeededRun, outcome: RunResult, lock: int) -> None:
    """Train and evaluate a run as far as not done yet."""
    if not run.trained:
        if not (run.folder / "last.pt").exists():
            shutil.rmtree(run.folder, ignore_errors=True)  # killed before its first checkpoint
        line = run.fit_command()
        if call(line, run.folder, lock):
            outcome.failed.append(" ".join(line))
            return
        (run.folder / DONE).write_text(json.dumps(line) + "\n")
    for test in run.study.tests:
        if run.evaluation(test) is None:
            line = run.evaluate_command(test)
            if call(line, run.folder, lock):
                outcome.failed.append(" ".join(line))


@contextmanager
def alone(folder: Path) -> Iterator[int]:
    """Wait until no other process works on a folder, and yield its lock.

    The training process holds the lock too, so that one that outlives its killed parent is waited
    for and no second one writes into its folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f"{folder.name}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def call(line: list[str], folder: Path, lock: int) -> int:
    """Run `python -m LINE` with its output in the folder's log.txt; return its exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "log.txt", "a") as log:
        log.write(f"$ python -m {' '.join(line)}\n")
        log.flush()
        command = [sys.executable, "-m", *line]
        process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=(lock,))
        try:
            return process.wait()
        except KeyboardInterrupt:
            # Ctrl-C reached the training too, which finishes its step and saves.
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.terminate()  # the signal was sent only to us
                process.wait()
            raise
