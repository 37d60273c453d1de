"""What a run would cost, from a few real samples: core-hours by stage, GPU-hours, GB, ETA.

The samples are made by the run's own tasks on its own workers, all at a time, into temporary
folders: what they cost there is what the run's will cost, and nothing of them is kept.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from datagen import tasks
from datagen.clips.pairing import Pairing
from datagen.cluster.backends import open_backend
from datagen.cluster.flow_pool import FlowPool
from datagen.cluster.outcome import RECYCLE, Task
from datagen.config import LaunchConfig
from datagen.errors import BadInput, BadMachine
from datagen.flow.estimator import Flow
from datagen.library import Library
from datagen.output import dataset
from datagen.output.layout import Layout
from datagen.pipeline import Driver, absolute, sized, standing
from datagen.words import count

Line = dict[str, Any]

PEOPLE, SCENES, CLIPS = 3, 3, 16
"""Samples on each worker: motions, videos, clips."""
MOST_WORKERS = 64
"""Workers that take samples at most; more would say nothing new."""
MOTIONS_READ = 200
"""Motions whose length is read at most; for more, the mean of as many is taken."""


@dataclass(frozen=True)
class Sample:
    """One worker's samples: make people, scenes and a shard of clips of them, and time each."""

    name: str
    people: tuple[Task, ...]
    scenes: tuple[Task, ...]
    cfg: LaunchConfig
    submitted: float
    """Unix time; what passes until a worker begins is the start of its process."""
    flow: Flow | None = None
    """The run's flow actors; None if each worker does its own flow."""

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
        """Return the manifest line of a shard of CLIPS clips, and what its first clip cost more."""
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
                folder / "people",
                folder / "scenes",
                folder / "shard-000000.tar",
                self.flow,
            )
            return _timed(task)

        _, first = shard(1)
        _, again = shard(1)
        line, _ = shard(CLIPS)
        return line, max(0.0, first - again)


def _timed(task: Callable[[], Line]) -> tuple[Line, float]:
    """Return the line of a task and its wall time; an input that is bad has the time only."""
    began = time.perf_counter()
    try:
        line = task()
    except BadInput as error:
        line = {"kind": "failed", "bytes": 0, "reason": str(error)}
    return line, time.perf_counter() - began


def _make(these: Sequence[Any], folder: Path) -> tuple[dict[str, Line], float]:
    """Return the lines of library files, with their wall time as `wall`, and what the first of
    them took longer than it does in a process that is warm."""
    lines, cold = {}, 0.0
    for task in these:
        task = replace(task, path=folder / task.path.name)
        line, wall = _timed(task)
        if not lines:
            first, (line, wall) = wall, _timed(task)
            cold = max(0.0, first - wall)
        lines[task.name] = {**line, "wall": wall}
    return lines, cold


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


def plan(cfg: LaunchConfig) -> int:
    """Print what the run of these options would cost; return 0."""
    cfg = absolute(cfg)
    layout = Layout(cfg.output.out, cfg.output.library)
    dataset.guard(layout, cfg)
    cfg = sized(cfg, layout)
    there, wanted = standing(layout), cfg.output.wanted()
    todo = [index for index in wanted if index not in there]
    if not todo:
        print(f"Nothing to do: {layout.shards} has the {count(len(wanted), 'shard')} asked for.")
        return 0
    found = estimate(cfg, layout, todo)
    for line in report(found, cfg, len(wanted) - len(todo)):
        print(line)
    print("Next: the same command without --plan")
    return 0


