"""`--plan`: estimates a run's cost from a few samples: core-hours by stage, GPU-hours, GB, time.

The samples are made by the run's own tasks on its own workers, all at the same time, in temporary
folders that are deleted afterwards.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datagen.cluster import ray_address
from datagen.cluster.backends import open_backend
from datagen.cluster.flow_pool import FlowPool
from datagen.cluster.outcome import Outcome
from datagen.common.cli import count
from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import is_local
from datagen.common.record import Line
from datagen.flow.estimator import Flow
from datagen.flow.load import estimator
from datagen.launcher.config import LaunchConfig, absolute, sized
from datagen.launcher.cost import (
    Plan,
    library_cost,
    report,
    shards_cost,
    spread_of,
    starts_cost,
)
from datagen.launcher.driver import Driver
from datagen.launcher.identity import guard, identity
from datagen.launcher.library import Library
from datagen.launcher.sample import WorkerSample
from datagen.launcher.sources import find_sources
from datagen.output.layout import Layout
from datagen.output.manifest import finished_shards

PEOPLE, SCENES = 3, 3
"""Samples on each worker: motions, videos."""
MOST_WORKERS = 64
"""Most workers that take samples; more would add no information."""
MOTIONS_READ = 200
"""Most motions whose length is read; the others are assumed to have the mean length of these."""


def plan(cfg: LaunchConfig) -> int:
    """Print what a run with these options would cost; return 0."""
    cfg = absolute(cfg)
    layout = Layout(cfg.output.out, cfg.output.library)
    sources = find_sources(cfg)
    # Hashing terabytes takes too long for an estimate. Only existing shards must be compared with
    # the inputs, and those digests were cached when the shards were made.
    known = identity(cfg, sources, read=bool(layout.found()))
    guard(layout, cfg, known)
    cfg = sized(cfg, layout)
    there, wanted = finished_shards(layout), cfg.output.wanted()
    todo = [index for index in wanted if index not in there]
    if not todo:
        print(f"Nothing to do: {layout.shards} has the {count(len(wanted), 'requested shard')}.")
        return 0
    imports, load = time.process_time(), os.getloadavg()[0]
    found = estimate(Driver(cfg, layout, sources, known), todo, imports)
    for line in report(found, cfg, len(wanted) - len(todo)):
        print(line)
    if busy := remark_on_load(load, os.cpu_count() or 1):
        print(busy)
    print("Next: the same command without --plan")
    return 0


def remark_on_load(load: float, cores: int) -> str:
    """Return a note if other programs slowed the samples, whose wall time is measured; else ""."""
    if load <= cores:
        return ""
    machine = f"load {load:.0f} on {count(cores, 'core')}"
    return f"note: this machine was busy ({machine}), so hours and times are upper bounds"


def estimate(driver: Driver, todo: Sequence[int], imports: float) -> Plan:
    """Measure a few samples; return the cost of the shards `todo` and the library files they need.

    imports: seconds that this process took to start.
    """
    cfg, layout = driver.cfg, driver.layout
    estimator(cfg.flow)
    people, scenes = set(), set()
    for shard in todo:
        more = driver.pairing.missing(
            shard, cfg.output.clips_per_shard, driver.people.known, driver.scenes.known
        )
        people |= more[0]
        scenes |= more[1]
    rng = np.random.default_rng(0)
    weights = _weights(driver.people, sorted(people or driver.people.sources), cfg, rng)
    if cfg.cluster.backend == "ray":
        found = ray_address.described(cfg.cluster.address)
        print(f"{'Starting' if found == ray_address.LOCAL else 'Joining'} {found} …", flush=True)
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
    lines = _measured(outcomes)
    clips = len(todo) * cfg.output.clips_per_shard
    total = float(np.mean([weights[name] for name in sorted(weights)])) * len(people)
    stages = {
        "people": library_cost(lines, "people", len(people), total, weights),
        "scenes": library_cost(lines, "scenes", len(scenes), len(scenes), None),
        "shards": shards_cost(lines, len(todo), clips),
    }
    return Plan(
        stages=stages,
        starts=starts_cost(lines, stages, workers, cfg.cluster.backend != "serial"),
        fixed=imports + opened + closed,
        workers=workers,
        gpus=flow.gpus if isinstance(flow, FlowPool) else 0.0,
        spread=spread_of(lines),
        motions=min(len(driver.people.sources), clips),
        scenes=min(len(driver.scenes.sources), clips),
        free=_free_bytes(layout.shards),
    )


def _free_bytes(folder: Path) -> float | None:
    """Return the free bytes of the disk that will hold a folder; None for a URL."""
    if not is_local(folder):
        return None
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return float(shutil.disk_usage(there).free)


def _measured(outcomes: Sequence[Outcome]) -> list[Line]:
    """Return the lines of the successful samples; some may have met only bad inputs.

    Raises:
        BadMachine: the failure is the machine's fault.
        BadInput: every sample failed.
    """
    lines = [outcome.line for outcome in outcomes if outcome.line is not None]
    failed = [outcome for outcome in outcomes if outcome.line is None]
    for outcome in failed:
        if outcome.bad_machine:
            raise BadMachine(f"a sample failed: {outcome.reason}")
    if failed and not lines:
        raise BadInput(f"every sample failed; the last: {failed[-1].reason}")
    if failed:
        samples = count(len(outcomes), "sample")
        print(f"  note    {len(failed)} of {samples} failed and are skipped: {failed[-1].reason}")
    return lines


def _weights(
    library: Library, names: list[str], cfg: LaunchConfig, rng: np.random.Generator
) -> dict[str, float]:
    """Return the amount of work for each person: frames to render, or bytes of SURREAL files.

    At most MOTIONS_READ motions are read; the others get the mean.
    """
    from datagen.bodies.library import run_starts
    from datagen.bodies.motion.sources import MotionSource, load_motion
    from datagen.bodies.smpl.model import load_bodies, neutral_or_first

    if len(names) > MOTIONS_READ:
        names = [names[i] for i in np.sort(rng.choice(len(names), MOTIONS_READ, replace=False))]
    bodies = cfg.bodies
    rest = neutral_or_first(load_bodies(bodies.body, bodies.joint_regressor)).rest_joints()
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
        starts = run_starts(frames, bodies)
        weights[name] = sum(min(bodies.max_clip_frames, frames - start) for start in starts)
    return weights


def _samples(
    driver: Driver,
    weights: dict[str, float],
    scenes: list[str],
    workers: int,
    rng: np.random.Generator,
    flow: Flow | None,
) -> Iterator[WorkerSample]:
    """Yield a sample for each worker: people of all lengths and random scenes, without repetition
    if there are enough."""
    workers = min(workers, MOST_WORKERS)
    by_weight = sorted(weights, key=lambda name: (weights[name], name))
    places = (np.arange(workers * PEOPLE) + 0.5) / (workers * PEOPLE) * len(by_weight)
    people = [by_weight[int(place)] for place in places]
    order = rng.permutation(len(scenes))
    chosen = [scenes[order[i % len(scenes)]] for i in range(workers * SCENES)]
    for k in range(workers):
        # every worker gets short and long motions; its first, the shortest, is made twice
        yield WorkerSample(
            f"sample {k}",
            tuple(driver.people.task(name) for name in dict.fromkeys(people[k::workers])),
            tuple(driver.scenes.task(name) for name in dict.fromkeys(chosen[k::workers])),
            driver.cfg,
            time.time(),
            flow,
        )
