"""`--labels-only`: writes all motions of a split as shards without pictures, in one pass.

Takes are dealt round-robin to the shards in the order of their names, so each shard has some of
every kind. A take that cannot be used is skipped and listed in the quarantine. These shards are
resumed, verified and repaired like any others.
"""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tqdm import tqdm

from datagen.bodies.options import BodiesConfig
from datagen.cluster.backends import Backend, Serial, open_backend
from datagen.cluster.quarantine import Quarantine
from datagen.common.cli import count, duration
from datagen.common.errors import BadInput
from datagen.common.record import FPS, Line
from datagen.launcher import saved_options
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import describe, guard, identity
from datagen.launcher.sources import Sources, find_sources, skipped_notes
from datagen.output import beside, card, dataset, fingerprint
from datagen.output.claim import claimed
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest, finished_shards
from datagen.output.motion_shard import LONGEST, spans

if TYPE_CHECKING:
    from datagen.bodies.motion.sources import MotionSource
    from datagen.bodies.smpl.model import Body

FEW = 2000
"""Number of takes up to which starting worker processes does not pay off."""


@dataclass(frozen=True)
class MotionShardTask:
    """Read some motions and write them as one shard."""

    index: int
    sources: tuple[MotionSource, ...]
    cfg: BodiesConfig
    path: Path
    fingerprint: str
    """Fingerprint of the data set."""

    @property
    def name(self) -> str:
        return self.path.name

    def __call__(self) -> Line:
        from datagen.output import shard

        began, notes = time.perf_counter(), _Notes()
        written = shard.write(self.path, self._records(notes), self.fingerprint)
        return {
            "kind": "shard",
            "name": self.name,
            "shard": self.index,
            **written,
            "seconds": {"total": round(time.perf_counter() - began, 3)},
            **notes.line(),
        }

    def _records(self, notes: _Notes) -> Any:
        from datagen.bodies.motion.sources import load_betas, load_motion
        from datagen.bodies.smpl.model import kept_bodies, neutral_or_first
        from datagen.output import motion_shard, shard

        bodies = kept_bodies(self.cfg.body, self.cfg.joint_regressor)
        body = neutral_or_first(bodies)
        rest, number = body.rest_joints(), 0
        for source in self.sources:
            try:
                motion, betas = load_motion(source, rest), load_betas(source)
            except BadInput as error:
                notes.bad.append({"name": source.name, "reason": str(error)})
                continue
            arrays = motion_shard.labels(motion, betas, rest, body.rest_joints(betas)[0])
            kind = motion_shard.kind(source.path)
            meta = {"motion": source.name, "subject": source.subject, "source": kind}
            for record in motion_shard.encode(arrays, meta):
                yield {"__key__": shard.key(self.index, number), **record}
                number += 1
            noted = {"note": motion.note} if motion.note else {}
            counts = motion_shard.statistics(arrays, rest)
            notes.add({**meta, **noted}, len(motion.pose), counts)
        if not number:
            raise BadInput(
                f"none of its {count(len(self.sources), 'motion')} can be used; the last: "
                f"{notes.bad[-1]['reason']}; ask for fewer --num-shards or other --motions"
            )


class _Notes:
    """What a shard's manifest line records of its motions."""

    def __init__(self) -> None:
        self.motions: list[Line] = []
        self.coverage: dict[str, Any] = {}
        self.bad: list[Line] = []

    def add(self, meta: Line, frames: int, counts: dict[str, Any]) -> None:
        """Add one take."""
        self.motions.append({**meta, "frames": frames})
        for name, bins in counts.items():
            self.coverage[name] = self.coverage.get(name, 0) + bins

    def line(self) -> Line:
        """Return the motions, the unusable ones, and statistics: frames and counts per bin."""
        frames = [motion["frames"] for motion in self.motions]
        counts = {name: bins.tolist() for name, bins in self.coverage.items()}
        return {
            "motions": self.motions,
            "bad": self.bad,
            "longest": max(stop - first for number in frames for first, stop in spans(number)),
            "statistics": {"frames": sum(frames), "coverage": counts},
        }


