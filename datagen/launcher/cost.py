"""The cost of a run, estimated from samples: by stage, for starting processes, and in total."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from datagen.cluster.outcome import RECYCLE
from datagen.common.cli import count
from datagen.common.record import JOINTS, Line
from datagen.launcher.config import LaunchConfig

FLOW_STRIDE = 4
"""Side of a flow cell in pixels, the same for every estimator."""


@dataclass(frozen=True)
class Stage:
    """The remaining work of one stage."""

    files: int
    core_seconds: float
    bytes: float
    parts: dict[str, float] = field(default_factory=dict)
    """Core-seconds of each part of the stage."""


@dataclass(frozen=True)
class Plan:
    """The estimated cost of a run."""

    stages: dict[str, Stage]
    """people, scenes, shards."""
    starts: float
    """Core-seconds of starting and warming up worker processes."""
    fixed: float
    """Seconds that the driver itself takes: imports, opening and closing the backend."""
    workers: int
    gpus: float = 0.0
    """GPUs that flow actors hold while shards are made."""
    spread: float = 0.0
    """Relative error of the time: twice the standard error of the samples."""
    motions: int = 0
    """Motions from which the clips are drawn."""
    scenes: int = 0
    """Videos or scenes from which the clips are drawn."""
    free: float | None = None
    """Free bytes on the disk of the shards; None for a URL."""

    @property
    def gpu_seconds(self) -> float:
        return self.gpus * self.stages["shards"].core_seconds / self.workers

    @property
    def core_seconds(self) -> float:
        return self.starts + sum(stage.core_seconds for stage in self.stages.values())

    @property
    def wall(self) -> float:
        """Wall-clock seconds of the run on its own workers."""
        return self.wall_on(self.workers)

    def wall_on(self, workers: int) -> float:
        """Return the wall-clock seconds on `workers` workers, each with its own core.

        Assumes that the work is divided evenly and that, at the end of each stage, the other
        workers wait for half a task on average.
        """
        w = workers
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
    """Return the cost of `files` shards with `clips` clips in total."""
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
    """Return the core-seconds of starting worker processes, one for every RECYCLE tasks, plus the
    extra time of each process's first task of each kind."""
    seconds, tasks_in_all = 0.0, sum(stage.files for stage in stages.values())
    if processes:
        each = float(np.mean([sample["waited"] for sample in lines]))
        seconds += each * max(min(workers, tasks_in_all), math.ceil(tasks_in_all / RECYCLE))
    for kind, stage in stages.items():
        cold = float(np.mean([sample["cold"][kind] for sample in lines]))
        times = max(min(workers, stage.files), math.ceil(stage.files / RECYCLE))
        seconds += cold * (times if processes else min(1, stage.files))
    return seconds


def spread_of(lines: list[Line]) -> float:
    """Return twice the relative standard error of a clip's time, clipped to [0.1, 0.9].

    A single sample has no standard error: 0.5.
    """
    each = [line["shard"]["seconds"]["total"] / line["shard"]["clips"] for line in lines]
    if len(each) < 2:
        return 0.5
    return float(np.clip(2 * np.std(each, ddof=1) / np.sqrt(len(each)) / np.mean(each), 0.1, 0.9))


def picture_bytes(plan: Plan, cfg: LaunchConfig) -> float:
    """Estimate the bytes of pictures in the shards: total size less flow and labels."""
    frames, joints = cfg.clips.clip_length, len(JOINTS)
    side = -(-cfg.clips.image_size // FLOW_STRIDE)
    flow = frames * 2 * side * side * 2
    labels = frames * (joints * (3 + 3) * 4 + joints + (72 + 3 + 6 + 2) * 4 + 1) + 4000
    clips = plan.stages["shards"].files * cfg.output.clips_per_shard
    return max(0.0, plan.stages["shards"].bytes - clips * (flow + labels))


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
        f"{'total':<20}{_hours(plan.core_seconds)}{library + shards:>10.3f}",
        f"disk: shards {shards:.3f} GB, library {library:.3f} GB{_free(plan, library + shards)}",
        f"clips drawn from {count(plan.motions, 'motion')} and {count(plan.scenes, 'scene')}",
        f"GPU-hours: {plan.gpu_seconds / 3600:.2f}"
        if plan.gpus
        else "GPU-hours: not measured here",
        f"time on {count(plan.workers, 'worker')}: {_range(plan, plan.workers)}",
        "  " + ", ".join(f"on {cores} cores {_range(plan, cores)}" for cores in (64, 256)),
    ]
    if cfg.output.rgb and shards:
        saved = picture_bytes(plan, cfg) / 1e9
        lines.insert(-4, f"  omitting pictures (--no-rgb) saves {saved:.3f} GB")
    return lines


def _free(plan: Plan, needed: float) -> str:
    if plan.free is None:
        return ""
    free = plan.free / 1e9
    return f"; free there: {free:.3f} GB" + (", WHICH IS NOT ENOUGH" if free < needed else "")


def _range(plan: Plan, workers: int) -> str:
    """Return the range of the estimated time on `workers` workers."""
    wall = plan.wall_on(workers)
    least, most = (duration(wall * (1 + sign * plan.spread)) for sign in (-1, 1))
    return least if least == most else f"{least} to {most}"


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
