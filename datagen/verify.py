"""Check a data set: re-hash every shard, re-count and open every record.

    python -m datagen.verify shards/
    python -m datagen.verify shards/ --repair repair what is damaged or missing
    python -m datagen.verify 'https://host/set/shards/shard-{000000..000009}.tar'    ten of them

The exit status is 0 if everything is intact in the end, else 1.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from datagen.cluster.options import BackendName
from datagen.common import cli
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.files import absolute, place, reading
from datagen.common.options import Folder, require
from datagen.launcher import saved_options
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import guard, identity
from datagen.output import beside, card, check, dataset, fingerprint
from datagen.output.claim import claimed
from datagen.output.layout import Layout, shard_name
from datagen.output.manifest import Manifest, finished_shards, shard_lines
from datagen.output.selection import NamedShards, select


@dataclass(frozen=True)
class VerifyConfig:
    """What to check, and whether to repair it."""

    shards: tyro.conf.Positional[str]
    """Folder of shards with a dataset.json, its URL, or some of its shards as a brace pattern or a
    tar."""
    repair: bool = False
    """Make damaged or missing files again, with the options in manifests/config.json. The machine
    that made the shards makes the same bytes."""
    library: Folder | None = None
    """The data set's library, if it was moved (for --repair)."""
    backend: BackendName | None = None
    """Backend for the repair. Default: the one that made the shards."""
    workers: int | None = None
    """Shards to check or make at a time. Default: all cores for checking; for repairing, --workers
    of the original run."""

    def __post_init__(self) -> None:
        require(
            self.workers is None or self.workers >= 1,
            f"--workers must be at least 1, got {self.workers}",
        )


def verify(cfg: VerifyConfig) -> int:
    """Print the data set's problems; return 0 if there are none or all were repaired, else 1."""
    chosen = select(cfg.shards)
    if cfg.repair and chosen.folder.startswith(("http://", "https://")):
        raise BadInput(
            f"--repair cannot write to {chosen.folder}: run `{_REPAIR}` where the shards are stored"
        )
    folder = absolute(place(chosen.folder))
    with reading(folder):
        return _verify(_layout(folder, cfg), chosen, cfg)


def _verify(layout: Layout, chosen: NamedShards, cfg: VerifyConfig) -> int:
    if not layout.dataset.exists() and (
        (layout.shards / "shards" / "dataset.json").exists()
        or not (layout.config.exists() or layout.found())
    ):
        dataset.read(layout)  # raises: this is not a folder of shards
    problems = _beside(layout)
    if problems and cfg.repair:
        _repair_beside(layout, cfg)
        problems = _beside(layout)
    if not layout.dataset.exists():
        return _following(layout, cfg)
    wrong = inspect(layout, chosen, cfg)
    if wrong and cfg.repair:
        repair(layout, wrong, cfg)
        problems, wrong = _beside(layout), inspect(layout, chosen, cfg)
    sound = not problems and not wrong
    if sound and cfg.repair and layout.config.exists():
        # A killed launch or repair leaves unfinished files, or a card for fewer shards.
        beside.tidy(layout)
        if not card.current(layout, finished_shards(layout)):
            _repair_beside(layout, cfg)
    if sound:
        return 0
    return _following(layout, cfg)


def _following(layout: Layout, cfg: VerifyConfig) -> int:
    """Print the command that repairs the data set; return 1."""
    if not layout.config.exists():  # real footage, or shards published without it
        print("Next: delete the damaged files and run the command that made them again")
    elif _is_web(layout):
        print(f"To repair it, run `{_REPAIR}` where the shards are stored: http is read-only")
    elif not cfg.repair:
        print(f"Next: python -m datagen.verify {shlex.quote(cfg.shards)} --repair")
    return 1


_REPAIR = "python -m datagen.verify SHARDS --repair"


def _is_web(layout: Layout) -> bool:
    return str(layout.shards).startswith(("http://", "https://"))


