"""One worker's samples for `--plan`: makes, times and deletes people, scenes and clips."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datagen.clips.pairing import Pairing
from datagen.cluster.outcome import Task
from datagen.common.errors import BadInput
from datagen.common.record import Line
from datagen.flow.estimator import Flow
from datagen.launcher import tasks
from datagen.launcher.config import LaunchConfig
from datagen.launcher.library import FAILED, LibraryFile

CLIPS = 16
"""Clips in a sample's shard."""


@dataclass(frozen=True)
class WorkerSample:
    """One worker's samples: make people, scenes and a shard of clips of them, and time each."""

    name: str
    people: tuple[Task, ...]
    scenes: tuple[Task, ...]
    cfg: LaunchConfig
    submitted: float
    """Unix time; the delay until a worker begins is its process's start-up time."""
    flow: Flow | None = None
    """The run's flow actors; None if each worker computes its own flow."""

    def __call__(self) -> Line:
        waited = max(0.0, time.time() - self.submitted)
        with tempfile.TemporaryDirectory() as folder:
            people, cold_person = _make(self.people, Path(folder, "people"))
            scenes, cold_scene = _make(self.scenes, Path(folder, "scenes"))
            shard, cold_shard = self._shard(people, scenes, Path(folder))
        return {
            "waited": waited,
            "people": people,
            "scenes": scenes,
            "shard": shard,
            "cold": {"people": cold_person, "scenes": cold_scene, "shards": cold_shard},
        }

    def _shard(
        self, people: dict[str, Line], scenes: dict[str, Line], folder: Path
    ) -> tuple[Line, float]:
        """Return the manifest line of a shard of CLIPS clips, and the first clip's extra
        seconds."""
        seed, frames = self.cfg.output.seed, self.cfg.clips.clip_length + 1
        pairing = Pairing(tuple(sorted(people)), tuple(sorted(scenes)), frames, seed)
        choices = [
            pairing.choose(0, k, people.__getitem__, scenes.__getitem__) for k in range(CLIPS)
        ]

        def shard(clips: int) -> tuple[Line, float]:
            task = tasks.ShardTask(
                0,
                tuple(choices[:clips]),
                self.cfg,
                _files(people, folder / "people"),
                _files(scenes, folder / "scenes"),
                folder / "shard-000000.tar",
                self.flow,
            )
            return _timed(task)

        _, first = shard(1)
        _, again = shard(1)
        line, _ = shard(CLIPS)
        return line, max(0.0, first - again)


def _files(lines: dict[str, Line], folder: Path) -> dict[str, LibraryFile]:
    """Return the library files that were made."""
    return {
        name: LibraryFile(folder / Path(line["file"]).name, line["sha256"])
        for name, line in lines.items()
        if "file" in line
    }


def _timed(task: Callable[[], Line]) -> tuple[Line, float]:
    """Return a task's line and wall time; for a bad input, only the wall time."""
    began = time.perf_counter()
    try:
        line = task()
    except BadInput as error:
        line = {"kind": FAILED, "bytes": 0, "reason": str(error)}
    return line, time.perf_counter() - began


def _make(these: Sequence[Any], folder: Path) -> tuple[dict[str, Line], float]:
    """Return the lines of library files, with their wall time as `wall`, and the extra seconds
    of the first one in a cold process."""
    lines, cold = {}, 0.0
    for task in these:
        task = replace(task, path=folder / task.path.name)
        line, wall = _timed(task)
        if not lines:
            first, (line, wall) = wall, _timed(task)
            cold = max(0.0, first - wall)
        lines[task.name] = {**line, "wall": wall}
    return lines, cold
