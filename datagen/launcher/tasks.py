"""The three pure tasks: make a body file, a background file, a shard.

Each is a plain call that depends only on the task's fields; `datagen.cluster` decides which process
makes it. A call writes its file atomically and returns the manifest line.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.backgrounds.options import BackgroundsConfig
from datagen.bodies.options import BodiesConfig
from datagen.clips.pairing import Choice
from datagen.common.record import Line
from datagen.common.seeds import generator
from datagen.flow.load import estimator
from datagen.flow.options import FlowConfig
from datagen.launcher.config import LaunchConfig
from datagen.launcher.library import LibraryFile, add

if TYPE_CHECKING:
    import numpy as np

    from datagen.backgrounds.sources import VideoSource
    from datagen.bodies.motion.sources import MotionSource
    from datagen.bodies.shapes import ScanFile
    from datagen.bodies.storage import Person
    from datagen.bodies.surreal import SurrealSource
    from datagen.clips.compose import Clip
    from datagen.flow.estimator import Flow

Seconds = defaultdict[str, float]


@dataclass(frozen=True)
class BodyTask:
    """Render one motion into the body library, or import one sequence of the real SURREAL."""

    source: MotionSource | SurrealSource
    cfg: BodiesConfig
    seed: int
    path: Path
    scans: ScanFile | None = None
    content: str | None = None
    """Digest of the source's files (`launcher.contents`)."""

    @property
    def name(self) -> str:
        return self.source.name

    def __call__(self) -> Line:
        from datagen.bodies.library import build_person
        from datagen.bodies.smpl.model import kept_bodies
        from datagen.bodies.surreal import SurrealSource, build_surreal

        def build(path: Path) -> Line:
            if isinstance(self.source, SurrealSource):
                bodies = kept_bodies(self.cfg.body, self.cfg.joint_regressor)
                return build_surreal(self.source, bodies, path)
            return build_person(self.source, self.cfg, self.seed, path, self.scans)

        return add(self.path, build, self.source, self.content)


@dataclass(frozen=True)
class BackgroundTask:
    """Analyse one video and add it to the background library."""

    source: VideoSource
    cfg: BackgroundsConfig
    frames: int
    width: int
    height: int
    seed: int
    path: Path
    content: str | None = None
    """Digest of the source's files (`launcher.contents`)."""

    @property
    def name(self) -> str:
        return self.source.name

    def __call__(self) -> Line:
        from datagen.backgrounds.library import build_background

        build = partial(
            build_background,
            self.source,
            self.cfg,
            frames=self.frames,
            width=self.width,
            height=self.height,
            seed=self.seed,
        )
        return add(self.path, lambda path: build(path=path), self.source, self.content)


@dataclass(frozen=True)
class ShardTask:
    """Compose the clips of one shard, estimate their flow and write the tar."""

    index: int
    choices: tuple[Choice, ...]
    cfg: LaunchConfig
    people: Mapping[str, LibraryFile]
    scenes: Mapping[str, LibraryFile]
    """The library files that `choices` refer to."""
    path: Path
    flow: Flow | None = None
    """Flow estimator of the clips. Default: this process's own."""
    fingerprint: str = ""
    """Fingerprint of the data set."""

    @property
    def name(self) -> str:
        return self.path.name

    def __call__(self) -> Line:
        from datagen.output import shard
        from datagen.output.statistics import Statistics
        from datagen.output.variety import Variety

        seconds: Seconds = defaultdict(float)
        statistics, variety = Statistics(), Variety()
        with clock(seconds, "total"):
            written = shard.write(
                self.path, self._records(statistics, variety, seconds), self.fingerprint
            )
        stages = sum(value for stage, value in seconds.items() if stage != "total")
        seconds["write"] = seconds["total"] - stages
        return {
            "kind": "shard",
            "name": self.name,
            "shard": self.index,
            **written,
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
            "statistics": statistics.line(),
            "variety": variety.line(),
        }

    def _records(self, statistics: Any, variety: Any, seconds: Seconds) -> Iterator[dict[str, Any]]:
        """Yield the records in order; each clip's flow is computed while the next is composed."""
        from datagen.output import shard

        estimate = self.flow or _own_flow(self.cfg.flow)
        waiting: deque[tuple[_Composed, Callable[[], np.ndarray]]] = deque()

        def record() -> dict[str, Any]:
            made, wait = waiting.popleft()
            with clock(seconds, "flow"):
                flow = wait()
            with clock(seconds, "statistics"):
                statistics.add(made.person, made.clip, flow)
                variety.add(made.meta)
            with clock(seconds, "encode"):
                key = shard.key(self.index, made.index)
                return shard.encode(key, made.clip, flow, made.meta, rgb=self.cfg.output.rgb)

        for index, choice in enumerate(self.choices):
            made = self._compose(index, choice, seconds)
            with clock(seconds, "flow"):
                waiting.append((made, estimate(made.clip.frames)))
            if len(waiting) > 1:
                yield record()
        while waiting:
            yield record()

    def _compose(self, index: int, choice: Choice, seconds: Seconds) -> _Composed:
        from datagen.backgrounds.library import read_background
        from datagen.bodies.storage import read_person
        from datagen.clips.compose import compose

        with clock(seconds, "people"):
            path = self.people[choice.person].local()
            frames = self.cfg.clips.clip_length + 1
            person = read_person(path, choice.clip, choice.start, frames)
        with clock(seconds, "scenes"):
            path = self.scenes[choice.background].local()
            background = read_background(path, choice.window)
        with clock(seconds, "compose"):
            rng = generator(self.cfg.output.seed, self.index, index, "compose")
            clip = compose(person, background, self.cfg.clips, rng)
        meta = {**asdict(choice), "seed": self.cfg.output.seed}
        meta |= {"people": person.meta, "scene": background.meta, "drawn": clip.meta}
        return _Composed(index, person, clip, meta)


@dataclass(frozen=True)
class _Composed:
    """A composed clip that is waiting for its flow."""

    index: int
    person: Person
    clip: Clip
    meta: dict[str, Any]


@contextmanager
def clock(seconds: Seconds, stage: str) -> Iterator[None]:
    """Add the block's wall time to `seconds[stage]`."""
    began = time.perf_counter()
    yield
    seconds[stage] += time.perf_counter() - began


def _own_flow(cfg: FlowConfig) -> Flow:
    estimate = estimator(cfg)

    def now(frames: np.ndarray) -> Callable[[], np.ndarray]:
        flow = estimate(frames)
        return lambda: flow

    return now
