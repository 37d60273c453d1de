"""The main job: libraries first, then shards; what exists already is never made again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from datagen.cluster.backends import open_backend
from datagen.common.files import CACHE_VARIABLE, is_local
from datagen.launcher.config import LaunchConfig
from datagen.launcher.driver import Driver, following
from datagen.launcher.progress import Progress
from datagen.output import card, dataset
from datagen.output.layout import Layout
from datagen.output.manifest import standing
from datagen.words import count


def launch(cfg: LaunchConfig, only: Collection[int] | None = None) -> int:
    """Make what is missing of the data set, or of shards `only`; return 0 if it stands then."""
    cfg = absolute(cfg)
    layout = Layout(cfg.output.out, cfg.output.library)
    dataset.guard(layout, cfg)
    cfg = sized(cfg, layout)
    wanted = cfg.output.wanted() if only is None else sorted(only)
    there = standing(layout)
    todo = [index for index in wanted if index not in there]
    if not todo:
        if not card.current(layout, there):  # killed between its last shard and the card
            card.write(layout, there)
        print(f"Nothing to do: {layout.shards} has the {count(len(wanted), 'shard')} asked for.")
        print(following(cfg, layout))
        return 0
    if cfg.cluster.cache:
        os.environ[CACHE_VARIABLE] = str(cfg.cluster.cache)
    driver = Driver(cfg, layout)
    driver.announce(len(todo), len(wanted) if only is None else wanted[-1] + 1)
    try:
        return _make(driver, todo)
    finally:
        driver.sweep()


def _make(driver: Driver, todo: list[int]) -> int:
    cfg = driver.cfg
    driver.prepare()
    with (
        open_backend(cfg.cluster) as backend,
        Progress(len(todo), cfg.output.clips_per_shard, backend.workers) as progress,
    ):
        driver.libraries(todo, backend, progress)
        failed = driver.shards(todo, backend, progress)
    driver.conclude(failed, len(todo) - len(failed))
    return 1 if failed else 0


def publish(cfg: LaunchConfig) -> None:
    """Write all that lies beside the shards anew: body.npz, dataset.json and the card."""
    cfg = absolute(cfg)
    layout = Layout(cfg.output.out, cfg.output.library)
    Driver(cfg, layout).prepare()
    card.write(layout, standing(layout))


def sized(cfg: LaunchConfig, layout: Layout) -> LaunchConfig:
    """Return the configuration with a data set that holds --shards and what it held before."""
    if cfg.output.shards is None:
        return cfg
    before = dataset.read(layout)["shards"] if layout.dataset.exists() else 0
    number = max(cfg.output.num_shards, before, cfg.output.wanted()[-1] + 1)
    return dataclasses.replace(cfg, output=dataclasses.replace(cfg.output, num_shards=number))


def absolute(cfg: LaunchConfig) -> LaunchConfig:
    """Return the configuration with absolute paths: workers have another working directory.

    A submitted Ray job runs in a temporary copy of the working directory, which Ray deletes; there
    what is written, a relative --out, --library or --cache, means the home folder, as it does for
    `ray submit`.
    """

    def kept(name: str, path: Path | None) -> Path | None:
        inside = "runtime_resources" in Path.cwd().parts
        if path is None or not is_local(path) or path.expanduser().is_absolute() or not inside:
            return path
        print(f"Inside a Ray job: {name} is {Path.home() / path}; give an absolute one to choose")
        return Path.home() / path

    def resolved(stage: Any) -> Any:
        paths = {
            item.name: value.expanduser().resolve()
            for item in dataclasses.fields(stage)
            if isinstance(value := getattr(stage, item.name), Path)
        }
        return dataclasses.replace(stage, **paths)

    output = dataclasses.replace(
        cfg.output, out=kept("--out", cfg.output.out), library=kept("--library", cfg.output.library)
    )
    cluster = dataclasses.replace(cfg.cluster, cache=kept("--cache", cfg.cluster.cache))
    cfg = dataclasses.replace(cfg, output=output, cluster=cluster)
    return LaunchConfig(
        **{item.name: resolved(getattr(cfg, item.name)) for item in dataclasses.fields(cfg)}
    )
