"""The launcher's main function: makes libraries, then shards; finished work is skipped."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from datagen.cluster.backends import open_backend
from datagen.common.cli import count
from datagen.common.files import CACHE_VARIABLE
from datagen.launcher import labels
from datagen.launcher.config import LaunchConfig, absolute, sized
from datagen.launcher.driver import Driver, following
from datagen.launcher.identity import guard, identity
from datagen.launcher.progress import Progress
from datagen.launcher.sources import Sources, find_sources
from datagen.output import beside, card, fingerprint
from datagen.output.claim import claimed
from datagen.output.layout import Layout
from datagen.output.manifest import finished_shards


def launch(cfg: LaunchConfig, only: Collection[int] | None = None) -> int:
    """Make the missing shards, or those in `only`; return 0 if all were made."""
    cfg = absolute(cfg)
    layout = Layout(cfg.output.out, cfg.output.library)
    if cfg.output.labels_only:
        return labels.launch(cfg, layout, only)
    sources = find_sources(cfg)
    known = identity(cfg, sources)
    guard(layout, cfg, known)
    if _complete(sized(cfg, layout), layout, only):  # nothing is written, so nothing is claimed
        beside.tidy(layout)
        return _nothing_to_do(sized(cfg, layout), layout, only)
    named = cfg.output.wanted() if cfg.output.shards is not None and only is None else None
    with claimed(layout, fingerprint.digest(known), named):
        guard(layout, cfg, known)  # another launch may have started in the meantime
        return _launch(sized(cfg, layout), layout, only, sources, known)


def _launch(
    cfg: LaunchConfig,
    layout: Layout,
    only: Collection[int] | None,
    sources: Sources,
    known: dict[str, Any],
) -> int:
    wanted = cfg.output.wanted() if only is None else sorted(only)
    there = finished_shards(layout)
    todo = [index for index in wanted if index not in there]
    if not todo:
        if not card.current(layout, there):  # killed between its last shard and the card
            Driver(cfg, layout, sources, known).prepare()
            card.write(layout, there)
        return _nothing_to_do(cfg, layout, only)
    if cfg.cluster.cache:
        os.environ[CACHE_VARIABLE] = str(cfg.cluster.cache)
    driver = Driver(cfg, layout, sources, known)
    driver.announce(len(todo), len(wanted) if only is None else wanted[-1] + 1)
    try:
        return _make(driver, todo)
    finally:
        beside.tidy(layout)


def _complete(cfg: LaunchConfig, layout: Layout, only: Collection[int] | None) -> bool:
    """Return whether all requested shards exist and the card describes them."""
    there = finished_shards(layout)
    wanted = cfg.output.wanted() if only is None else only
    return there.keys() >= {*wanted} and card.current(layout, there)


def _nothing_to_do(cfg: LaunchConfig, layout: Layout, only: Collection[int] | None) -> int:
    wanted = cfg.output.wanted() if only is None else only
    print(f"Nothing to do: {layout.shards} has the {count(len(wanted), 'requested shard')}.")
    print(following(cfg, layout))
    return 0


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


def publish(cfg: LaunchConfig, unlisted: Collection[int] = ()) -> None:
    """Rewrite all files beside the shards: body.npz, dataset.json and the card.

    unlisted: shards whose people or scenes are missing from the manifests; their lines are added
        again.
    """
    cfg = absolute(cfg)
    layout = Layout(cfg.output.out, cfg.output.library)
    sources = find_sources(cfg)
    known = identity(cfg, sources)
    with claimed(layout, fingerprint.digest(known)):
        if cfg.output.labels_only:
            labels.publish(cfg, layout, known)
        else:
            driver = Driver(cfg, layout, sources, known)
            driver.prepare()
            if unlisted:
                with open_backend(cfg.cluster) as backend, Progress(0, 0, backend.workers) as shown:
                    driver.libraries(sorted(unlisted), backend, shown)
        card.write(layout, finished_shards(layout))
