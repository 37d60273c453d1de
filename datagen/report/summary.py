"""Summarises a data set's manifests in constant memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datagen.common.record import Line
from datagen.output.statistics import shown_motion
from datagen.output.variety import Variety
from datagen.report.histogram import Histogram, Moments
from datagen.report.reader import DataSetReader

STATISTICS = {
    "flow.mean": np.linspace(0, 20, 401),
    "flow.p95": np.linspace(0, 60, 401),
    "visible": np.linspace(0, 1, 401),
    "occluded": np.linspace(0, 1, 401),
    "off_frame": np.linspace(0, 1, 401),
    "totally_occluded": np.linspace(0, 0.5, 401),
    "camera_step": np.linspace(0, 10, 401),
    "camera_drift": np.linspace(0, 120, 401),
}
"""Statistics in a shard's manifest line, and the edges of their histograms."""
WINDOWS = {
    "drift": np.linspace(0, 200, 201),
    "max_shift": np.linspace(0, 30, 121),
    "segments": np.arange(0, 257),
    "inlier_ratio": np.linspace(0, 1, 201),
}
"""Values of a background window, and the edges of their histograms."""
PARTS = ("shards", "bodies", "backgrounds")
KEPT = 200  # most quarantine lines kept for display
VERSION_OF_MOTION = re.compile(r"(_mirrored|_\d+|_[a-z]|_slow|_quick)+$")


@dataclass
class Shards:
    """manifests/shards.jsonl: what was made."""

    shards: int = 0
    clips: int = 0
    bytes: int = 0
    frames: int = 0
    """Frames of real footage, whose clips vary in length; each frame of a track counts once."""
    numbers: list[int] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    """One value a shard, weighted by its clips."""
    coverage: dict[str, np.ndarray] = field(default_factory=dict)
    followed: dict[str, np.ndarray] = field(default_factory=dict)
    """Σ|flow - motion|² and Σ|motion|² for each kind of keypoint."""
    people: Counter[str] = field(default_factory=Counter)
    variety: Variety = field(default_factory=Variety)
    """Distinct motions, people and scenes of the clips."""
    varied: bool = True
    """Whether all shards record their variety; those of older releases do not."""

    def add(self, line: Line) -> None:
        """Add a shard's line."""
        self.varied = self.varied and "variety" in line
        if self.varied:
            self.variety.learn(line["variety"])
        clips = int(line["clips"])
        self.numbers.append(int(line["shard"]))
        self.shards += 1
        self.clips += clips
        self.bytes += line["bytes"]
        self.seconds.update(line.get("seconds", {}))
        statistics = line.get("statistics", {})
        self.frames += int(statistics.get("frames", 0))
        for name, edges in STATISTICS.items():
            value = _at(statistics, name)
            if value is not None:
                self.histograms.setdefault(name, Histogram(edges)).add(float(value), clips)
        for name, counts in statistics.get("coverage", {}).items():
            self.coverage[name] = self.coverage.get(name, 0) + np.asarray(counts)
        for name, sums in statistics.get("followed", {}).items():
            self.followed[name] = self.followed.get(name, 0) + np.asarray(sums)
        self.people.update(statistics.get("people", {}))

    @property
    def shown_motion(self) -> dict[str, float]:
        """Share of each kind of keypoint's motion that the flow explains, if any moves."""
        return shown_motion(self.followed)

    def shown_motion_of(self, *kinds: str) -> float | None:
        """Return the share of several kinds' pooled motion that the flow explains."""
        sums = np.sum([self.followed.get(kind, np.zeros(2)) for kind in kinds], axis=0)
        return shown_motion({"all": sums}).get("all")

    @property
    def genders(self) -> dict[str, int]:
        """Clips by the body's gender."""
        return self._people("gender ")

    @property
    def tones(self) -> dict[str, int]:
        """Clips by skin tone, "1" (lightest) to "10", zero counts included; {} if not recorded."""
        found = self._people("skin tone ")
        return {str(tone): found.get(str(tone), 0) for tone in range(1, 11)} if found else {}

    def _people(self, prefix: str) -> dict[str, int]:
        return {
            name.removeprefix(prefix): count
            for name, count in sorted(self.people.items())
            if name.startswith(prefix)
        }


