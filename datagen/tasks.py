"""The three pure tasks: make a body file, a background file, a shard.

Each is one call without Ray, a function of what the task holds; `datagen.cluster` only decides who
calls it. A call returns the thing's manifest line and leaves the file whole or absent.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.clips.pairing import Choice
from datagen.config import BackgroundsConfig, BodiesConfig, FlowConfig, LaunchConfig
from datagen.files import sha256, write_json
from datagen.seeds import generator

if TYPE_CHECKING:
    from datagen.backgrounds.sources import VideoSource
    from datagen.bodies.motion import MotionSource
    from datagen.bodies.surreal import SurrealSource
    from datagen.flow.estimator import Estimator

Line = dict[str, Any]
Seconds = defaultdict[str, float]


@dataclass(frozen=True)
class BodyTask:
    """Render one motion sequence into the body library, or read one of the real SURREAL."""

    source: MotionSource | SurrealSource
    cfg: BodiesConfig
    seed: int
    path: Path

    @property
    def name(self) -> str:
        return self.source.name

    def __call__(self) -> Line:
        from datagen.bodies.library import build_person
        from datagen.bodies.model import load_bodies
        from datagen.bodies.surreal import SurrealSource, build_surreal

        if isinstance(self.source, SurrealSource):
            bodies = load_bodies(self.cfg.body, self.cfg.joint_regressor)
            line = build_surreal(self.source, bodies, self.path)
        else:
            line = build_person(self.source, self.cfg, self.seed, self.path)
        return _with_line(self.path, line, self.source.path)


@dataclass(frozen=True)
class BackgroundTask:
    """Analyse one video into the background library."""

    source: VideoSource
    cfg: BackgroundsConfig
    frames: int
    width: int
    height: int
    seed: int
    path: Path

    @property
    def name(self) -> str:
        return self.source.name

    def __call__(self) -> Line:
        from datagen.backgrounds.library import build_background

        line = build_background(
            self.source,
            self.cfg,
            frames=self.frames,
            width=self.width,
            height=self.height,
            seed=self.seed,
            path=self.path,
        )
        return _with_line(self.path, line, self.source.path)


@dataclass(frozen=True)
class ShardTask:
    """Compose the clips of one shard, estimate their flow and write the tar."""

    index: int
    choices: tuple[Choice, ...]
    cfg: LaunchConfig
    bodies: Path
    backgrounds: Path
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def __call__(self) -> Line:
        from datagen.output import shard
        from datagen.output.statistics import Statistics

        seconds: Seconds = defaultdict(float)
        statistics = Statistics()
        with clock(seconds, "total"):
            count = shard.write(self.path, self._records(statistics, seconds))
            digest = sha256(self.path)
        stages = sum(value for stage, value in seconds.items() if stage != "total")
        seconds["write"] = seconds["total"] - stages
        return {
            "kind": "shard",
            "name": self.name,
            "shard": self.index,
            "clips": count,
            "bytes": self.path.stat().st_size,
            "sha256": digest,
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
            "statistics": statistics.line(),
        }

    def _records(
        self, statistics: Any, seconds: defaultdict[str, float]
    ) -> Iterator[dict[str, Any]]:
        from datagen.backgrounds.library import read_background
        from datagen.bodies.library import read_person
        from datagen.clips.compose import compose
        from datagen.output import shard

        frames = self.cfg.clips.clip_length + 1
        estimate = estimator(self.cfg.flow)
        for index, choice in enumerate(self.choices):
            with clock(seconds, "people"):
                person = read_person(
                    self.bodies / f"{choice.person}.h5", choice.clip, choice.start, frames
                )
            with clock(seconds, "scenes"):
                background = read_background(
                    self.backgrounds / f"{choice.background}.h5", choice.window
                )
            with clock(seconds, "compose"):
                rng = generator(self.cfg.output.seed, self.index, index, "compose")
                clip = compose(person, background, self.cfg.clips, rng)
            with clock(seconds, "flow"):
                flow = estimate(clip.frames)
            with clock(seconds, "statistics"):
                statistics.add(person, clip, flow)
            with clock(seconds, "encode"):
                meta = {**asdict(choice), "seed": self.cfg.output.seed}
                meta |= {"people": person.meta, "scene": background.meta, "drawn": clip.meta}
                record = shard.encode(
                    shard.key(self.index, index), clip, flow, meta, rgb=self.cfg.output.rgb
                )
            yield record


@contextmanager
def clock(seconds: Seconds, stage: str) -> Iterator[None]:
    """Add the block's wall time to `seconds[stage]`."""
    began = time.perf_counter()
    yield
    seconds[stage] += time.perf_counter() - began


@lru_cache(maxsize=1)
def estimator(cfg: FlowConfig) -> Estimator:
    """Return the process's flow estimator; its weights are loaded once."""
    from datagen.flow.estimator import load_estimator

    return load_estimator(cfg)


def finished(path: Path, source: str | None) -> Line | None:
    """Return the manifest line of a library file that is whole, else None.

    The line lies beside the file and is written after it. It holds the size of `source`, the file
    it was made from (None for an embedded one), so that a replaced input is made anew.
    """
    try:
        line = json.loads(path.with_suffix(".json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    same = path.exists() and path.stat().st_size == line["bytes"]
    return line if same and line["source_bytes"] == _size(source) else None


def _with_line(path: Path, line: Line, source: str | None) -> Line:
    """Write the line beside its file, so that a file without one is known to be unfinished."""
    kind = "embedded" if source is None else Path(source).suffix.lower()
    line = {**line, "source": kind, "source_bytes": _size(source)}
    write_json(path.with_suffix(".json"), line)
    return line


def _size(source: str | None) -> int | None:
    return None if source is None else Path(source).stat().st_size