def inspect(layout: Layout, chosen: NamedShards, cfg: VerifyConfig) -> list[int]:
    """Print the problems of the chosen shards; return the numbers of the damaged ones."""
    content = dataset.read(layout)
    lines = shard_lines(layout)
    reference = "the manifest"
    if not lines and (
        layout.found() or layout.croissant.exists()
    ):  # published without its manifests
        lines, reference = check.published(layout, content), "croissant.json"
    began = time.perf_counter()
    numbers = check.numbers(layout, content, lines)
    if chosen.numbers is not None:
        if other := chosen.numbers - set(numbers):
            raise BadInput(f"{layout.shards} is a data set without {shard_name(min(other))}")
        numbers = sorted(chosen.numbers)
    found = check.problems(layout, numbers, content, lines, cfg.workers or os.cpu_count() or 1)
    problems = dict(tqdm(found, desc="verify", unit="shard", total=len(numbers)))
    spent = time.perf_counter() - began
    wrong = [index for index, text in problems.items() if text]
    for index in wrong:
        print(f"error: {problems[index]}")
    if wrong:
        all_shards = count(len(numbers), "shard")
        print(f"Damaged or missing: {len(wrong)} of {all_shards} in {layout.shards}")
        return wrong
    size = sum(lines[index]["bytes"] for index in numbers) / 1e6
    clips = sum(lines[index]["clips"] or 0 for index in numbers) or content["clips"]
    print(
        f"{count(len(numbers), 'shard')}, {count(clips, 'clip')}, {size:.1f} MB: "
        f"all match {reference} ({size / spent:.0f} MB/s)"
    )
    return wrong


def repair(layout: Layout, numbers: list[int], cfg: VerifyConfig) -> None:
    """Make the shards with these numbers again."""
    from datagen.launcher.run import launch

    options = _options(layout, cfg)
    known = identity(options)
    guard(layout, options, known)
    manifest = Manifest(layout.manifests / "shards.jsonl")
    before = manifest.latest("shard")
    with claimed(layout, fingerprint.digest(known)):  # not during a running launch
        for index in numbers:
            layout.shard(index).unlink(missing_ok=True)
    launch(options, only=numbers)
    after = manifest.latest("shard")
    for index in sorted({*numbers} & before.keys() & after.keys()):
        if before[index].get("sha256") != after[index]["sha256"]:
            print(
                f"note: {layout.shard(index).name} does not match its old line in the "
                "manifest: the line was damaged, or written by another machine or version"
            )


def _layout(folder: Path, cfg: VerifyConfig) -> Layout:
    """Return the data set's folders, with the library of --library or of its last run."""
    layout = Layout(folder)
    shared = absolute(cfg.library) if cfg.library is not None else saved_options.library(layout)
    return dataclasses.replace(layout, shared=shared)


def _beside(layout: Layout) -> list[str]:
    problems = beside.problems(layout)
    for text in problems:
        print(f"error: {text}")
    return problems


def _repair_beside(layout: Layout, cfg: VerifyConfig) -> None:
    """Remove damaged files beside the shards and make them again."""
    from datagen.launcher.run import publish

    options = _options(layout, cfg)
    with claimed(layout, fingerprint.digest(identity(options))):
        beside.clean(layout)
    publish(options, beside.unlisted(layout))


def _options(layout: Layout, cfg: VerifyConfig) -> LaunchConfig:
    """Return the options with which the shards were made, for their current folder."""
    options = saved_options.read(layout)
    output = dataclasses.replace(options.output, out=layout.shards)
    workers = cfg.workers or options.cluster.workers
    # A Ray runs what it is sent, and its answers are code: only the user's own may be joined.
    cluster = dataclasses.replace(options.cluster, workers=workers, address=None)
    if cfg.library is not None:
        output = dataclasses.replace(output, library=absolute(cfg.library))
    if cfg.backend is not None:
        cluster = cluster.on(cfg.backend)
    return dataclasses.replace(options, output=output, cluster=cluster)


def main(args: list[str] | None = None) -> int:
    """Run the checker with command line `args` and return its exit status."""
    return cli.run(VerifyConfig, verify, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