@dataclass
class PeopleSummary:
    """manifests/bodies.jsonl: the people that clips may show."""

    files: int = 0
    clips: int = 0
    frames: int = 0
    bytes: int = 0
    frames_in_view: int = 0
    genders: Counter[str] = field(default_factory=Counter)
    tones: Counter[int] = field(default_factory=Counter)
    garments: Counter[str] = field(default_factory=Counter)
    subjects: Counter[str] = field(default_factory=Counter)
    """Frames by performer."""
    motions: Counter[str] = field(default_factory=Counter)
    """Frames by motion, its mirror images and repetitions together."""
    sources: Counter[str] = field(default_factory=Counter)
    betas: Moments = field(default_factory=Moments)
    shapes: list[Histogram] = field(
        default_factory=lambda: [Histogram(np.linspace(-4, 4, 33)) for _ in range(2)]
    )
    """Histograms of the first two betas, roughly size and weight."""

    def add(self, line: Line) -> None:
        """Add the line of a file of people."""
        self.files += 1
        self.bytes += line["bytes"]
        self.frames += line["frames"]
        self.subjects[line["subject"]] += line["frames"]
        self.motions[_kind_of_motion(line["name"])] += line["frames"]
        self.sources[line.get("source", "not recorded")] += 1
        for clip in line["clips"]:
            self.clips += 1
            self.frames_in_view += sum(stop - first for first, stop in clip.get("in_view", []))
            self.genders[clip["gender"]] += 1
            look = clip.get("look", {})
            if "skin_tone" in look:
                self.tones[look["skin_tone"]] += 1
            self.garments.update(garment.split()[-1] for garment in look.get("garments", []))
            if "betas" in clip:
                self.betas.add(clip["betas"])
                for histogram, value in zip(self.shapes, clip["betas"], strict=False):
                    histogram.add(value)


@dataclass
class Motions:
    """The motions of a data set without pictures, from its shards' lines."""

    files: int = 0
    frames: int = 0
    subjects: Counter[str] = field(default_factory=Counter)
    """Frames by performer."""
    motions: Counter[str] = field(default_factory=Counter)
    """Frames by motion, its mirror images and repetitions together."""
    sources: Counter[str] = field(default_factory=Counter)
    """Files by kind."""

    def add(self, line: Line) -> None:
        """Add a motion."""
        self.files += 1
        self.frames += line["frames"]
        self.subjects[line["subject"]] += line["frames"]
        self.motions[_kind_of_motion(line["motion"])] += line["frames"]
        self.sources[line["source"]] += 1


@dataclass
class Scenes:
    """manifests/backgrounds.jsonl: the scenes that clips may show."""

    files: int = 0
    windows: int = 0
    bytes: int = 0
    groups: set[str] = field(default_factory=set)
    histograms: dict[str, Histogram] = field(
        default_factory=lambda: {name: Histogram(edges) for name, edges in WINDOWS.items()}
    )
    rejected: Counter[str] = field(default_factory=Counter)
    """Rejected windows by reason, in files with other windows that were used."""

    def add(self, line: Line) -> None:
        """Add the line of a file of scenes."""
        self.files += 1
        self.bytes += line["bytes"]
        self.windows += len(line["windows"])
        self.groups.add(line["group"])
        for window in line["windows"]:
            for name, histogram in self.histograms.items():
                histogram.add(window[name])
        self.rejected.update(line.get("rejected", {}))


@dataclass
class QuarantineSummary:
    """manifests/quarantine.jsonl: failures that were not made up for later, with reasons."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    lines: list[Line] = field(default_factory=list)
    """The first KEPT lines."""

    def add(self, line: Line) -> None:
        """Add the line of a failure."""
        self.count += 1
        self.reasons[_kind_of(line["reason"], line["name"])] += 1
        if len(self.lines) < KEPT:
            self.lines.append(line)


@dataclass
class Summary:
    """All four manifests and dataset.json."""

    dataset: Line
    shards: Shards = field(default_factory=Shards)
    people: PeopleSummary = field(default_factory=PeopleSummary)
    motions: Motions = field(default_factory=Motions)
    scenes: Scenes = field(default_factory=Scenes)
    quarantine: QuarantineSummary = field(default_factory=QuarantineSummary)


def summarize(source: DataSetReader) -> Summary:
    """Read the data set's manifests. Raises BadInput if it is not a data set."""
    summary = Summary(source.dataset)
    _gather(summary.shards, source.latest("shards", "shard"))
    summary.shards.numbers.sort()
    if summary.dataset.get("labels_only"):
        lines = source.latest("shards", "shard")
        _gather(summary.motions, (motion for line in lines for motion in line["motions"]))
    _gather(summary.people, source.latest("bodies", "name"))
    _gather(summary.scenes, source.latest("backgrounds", "name"))
    finished = _finished(source)
    bad = source.latest("quarantine", "name")
    _gather(summary.quarantine, (line for line in bad if line["name"] not in finished))
    return summary


def _finished(source: DataSetReader) -> set[str]:
    """Return the names of all finished items, including those still listed in the quarantine."""
    names = {line["name"] for part in PARTS for line in source.lines(part)}
    return names | {line["source"] for line in source.lines("shards") if "source" in line}


def _gather(
    part: Shards | PeopleSummary | Motions | Scenes | QuarantineSummary, lines: Iterable[Line]
) -> None:
    for line in lines:
        part.add(line)


def _kind_of_motion(name: str) -> str:
    """Return a motion's name without the suffixes of mirrored and repeated versions."""
    return VERSION_OF_MOTION.sub("", name) or name


def _at(line: Line, path: str) -> Any:
    """Return line["a"]["b"] for "a.b", None where there is none."""
    value: Any = line
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def _kind_of(reason: str, name: str) -> str:
    """Return a reason without file names and numbers, so that similar reasons are grouped."""
    reason = re.sub(r"\S*/\S+", "…", reason.replace(name, "…"))
    return re.sub(r"\d+(\.\d+)?", "N", reason)[:120]
