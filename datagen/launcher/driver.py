"""One run of the launcher: libraries first, then shards; bad input is quarantined."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.bodies.shapes import find_scans
from datagen.clips.pairing import Pairing
from datagen.cluster import ray_address
from datagen.cluster.backends import Backend
from datagen.cluster.outcome import Task
from datagen.cluster.quarantine import Quarantine
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.record import Line
from datagen.flow.load import estimator
from datagen.launcher import saved_options, tasks
from datagen.launcher.config import LaunchConfig, sized
from datagen.launcher.identity import describe, identity
from datagen.launcher.library import Library, MakeTask
from datagen.launcher.progress import Progress
from datagen.launcher.sources import Sources, find_sources, skipped_notes
from datagen.output import beside, card, dataset, fingerprint, variety
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest, finished_shards

if TYPE_CHECKING:
    from datagen.flow.estimator import Flow

PATIENCE = 10
"""Most times that the card is rewritten because another launch has added shards."""
_WHERE = {"processes": "in worker processes", "serial": "in this process"}
FEW = 20  # sources tried before --max-bad counts as a share of those tried


class Driver:
    """State of one launcher run; none of it affects a shard's bytes."""

    def __init__(
        self,
        cfg: LaunchConfig,
        layout: Layout,
        sources: Sources | None = None,
        known: dict[str, Any] | None = None,
    ) -> None:
        """`sources`, `known`: the inputs and the data set's identity, if already known."""
        self.cfg, self.layout = cfg, layout
        self.quarantine = Quarantine(layout.manifests / "quarantine.jsonl")
        self._needed_by: dict[str, int] = {}
        """For each source, one shard that needs it."""
        self._notes: list[str] = []
        """Notes for the user about motions read in this run."""
        sources = sources or find_sources(cfg)
        self.identity = known or identity(cfg, sources)
        self.absent, self.motions_found = sources.absent, sources.motions_found
        frames, seed = cfg.clips.clip_length + 1, cfg.output.seed
        self.fingerprint = fingerprint.digest(self.identity)
        people, scenes = fingerprint.library_folders(self.identity)

        scans = find_scans(cfg.bodies, cfg.output.split)

        def body_task(source: Any, path: Path, content: str | None) -> Task:
            return tasks.BodyTask(source, cfg.bodies, seed, path, scans, content)

        def background_task(source: Any, path: Path, content: str | None) -> Task:
            size = cfg.bodies.width, cfg.bodies.height
            return tasks.BackgroundTask(source, cfg.backgrounds, frames, *size, seed, path, content)

        self.people = self._library(people, "bodies", sources.motions, body_task)
        self.scenes = self._library(scenes, "backgrounds", sources.videos, background_task)
        self.pairing = Pairing(
            tuple(sorted(self.people.sources)), tuple(sorted(self.scenes.sources)), frames, seed
        )

    def _library(self, folder: str, kind: str, sources: Sequence[Any], make: MakeTask) -> Library:
        manifest = Manifest(self.layout.manifests / f"{kind}.jsonl")
        plans = self.cfg.cluster.plan
        return Library(self.layout.library / folder, manifest, sources, make, plans=plans)

    def announce(self, todo: int, wanted: int) -> None:
        """Print what the run will do: make `todo` of the `wanted` shards."""
        cfg = self.cfg
        people = cfg.bodies.surreal or ", ".join(map(str, cfg.bodies.motions)) or "embedded"
        videos = cfg.backgrounds.videos
        ray = cfg.cluster.backend == "ray"
        where = f"on {ray_address.described(cfg.cluster.address)}" if ray else ""
        print(
            f"Making {todo:,} of {count(wanted, 'shard')}, each of "
            f"{count(cfg.output.clips_per_shard, 'clip')} of {cfg.clips.clip_length} frames, "
            f"in {self.layout.shards}\n"
            f"  people  {_of(len(self.people.sources), self.motions_found)} ({people}), "
            f"{cfg.bodies.body or 'embedded open'} bodies\n"
            f"  scenes  {count(len(self.scenes.sources), 'video' if videos else 'scene')} "
            f"({videos or cfg.backgrounds.scenes or 'embedded'})\n"
            f"  flow    {cfg.flow.flow}, split {cfg.output.split}, seed {cfg.output.seed}, "
            f"{where or _WHERE[cfg.cluster.backend]}"
        )
        for note in skipped_notes(cfg):
            print(f"  note    {note}")
        if self.absent:
            print(
                f"  note    {cfg.backgrounds.videos_csv} lists "
                f"{count(len(self.absent), 'clip')} that do not exist: {_few(self.absent, 3)}"
            )

    def _announce_files(self, people: int, scenes: int) -> None:
        """Print how many of the motions and scenes get a file now, unless it is all or none."""
        if people + scenes not in (0, len(self.people.sources) + len(self.scenes.sources)):
            print(
                f"  note    files to make now: {people:,} people, {scenes:,} scenes; the rest "
                "exist or are not needed"
            )

    def prepare(self) -> None:
        """Write the files that the trainer needs beside the shards; remove a killed run's
        leftovers."""
        from datagen.bodies.smpl.model import kept_bodies, neutral_or_first, write_reduced

        estimator(self.cfg.flow)  # refuses bad weights before anything is written
        options = self.cfg.bodies
        body = neutral_or_first(kept_bodies(options.body, options.joint_regressor))
        for note in body.notes:
            print(f"  note    {note}")
        self._describe()  # first: it marks the files beside it as outputs
        beside.tidy(self.layout)
        write_reduced(self.layout.body, body)
        saved_options.write(self.layout, self.cfg, self.identity)

    def libraries(self, todo: Sequence[int], backend: Backend, progress: Progress) -> None:
        """Make every body and background file that the shards need, in further rounds while bad
        inputs have to be replaced."""
        while True:
            people: set[str] = set()
            scenes: set[str] = set()
            for shard in todo:
                more = self.pairing.missing(
                    shard, self.cfg.output.clips_per_shard, self.people.known, self.scenes.known
                )
                people |= more[0]
                scenes |= more[1]
                self._needed_by |= dict.fromkeys(more[0] | more[1], shard)
            if not any(progress.wanted[kind] for kind in ("people", "scenes")):  # the first round
                self._announce_files(len(people), len(scenes))
            before = self.people.failures() + self.scenes.failures()
            progress.expect(people=len(people), scenes=len(scenes))
            for library, names, what in (
                (self.people, people, "people"),
                (self.scenes, scenes, "scenes"),
            ):
                queue = [library.task(name) for name in library.longest_first(names)]
                outcomes = progress.follow(backend.run(queue), what)
                for outcome in self.quarantine.watch(outcomes, "input", self._origin):
                    if outcome.line is not None:
                        library.learn(outcome.task.name, outcome.line)
                        self._notes += filter(None, [outcome.line.get("note")])
                    else:
                        bad_input = outcome.bad_input
                        library.fail(outcome.task.name, outcome.reason, bad_input=bad_input)
                bad, tried, total = library.failures(), library.tried(), len(library.sources)
                self._stop_if_bad(what, bad, tried, total, library.reason)
            if self.people.failures() + self.scenes.failures() == before:
                self.people.settle()
                self.scenes.settle()
                return

    def shards(self, todo: Sequence[int], backend: Backend, progress: Progress) -> list[str]:
        """Make the shards and return the names of those that failed."""
        manifest = Manifest(self.layout.manifests / "shards.jsonl")
        failed: list[str] = []
        flow = self.cfg.flow
        queue = (self._shard_task(index, backend.flow(flow)) for index in todo)
        outcomes = progress.follow(backend.run(queue), "shards")
        for outcome in self.quarantine.watch(outcomes, "shard", self._origin):
            if outcome.line is not None:
                manifest.append(outcome.line)
            else:
                failed.append(outcome.task.name)
                tried = progress.done["shards"]
                self._stop_if_bad("shards", len(failed), tried, FEW, outcome.reason)
        return failed

    def conclude(self, failed: list[str], made: int) -> None:
        """Update dataset.json and the card; print how many shards exist and how many this run
        made."""
        lines: dict[int, Line] = {}
        for _ in range(PATIENCE):  # another launch may be adding shards
            lines = finished_shards(self.layout)
            self._describe()
            card.write(self.layout, lines)
            if lines == finished_shards(self.layout):
                break
        bad = self.people.failures() + self.scenes.failures()
        size = sum(line["bytes"] for line in lines.values()) / 1e6
        clips = sum(line["clips"] for line in lines.values())
        print_notes(self._notes, self.layout.manifests / "bodies.jsonl")
        shards = count(len(lines), "shard")
        now = f" ({count(made, 'shard')} made now)" if made < len(lines) else ""
        print(f"{shards}, {count(clips, 'clip')}, {size:.1f} MB in {self.layout.shards}{now}")
        found = variety.held(lines.values(), self.cfg.clips.clip_length)
        if found and lines:
            print(f"made of {found}")
        if bad:
            inputs = count(bad, "input")
            print(f"{inputs} could not be used: {self.quarantine.path} gives the reasons")
        if failed:
            print(
                f"{count(len(failed), 'shard')} failed ({_few(failed, 5)}): "
                f"{self.quarantine.path} gives the reasons; run the same command to try them again"
            )
        else:
            print(following(self.cfg, self.layout))

    def _shard_task(self, index: int, flow: Flow | None) -> tasks.ShardTask:
        choices = tuple(
            self.pairing.choose(index, clip, self.people.known, self.scenes.known)
            for clip in range(self.cfg.output.clips_per_shard)
        )
        return tasks.ShardTask(
            index,
            choices,
            self.cfg,
            {choice.person: self.people.file(choice.person) for choice in choices},
            {choice.background: self.scenes.file(choice.background) for choice in choices},
            self.layout.shard(index),
            flow,
            self.fingerprint,
        )

    def _origin(self, task: Task) -> Line:
        """Return a quarantined task's seed and the command that reproduces its failure."""
        return {"seed": self.cfg.output.seed, "command": self._command(task)}

    def _command(self, task: Task) -> str:
        """Return the command that reproduces the failure: the shard alone, in one process.

        For an input, it makes a shard that needs the input, in another folder, because this data
        set may be made without it.
        """
        output = self.cfg.output
        if isinstance(task, tasks.ShardTask):
            output = dataclasses.replace(output, shards=str(task.index))
        else:
            shard, again = str(self._needed_by[task.name]), output.out.with_name("again")
            output = dataclasses.replace(output, shards=shard, out=again, library=None)
        alone = dataclasses.replace(self.cfg, output=output, cluster=self.cfg.cluster.on("serial"))
        return shlex.join(["python", "-m", "datagen.launch", *alone.arguments()])

    def _stop_if_bad(self, what: str, bad: int, tried: int, total: int, reason: str) -> None:
        share = self.cfg.cluster.max_bad
        # A few bad inputs at the start of a large collection do not predict the rest.
        if bad > share * max(tried, min(total, FEW)):
            raise BadInput(
                f"{bad} of {tried} {what} could not be made, more than --max-bad {share}; "
                f"the last: {reason} ({self.quarantine.path} lists all)"
            )

    def _describe(self) -> None:
        flow = estimator(self.cfg.flow)
        clips = sum(line["clips"] for line in finished_shards(self.layout).values())
        cfg = sized(self.cfg, self.layout)  # again: another launch may have enlarged it
        content = describe(cfg, flow.name, flow.stride, clips, self.identity)
        dataset.write(self.layout, content)


def _of(used: int, found: int) -> str:
    """Return "3 motions", or "3 of 10 motions" where not all are used."""
    return count(used, "motion") if used == found else f"{used:,} of {count(found, 'motion')}"


def print_notes(notes: Sequence[str], path: Path) -> None:
    """Print the first notes on motions, and name the file that has the others."""
    for note in notes[:3]:
        print(f"  note    {note}")
    if len(notes) > 3:
        print(f"  note    {len(notes) - 3:,} more such notes in {path}")


def _few(names: Sequence[str], number: int) -> str:
    """Return the first `number` names, with an ellipsis if there are more."""
    return ", ".join(names[:number]) + (", …" if len(names) > number else "")


def following(cfg: LaunchConfig, layout: Layout) -> str:
    """Return a line with the next command to run on finished shards."""
    shards = shlex.quote(str(layout.shards))
    if cfg.output.split in ("val", "test"):
        return (
            f"Next: python -m trainer.evaluate --shards {shards}   (the network that ships; for "
            "your own, add --checkpoint and the best.pt of its run)"
        )
    return f"Next: python -m trainer.fit --shards {shards}"
