"""All options of a data set: the five stages and the workers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from datagen.backgrounds.options import BackgroundsConfig
from datagen.bodies.options import BodiesConfig
from datagen.clips.options import ClipsConfig
from datagen.cluster.options import RAYS_OWN, ClusterConfig
from datagen.common.files import is_local
from datagen.common.options import arguments, option, require
from datagen.common.record import STRIP_ROWS
from datagen.flow.options import FlowConfig
from datagen.output import dataset
from datagen.output.layout import Layout
from datagen.output.options import OutputConfig

FOR_LABELS = (
    "--labels-only", "--body", "--joint-regressor", "--motions", "--motions-only",
    "--motions-without", "--motion-up", "--motion-unit", "--motion-rate", "--motion-limit",
    "--num-shards", "--clips-per-shard", "--out", "--split", "--seed",
)  # fmt: skip
"""Stage options that --labels-only uses."""


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """Make a data set: people → scenes → clips → flow → tar shards."""

    bodies: BodiesConfig = field(default_factory=BodiesConfig)
    backgrounds: BackgroundsConfig = field(default_factory=BackgroundsConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        if self.output.labels_only:
            self._refuse_pictures()
        frames, longest = self.clips.clip_length + 1, self.bodies.max_clip_frames
        require(
            self.bodies.surreal is not None or frames <= longest,
            f"--clip-length {self.clips.clip_length} needs people's clips of {frames} frames; "
            f"give --max-clip-frames {frames} or more, got {longest}",
        )
        strip = self.clips.clip_length * self.clips.image_size
        require(
            not self.output.rgb or strip <= STRIP_ROWS,
            "a clip's frames are stored as one JPEG strip of at most "
            f"{STRIP_ROWS:,} pixels; --clip-length times --image-size is {strip:,}; "
            "reduce one of them or give --no-rgb",
        )
        require(
            self.flow.flow != "dis" or not self.cluster.flow_gpus,
            "--flow dis needs no GPU; name a network with --flow or omit --flow-gpus",
        )

    def _refuse_pictures(self) -> None:
        """Refuse options that have no effect with --labels-only."""
        # Sets made while DIS was the default have it among their saved options.
        flow = FlowConfig() if self.flow == FlowConfig(flow="dis") else self.flow
        given = [
            word
            for stage in (self.bodies, self.backgrounds, self.clips, flow, self.output)
            for word in arguments(stage)
            if word.startswith("--") and word not in FOR_LABELS
        ]
        given += [option(name) for name in ("plan", *RAYS_OWN) if getattr(self.cluster, name)]
        require(
            not given,
            "--labels-only writes all motions in one pass, without people, scenes, pictures or "
            f"flow; omit {' and '.join(given)}",
        )

    def arguments(self) -> list[str]:
        """Return the command line that gives this configuration: only non-default options."""
        return [word for stage in fields(self) for word in arguments(getattr(self, stage.name))]


def sized(cfg: LaunchConfig, layout: Layout) -> LaunchConfig:
    """Return the configuration with num_shards large enough for --shards and existing shards."""
    if cfg.output.shards is None:
        return cfg
    before = dataset.read(layout)["shards"] if layout.dataset.exists() else 0
    number = max(cfg.output.total, before, cfg.output.wanted()[-1] + 1)
    return dataclasses.replace(cfg, output=dataclasses.replace(cfg.output, num_shards=number))


def absolute(cfg: LaunchConfig) -> LaunchConfig:
    """Return the configuration with absolute paths, since workers run in another directory.

    A submitted Ray job runs in a temporary copy of the working directory, which Ray deletes
    afterwards. There, a relative --out, --library or --cache is resolved against the home folder,
    as `ray submit` does.
    """

    def kept(name: str, path: Path | None) -> Path | None:
        inside = "runtime_resources" in Path.cwd().parts
        if path is None or not is_local(path) or path.expanduser().is_absolute() or not inside:
            return path
        print(
            f"Inside a Ray job: {name} is {Path.home() / path}; give an absolute path to change it"
        )
        return Path.home() / path

    def place(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(place(part) for part in value)
        return value.expanduser().resolve() if isinstance(value, Path) else value

    def resolved(stage: Any) -> Any:
        found = {item.name: place(getattr(stage, item.name)) for item in dataclasses.fields(stage)}
        return dataclasses.replace(stage, **found)

    output = dataclasses.replace(
        cfg.output, out=kept("--out", cfg.output.out), library=kept("--library", cfg.output.library)
    )
    cluster = dataclasses.replace(cfg.cluster, cache=kept("--cache", cfg.cluster.cache))
    cfg = dataclasses.replace(cfg, output=output, cluster=cluster)
    return LaunchConfig(
        **{item.name: resolved(getattr(cfg, item.name)) for item in dataclasses.fields(cfg)}
    )