def launch(cfg: LaunchConfig, layout: Layout, only: Collection[int] | None = None) -> int:
    """Make the missing shards, or those in `only`; return 0 if all exist afterwards."""
    inputs = find_sources(cfg)
    cfg = dealt(cfg, len(inputs.motions))
    known = identity(cfg, inputs)
    guard(layout, cfg, known)
    there = finished_shards(layout)
    wanted = cfg.output.wanted() if only is None else only
    if there.keys() >= {*wanted} and card.current(layout, there):
        beside.tidy(layout)
        return _nothing_to_do(cfg, layout, len(wanted))  # nothing is written or claimed
    with claimed(layout, fingerprint.digest(known)):
        guard(layout, cfg, known)  # another launch may have started in the meantime
        return _launch(cfg, layout, only, inputs, known)


def _launch(
    cfg: LaunchConfig,
    layout: Layout,
    only: Collection[int] | None,
    inputs: Sources,
    known: dict[str, Any],
) -> int:
    sources, found = inputs.motions, inputs.motions_found
    wanted = cfg.output.wanted() if only is None else sorted(only)
    there = finished_shards(layout)
    todo = [index for index in wanted if index not in there]
    if not todo:
        beside.tidy(layout)
        if not card.current(layout, there):
            publish(cfg, layout, known)
            card.write(layout, there)
        return _nothing_to_do(cfg, layout, len(wanted))
    print(
        f"Writing {count(len(sources), 'motion')}"
        + (f" of {found:,}" if found > len(sources) else "")
        + f" without pictures to {len(todo):,} of {count(cfg.output.total, 'shard')} in "
        f"{layout.shards}"
    )
    for note in skipped_notes(cfg):
        print(f"  note    {note}")
    publish(cfg, layout, known)
    motions = cast("list[MotionSource]", sources)  # --labels-only takes no --surreal
    tasks = [
        MotionShardTask(index, tuple(motions[index :: cfg.output.total]), cfg.bodies,
                        layout.shard(index), fingerprint.digest(known))
        for index in todo
    ]  # fmt: skip
    try:
        with _backend(cfg, len(sources)) as backend:
            failed = _run(tasks, backend, layout, cfg)
    finally:
        beside.tidy(layout)
    _conclude(cfg, layout, failed, known)
    return 1 if failed else 0


def _nothing_to_do(cfg: LaunchConfig, layout: Layout, wanted: int) -> int:
    from datagen.launcher.driver import following

    print(f"Nothing to do: {layout.shards} has the {count(wanted, 'requested shard')}.")
    print(following(cfg, layout))
    return 0


def publish(cfg: LaunchConfig, layout: Layout, known: dict[str, Any] | None = None) -> None:
    """Write the files beside the shards; only clip_length changes until the last shard is made.

    cfg: with the number of shards set; known: the identity, if already known.
    """
    from datagen.bodies.smpl.model import write_reduced

    known = known or identity(cfg)
    beside.tidy(layout)
    _describe(cfg, layout, known)  # first: it marks the files beside it as outputs
    for path, body in _bodies(cfg, layout).items():
        write_reduced(path, body)
    saved_options.write(layout, cfg, known)


