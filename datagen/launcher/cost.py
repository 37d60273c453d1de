"""The cost of a run, estimated from its samples: by stage, for its processes, and in total."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from datagen.cluster.outcome import RECYCLE
from datagen.common.cli import count
from datagen.common.record import Line
from datagen.launcher.config import LaunchConfig


@dataclass(frozen=True)
class Stage:
    """What is left to do of one stage."""

    files: int
    core_seconds: float
    bytes: float
    parts: dict[str, float] = field(default_factory=dict)
    """Core-seconds by part of the stage."""


@dataclass(frozen=True)
class Plan:
    """What a run would cost."""

    stages: dict[str, Stage]
    """people, scenes, shards."""
    starts: float
    """Core-seconds of starting and warming up worker processes."""
    fixed: float
    """Seconds of the driver's own: imports, opening and closing the backend."""
    workers: int
    gpus: float = 0.0
    """GPUs that flow actors hold while shards are made."""

    @property
    def gpu_seconds(self) -> float:
        return self.gpus * self.stages["shards"].core_seconds / self.workers

    @property
    def core_seconds(self) -> float:
        return self.starts + sum(stage.core_seconds for stage in self.stages.values())

    @property
    def wall(self) -> float:
        """Seconds from start to end: the work shared out evenly, and at the end of each stage
        the half task on average for which the others wait."""
        w = self.workers
        tails = sum(
            stage.core_seconds / stage.files * (min(w, stage.files) - 1) / min(w, stage.files) / 2
            for stage in self.stages.values()
            if stage.files
        )
        return self.fixed + self.core_seconds / w + tails


def library_cost(
    lines: list[Line], kind: str, files: int, total: float, weights: dict[str, float] | None
) -> Stage:
    """Return the cost of `files` library files of `total` weight (None: one each)."""
    made = [(name, line) for sample in lines for name, line in sample[kind].items()]
    weight = sum(weights[name] if weights else 1.0 for name, _ in made) or 1.0
    parts: dict[str, float] = {}
    for _, line in made:
        for part, seconds in line.get("seconds", {}).items():
            parts[part] = parts.get(part, 0.0) + seconds * total / weight
    return Stage(
        files,
        sum(line["wall"] for _, line in made) * total / weight,
        sum(line["bytes"] for _, line in made) * total / weight,
        parts,
    )


def shards_cost(lines: list[Line], files: int, clips: int) -> Stage:
    """Return the cost of `files` shards of `clips` clips in all."""
    shards = [sample["shard"] for sample in lines]
    made = sum(line["clips"] for line in shards)
    parts = {
        part: sum(line["seconds"][part] for line in shards) * clips / made
        for part in shards[0]["seconds"]
    }
    seconds = parts.pop("total")
    return Stage(files, seconds, sum(line["bytes"] for line in shards) * clips / made, parts)


def starts_cost(
    lines: list[Line], stages: dict[str, Stage], workers: int, processes: bool
) -> float:
    """Return the core-seconds of starting worker processes, one for every RECYCLE tasks, and of
    each one's first task of a kind."""
    seconds, tasks_in_all = 0.0, sum(stage.files for stage in stages.values())
    if processes:
        each = float(np.mean([sample["waited"] for sample in lines]))
        seconds += each * max(min(workers, tasks_in_all), math.ceil(tasks_in_all / RECYCLE))
    for kind, stage in stages.items():
        cold = float(np.mean([sample["cold"][kind] for sample in lines]))
        times = max(min(workers, stage.files), math.ceil(stage.files / RECYCLE))
        seconds += cold * (times if processes else min(1, stage.files))
    return seconds


def report(plan: Plan, cfg: LaunchConfig, done: int) -> list[str]:
    """Return the plan as lines of text; `done` shards exist already."""
    asked = cfg.output
    lines = [
        f"{count(len(asked.wanted()), 'shard')}, each of {count(asked.clips_per_shard, 'clip')} of "
        f"{cfg.clips.clip_length} frames; {done} done, remaining:",
        f"{'':<12}{'files':>8}{'core-hours':>14}{'GB':>10}",
    ]
    for name, stage in plan.stages.items():
        lines.append(
            f"{name:<12}{stage.files:>8}{_hours(stage.core_seconds)}{stage.bytes / 1e9:>10.3f}"
        )
        for part, seconds in stage.parts.items():
            if seconds > 0.01 * stage.core_seconds:
                lines.append(f"  {part:<18}{_hours(seconds)}")
    library = sum(plan.stages[name].bytes for name in ("people", "scenes")) / 1e9
    shards = plan.stages["shards"].bytes / 1e9
    lines += [
        f"{'starts':<20}{_hours(plan.starts)}",
        f"{'in all':<20}{_hours(plan.core_seconds)}{library + shards:>10.3f}",
        f"disk: shards {shards:.3f} GB, library {library:.3f} GB",
        f"GPU-hours: {plan.gpu_seconds / 3600:.2f}",
        f"time on {count(plan.workers, 'worker')}: {duration(plan.wall)}",
    ]
    return lines


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 2 d 3 h, 5 h 10 min, 12 min 3 s, 4.2 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit, smaller, small in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole:.0f} {unit} {rest // smaller:.0f} {small}"
    raise AssertionError(seconds)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:>14.4f}" if seconds < 3600 else f"{seconds / 3600:>14.1f}"