def estimate(cfg: LaunchConfig, layout: Layout, todo: Sequence[int]) -> Plan:
    """Measure a few samples and return what the shards `todo` would cost, with all they need."""
    imports = time.process_time()
    driver = Driver(cfg, layout)
    tasks.estimator(cfg.flow)
    people, scenes = set(), set()
    for shard in todo:
        more = driver.pairing.missing(
            shard, cfg.output.clips_per_shard, driver.people.known, driver.scenes.known
        )
        people |= more[0]
        scenes |= more[1]
    rng = np.random.default_rng(0)
    weights = _weights(driver.people, sorted(people or driver.people.sources), cfg, rng)
    began = time.perf_counter()
    with open_backend(cfg.cluster) as backend:
        opened = time.perf_counter() - began
        workers = count(backend.workers, "worker")
        print(f"Measuring samples of every stage on {workers} …", flush=True)
        flow = backend.flow(cfg.flow)
        some = sorted(scenes or driver.scenes.sources)
        samples = list(_samples(driver, weights, some, backend.workers, rng, flow))
        outcomes = list(backend.run(samples))
        workers, began = backend.workers, time.perf_counter()
    closed = time.perf_counter() - began
    for outcome in outcomes:
        if outcome.line is None:
            raise (BadMachine if outcome.bad_machine else BadInput)(
                f"a sample failed: {outcome.reason}"
            )
    lines = [outcome.line for outcome in outcomes if outcome.line is not None]
    clips = len(todo) * cfg.output.clips_per_shard
    total = float(np.mean([weights[name] for name in sorted(weights)])) * len(people)
    stages = {
        "people": _library(lines, "people", len(people), total, weights),
        "scenes": _library(lines, "scenes", len(scenes), len(scenes), None),
        "shards": _shards(lines, len(todo), clips),
    }
    return Plan(
        stages=stages,
        starts=_starts(lines, stages, workers, cfg.cluster.backend != "serial"),
        fixed=imports + opened + closed,
        workers=workers,
        gpus=flow.gpus if isinstance(flow, FlowPool) else 0.0,
    )


def _weights(
    library: Library, names: list[str], cfg: LaunchConfig, rng: np.random.Generator
) -> dict[str, float]:
    """Return how much there is to make of people: the frames to render, or SURREAL's bytes.

    Of many, as many are read as tell the mean.
    """
    from datagen.bodies.library import clip_starts
    from datagen.bodies.model import load_bodies
    from datagen.bodies.motion import MotionSource, load_motion

    if len(names) > MOTIONS_READ:
        names = [names[i] for i in np.sort(rng.choice(len(names), MOTIONS_READ, replace=False))]
    bodies = cfg.bodies
    rest = next(iter(load_bodies(bodies.body, bodies.joint_regressor).values())).rest_joints()
    weights: dict[str, float] = {}
    for name in names:
        source = library.sources[name]
        if not isinstance(source, MotionSource):
            weights[name] = Path(source.path).stat().st_size
            continue
        try:
            frames = len(load_motion(source, rest).pose)
        except BadInput:
            weights[name] = 0.0
            continue
        starts = clip_starts(frames, bodies.stride, bodies.max_clip_frames)
        weights[name] = sum(min(bodies.max_clip_frames, frames - start) for start in starts)
    return weights


def _samples(
    driver: Driver,
    weights: dict[str, float],
    scenes: list[str],
    workers: int,
    rng: np.random.Generator,
    flow: Flow | None,
) -> Iterator[Sample]:
    """Yield a sample for each worker: people of all lengths, any scenes, none twice if there are
    enough."""
    workers = min(workers, MOST_WORKERS)
    by_weight = sorted(weights, key=lambda name: (weights[name], name))
    places = (np.arange(workers * PEOPLE) + 0.5) / (workers * PEOPLE) * len(by_weight)
    people = [by_weight[int(place)] for place in places]
    order = rng.permutation(len(scenes))
    chosen = [scenes[order[i % len(scenes)]] for i in range(workers * SCENES)]
    for k in range(workers):
        # every worker has short and long motions; its first, the shortest, is made twice
        yield Sample(
            f"sample {k}",
            tuple(driver.people.task(name) for name in dict.fromkeys(people[k::workers])),
            tuple(driver.scenes.task(name) for name in dict.fromkeys(chosen[k::workers])),
            driver.cfg,
            time.time(),
            flow,
        )


def _library(
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


def _shards(lines: list[Line], files: int, clips: int) -> Stage:
    """Return the cost of `files` shards of `clips` clips in all."""
    shards = [sample["shard"] for sample in lines]
    made = sum(line["clips"] for line in shards)
    parts = {
        part: sum(line["seconds"][part] for line in shards) * clips / made
        for part in shards[0]["seconds"]
    }
    seconds = parts.pop("total")
    return Stage(files, seconds, sum(line["bytes"] for line in shards) * clips / made, parts)


def _starts(lines: list[Line], stages: dict[str, Stage], workers: int, processes: bool) -> float:
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


def report(plan: Plan, cfg: LaunchConfig, standing: int) -> list[str]:
    """Return the lines that tell a person what the plan says; `standing` shards are there."""
    asked = cfg.output
    lines = [
        f"{count(len(asked.wanted()), 'shard')}, each of {count(asked.clips_per_shard, 'clip')} of "
        f"{cfg.clips.clip_length} frames; {standing} stand, to make:",
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
    """Return a time as people say it: 2 d 3 h, 5 h 10 min, 12 min 3 s, 4.2 s."""
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
