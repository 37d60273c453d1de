"""The three pure tasks: make a body file, a background file, a shard.

Each is one call without Ray, a function of what the task holds; `datagen.cluster` only decides who
calls it. A call returns the thing's manifest line and leaves the file whole or absent.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.backgrounds.options import BackgroundsConfig
from datagen.bodies.options import BodiesConfig
from datagen.clips.pairing import Choice
from datagen.common.files import cached, is_local, read_all, sizes, whole, write_json
from datagen.common.record import Line
from datagen.common.seeds import generator
from datagen.flow.options import FlowConfig
from datagen.launcher.config import LaunchConfig

if TYPE_CHECKING:
    import numpy as np

    from datagen.backgrounds.sources import VideoSource
    from datagen.bodies.motion.sources import MotionSource
    from datagen.bodies.storage import Person
    from datagen.bodies.surreal import SurrealSource
    from datagen.clips.compose import Clip
    from datagen.flow.estimator import Estimator, Flow

Seconds = defaultdict[str, float]
FAILED = "failed"
"""Kind of the line of a source that cannot be used; it says the `reason`."""


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
        from datagen.bodies.smpl.model import kept_bodies
        from datagen.bodies.surreal import SurrealSource, build_surreal

        def build(path: Path) -> Line:
            if isinstance(self.source, SurrealSource):
                bodies = kept_bodies(self.cfg.body, self.cfg.joint_regressor)
                return build_surreal(self.source, bodies, path)
            return build_person(self.source, self.cfg, self.seed, path)

        return _add(self.path, build, self.source)


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

        build = partial(
            build_background,
            self.source,
            self.cfg,
            frames=self.frames,
            width=self.width,
            height=self.height,
            seed=self.seed,
        )
        return _add(self.path, lambda path: build(path=path), self.source)


@dataclass(frozen=True)
class ShardTask:
    """Compose the clips of one shard, estimate their flow and write the tar."""

    index: int
    choices: tuple[Choice, ...]
    cfg: LaunchConfig
    bodies: Path
    backgrounds: Path
    path: Path
    flow: Flow | None = None
    """Estimates the clips' flow. Default: this process's own estimator."""

    @property
    def name(self) -> str:
        return self.path.name

    def __call__(self) -> Line:
        from datagen.output import shard
        from datagen.output.statistics import Statistics

        seconds: Seconds = defaultdict(float)
        statistics = Statistics()
        with clock(seconds, "total"):
            written = shard.write(self.path, self._records(statistics, seconds))
        stages = sum(value for stage, value in seconds.items() if stage != "total")
        seconds["write"] = seconds["total"] - stages
        return {
            "kind": "shard",
            "name": self.name,
            "shard": self.index,
            **written,
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
            "statistics": statistics.line(),
        }

    def _records(self, statistics: Any, seconds: Seconds) -> Iterator[dict[str, Any]]:
        """Yield the records in order; each clip's flow is under way while the next is composed."""
        from datagen.output import shard

        estimate = self.flow or _own_flow(self.cfg.flow)
        waiting: deque[tuple[_Composed, Callable[[], np.ndarray]]] = deque()

        def record() -> dict[str, Any]:
            made, wait = waiting.popleft()
            with clock(seconds, "flow"):
                flow = wait()
            with clock(seconds, "statistics"):
                statistics.add(made.person, made.clip, flow)
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
            path = local_file(self.bodies, choice.person)
            frames = self.cfg.clips.clip_length + 1
            person = read_person(path, choice.clip, choice.start, frames)
        with clock(seconds, "scenes"):
            path = local_file(self.backgrounds, choice.background)
            background = read_background(path, choice.window)
        with clock(seconds, "compose"):
            rng = generator(self.cfg.output.seed, self.index, index, "compose")
            clip = compose(person, background, self.cfg.clips, rng)
        meta = {**asdict(choice), "seed": self.cfg.output.seed}
        meta |= {"people": person.meta, "scene": background.meta, "drawn": clip.meta}
        return _Composed(index, person, clip, meta)


@dataclass(frozen=True)
class _Composed:
    """A clip on its way to its record."""

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


@lru_cache(maxsize=1)
def estimator(cfg: FlowConfig) -> Estimator:
    """Return the process's flow estimator; its weights are loaded once."""
    from datagen.flow.estimator import load_estimator

    return load_estimator(cfg)


def effort(source: Any) -> float:
    """Return a number that grows with the time that a source's task takes."""
    from datagen.bodies.motion import embedded

    return _size(source) or embedded.lengths().get(source.name, 0)


def _own_flow(cfg: FlowConfig) -> Flow:
    estimate = estimator(cfg)

    def now(frames: np.ndarray) -> Callable[[], np.ndarray]:
        flow = estimate(frames)
        return lambda: flow

    return now


def local_file(folder: Path, name: str) -> Path:
    """Return the library file of a source on this machine; behind a URL, its copy in the cache."""
    path = folder / f"{name}.h5"
    if is_local(path):
        return path
    return cached(path, _line(path)["sha256"])


def finished(folder: Path, sources: Mapping[str, Any]) -> dict[str, Line]:
    """Return the manifest lines of the library files that are whole, by their sources' names.

    The line lies beside the file and is written after it. It holds the size of the source, of all
    files that it was made from, so that a replaced input is made anew. Sources that were given up
    (`give_up`) have a line as well, of kind FAILED.
    """
    found = sizes(folder)
    names = [name for name in sources if f"{name}.json" in found]
    lines: dict[str, Line] = {}
    texts = read_all(folder / f"{name}.json" for name in names)
    for name, text in zip(names, texts, strict=True):
        with suppress(json.JSONDecodeError):
            line = json.loads(text)
            stands = line["kind"] == FAILED or found.get(f"{name}.h5") == line["bytes"]
            if stands and _size(sources[name]) == line["source_bytes"]:
                lines[name] = line
    return lines


def give_up(path: Path, source: Any, reason: str) -> None:
    """Write beside where a library file would be that it is not made, and why.

    For a failure that a later try might not see again: shards that were made without the source
    and those still to come must agree, also after a restart.
    """
    note = path.with_suffix(".json")
    line = {"kind": FAILED, "name": source.name, "source_bytes": _size(source)}
    write_json(note, line | {"reason": f"{reason} (given up; remove {note} to try it again)"})


def _add(path: Path, build: Callable[[Path], Line], source: Any) -> Line:
    """Build a library file, then write its line beside it: a file without one is unfinished."""
    if is_local(path):
        line = build(path)
    else:
        with whole(path) as unfinished:
            line = {**build(unfinished), "file": path.name}
    kind = "embedded" if source.path is None else Path(source.path).suffix.lower()
    line = {**line, "source": kind, "source_bytes": _size(source)}
    write_json(path.with_suffix(".json"), line)
    return line


@cache
def _line(path: Path) -> Line:
    return json.loads(path.with_suffix(".json").read_text())


def _size(source: Any) -> int | None:
    """Return the bytes of all files that a source is made from; None if it is embedded."""
    if source.path is None:
        return None
    files = getattr(source, "files", [source.path])  # a sequence of SURREAL's has many
    return sum(Path(file).stat().st_size for file in files)