def dealt(cfg: LaunchConfig, takes: int) -> LaunchConfig:
    """Return the configuration with the number of shards for `takes` motions.

    Raises BadInput if there are fewer motions than shards.
    """
    each = cfg.output.clips_per_shard
    number = -(-takes // each) if cfg.output.num_shards is None else cfg.output.num_shards
    if number > takes:
        raise BadInput(
            f"--num-shards {number} is more than there are motions ({takes:,}); give at most "
            f"{takes}"
        )
    return dataclasses.replace(cfg, output=dataclasses.replace(cfg.output, num_shards=number))


def _backend(cfg: LaunchConfig, takes: int) -> Backend:
    return Serial() if takes <= FEW else open_backend(cfg.cluster)


def _run(
    tasks: Sequence[MotionShardTask], backend: Backend, layout: Layout, cfg: LaunchConfig
) -> dict[str, str]:
    """Make the shards; return the reason of each failure by the shard's name, as written to the
    quarantine."""
    manifest = Manifest(layout.manifests / "shards.jsonl")
    quarantine = Quarantine(layout.manifests / "quarantine.jsonl")
    alone = shlex.join(["python", "-m", "datagen.launch", *cfg.arguments()])
    failed: dict[str, str] = {}

    origin = {"seed": cfg.output.seed, "command": alone}
    outcomes = tqdm(backend.run(tasks), total=len(tasks), desc="shards", unit="shard")
    for outcome in quarantine.watch(outcomes, "shard", lambda task: origin):
        if outcome.line is None:
            failed[outcome.task.name] = outcome.reason
            continue
        for bad in outcome.line["bad"]:
            quarantine.add("input", bad["name"], bad["reason"], **origin)
        manifest.append(outcome.line)
    return failed


def _conclude(
    cfg: LaunchConfig, layout: Layout, failed: dict[str, str], known: dict[str, Any]
) -> None:
    """Update dataset.json and print what the data set holds.

    Raises BadInput if no shard could be made, or too many motions could not be used.
    """
    from datagen.launcher.driver import following, print_notes

    lines = finished_shards(layout)
    if not lines:
        raise BadInput(f"no shard could be made; the last: {[*failed.values()][-1]}")
    _describe(cfg, layout, known)
    card.write(layout, lines)
    motions = [motion for line in lines.values() for motion in line["motions"]]
    bad = [one for line in lines.values() for one in line["bad"]]
    quarantine = layout.manifests / "quarantine.jsonl"
    if len(bad) > cfg.cluster.max_bad * (len(bad) + len(motions)):
        raise BadInput(
            f"{len(bad)} of {len(bad) + len(motions)} motions could not be used, more than "
            f"--max-bad {cfg.cluster.max_bad}; the last: {bad[-1]['reason']} ({quarantine} lists "
            "all)"
        )
    frames = sum(motion["frames"] for motion in motions)
    size = sum(line["bytes"] for line in lines.values()) / 1e6
    subjects = count(len({motion["subject"] for motion in motions}), "subject")
    print(
        f"{count(len(lines), 'shard')}, {count(len(motions), 'motion')} of {subjects}, "
        f"{duration(frames / FPS)}, {size:.1f} MB in {layout.shards}"
    )
    noted = [motion["note"] for motion in motions if "note" in motion]
    print_notes(noted, layout.manifests / "shards.jsonl")
    if bad:
        print(f"{count(len(bad), 'motion')} could not be used: {quarantine} gives the reasons")
    if failed:
        print(f"{count(len(failed), 'shard')} failed: {quarantine} gives the reasons")
    else:
        print(following(cfg, layout))


def _describe(cfg: LaunchConfig, layout: Layout, known: dict[str, Any]) -> None:
    lines = list(finished_shards(layout).values())
    clips = [line["clips"] for line in lines]
    content = {
        **describe(cfg, "none", 0, sum(clips), known),
        "clip_length": max((line["longest"] for line in lines), default=LONGEST),
        "clips_per_shard": max(clips, default=0),
        "labels_only": True,
        "rgb": False,
        "bodies": [path.name for path in _bodies(cfg, layout)],
    }
    dataset.write(layout, content)


def _bodies(cfg: LaunchConfig, layout: Layout) -> dict[Path, Body]:
    """Return the bodies to write beside the shards: body.npz, then one per gender."""
    from datagen.bodies.smpl.model import kept_bodies, neutral_or_first

    bodies = kept_bodies(cfg.bodies.body, cfg.bodies.joint_regressor)
    first = neutral_or_first(bodies)
    others = sorted(bodies.keys() - {first.gender})
    return {layout.body: first} | {layout.body_of(name): bodies[name] for name in others}
