"""Contact sheets of a data set: what the clips are made of, and what the network sees.

python -m datagen.inspect shards/ --out pictures/

Of real footage: its crops, keypoints, flow and heatmaps over time.
Clips are composed anew from the libraries, which takes the same draws as the shard did, so that the
pictures can show the person, the scene and the superpixel before they became one image.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import tyro

from datagen import command
from datagen.config import ClipsConfig, require
from datagen.errors import BadInput
from datagen.files import whole
from datagen.output import check, dataset, fingerprint
from datagen.output.layout import Layout

if TYPE_CHECKING:
    from datagen.backgrounds.library import Background
    from datagen.bodies.library import Person
    from datagen.clips.compose import Clip

CELL = 160  # side of one picture in a sheet, pixels


@dataclass(frozen=True)
class InspectConfig:
    """What to draw."""

    shards: tyro.conf.Positional[Path]
    """Folder of shards, with its library still there."""
    library: Path | None = None
    """The library they were made from, if it is not their own (datagen.launch --library)."""
    out: Path = Path("pictures")
    """Folder for the pictures."""
    clips: int = 12
    """Clips to draw, spread over the shards."""

    def __post_init__(self) -> None:
        require(self.clips >= 1, f"--clips must be at least 1, got {self.clips}")


@dataclass(frozen=True)
class Sample:
    """A clip with its sources and its flow as the shard holds it."""

    key: str
    person: Person
    background: Background
    clip: Clip
    flow: np.ndarray


def samples(layout: Layout, count: int) -> Iterator[Sample]:
    """Yield `count` clips spread over the shards, with what they were made of.

    Raises BadInput if there are no shards, or if the library they came from is gone.
    """
    from datagen.backgrounds.library import read_background
    from datagen.bodies.library import read_person
    from datagen.clips.compose import compose
    from datagen.seeds import generator

    content = dataset.read(layout)
    shards = layout.found()
    if not shards:
        raise BadInput(f"{layout.shards} holds no shards yet; run python -m datagen.launch first")
    config = ClipsConfig(**content["config"]["clips"])
    folders = [layout.library / name for name in fingerprint.library_folders(content["config"])]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise BadInput(
            f"the library {', '.join(missing)} is gone; give it with --library, "
            "or make the shards again"
        )
    total = len(shards) * content["clips_per_shard"]
    picked = np.unique(np.linspace(0, total - 1, count).astype(int))
    for index in picked:
        shard, number = (
            shards[index // content["clips_per_shard"]],
            int(index % content["clips_per_shard"]),
        )
        key, members = list(check.read(layout.shard(shard)).items())[number]
        meta: dict[str, Any] = json.loads(members["meta.json"])
        frames = config.clip_length + 1
        person = read_person(
            folders[0] / f"{meta['person']}.h5", meta["clip"], meta["start"], frames
        )
        background = read_background(folders[1] / f"{meta['background']}.h5", meta["window"])
        rng = generator(meta["seed"], shard, number, "compose")
        clip = compose(person, background, config, rng)
        yield Sample(key, person, background, clip, np.load(io.BytesIO(members["flow.npy"])))


def sources_sheet(some: list[Sample]) -> np.ndarray:
    """Draw the paper's Figure 2, a clip a row: scene, person, superpixel, clip, flow, heatmaps."""
    from datagen.clips import sheet
    from datagen.record import JOINTS, KEYPOINTS

    keypoints = [JOINTS.index(name) for name in KEYPOINTS]
    cells: list[np.ndarray] = []
    for sample in some:
        clip = sample.clip
        t = _telling_frame(clip)
        size = clip.frames.shape[1:3]
        flow = sheet.enlarge(sample.flow[t].astype(np.float32), size)
        points = clip.joints2d[t, keypoints]
        cells += [
            _square(sample.background.frames[t]),
            _square(sample.person.rgb[t]),
            sheet.dim(clip.frames[t]) // 2 + (clip.occluder[t][..., None] // 2).astype(np.uint8),
            sheet.outline(clip.frames[t], clip.occluder[t] > 127),
            sheet.skeleton(clip.frames[t], clip.joints2d[t]),
            sheet.flow_to_colour(flow, sheet.flow_scale(flow)),
            sheet.heat(sheet.dim(clip.frames[t]), points),
        ]
    return sheet.grid([_fit(cell) for cell in cells], 7)


def _telling_frame(clip: Clip) -> int:
    """Return a middle frame that is not totally occluded."""
    shown = np.flatnonzero(clip.occluded == 0)
    return int(shown[len(shown) // 2]) if len(shown) else 0


def _square(image: np.ndarray) -> np.ndarray:
    """Return the image on a grey square."""
    height, width = image.shape[:2]
    side = max(height, width)
    canvas = np.full((side, side, 3), 128, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas


def _fit(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_AREA)


def _save(path: Path, image: np.ndarray) -> None:
    ok, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert ok, f"OpenCV could not encode {path}"
    with whole(path) as temporary:
        temporary.write_bytes(data.tobytes())


def inspect_footage(layout: Layout, cfg: InspectConfig) -> int:
    """Write a sheet a record of real footage, as the shards hold it."""
    from datagen.clips import sheet

    records = [
        (shard, key) for shard in layout.found() for key in check.read(layout.shard(shard))
    ]  # fmt: skip
    picked = np.unique(np.linspace(0, len(records) - 1, cfg.clips).round().astype(int))
    for shard, key in [records[i] for i in picked]:
        members = check.read(layout.shard(shard))[key]
        if "rgb.jpg" not in members:
            raise BadInput(f"{layout.shards} holds no pictures; make it again without --no-rgb")
        labels = np.load(io.BytesIO(members["labels.npz"]))
        strip = cv2.imdecode(np.frombuffer(members["rgb.jpg"], np.uint8), cv2.IMREAD_COLOR_RGB)
        assert strip is not None, f"{key} holds a broken picture"
        picture = sheet.clip_sheet(
            strip.reshape(-1, strip.shape[1], strip.shape[1], 3),
            labels["joints2d"],
            flow=np.load(io.BytesIO(members["flow.npy"])),
            occluded=labels["occluded"],
        )
        track = json.loads(members["meta.json"])["track"]
        path = cfg.out / f"{track}-{key}.png"
        _save(path, picture)
        print(path)
    return 0


def inspect(cfg: InspectConfig) -> int:
    """Write the sheets and print where they lie."""
    from datagen.clips import sheet

    layout = Layout(cfg.shards.expanduser().resolve(), cfg.library)
    if dataset.read(layout).get("real"):
        return inspect_footage(layout, cfg)
    some = list(samples(layout, cfg.clips))
    _save(cfg.out / "sources.png", sources_sheet(some))
    print(cfg.out / "sources.png")
    for sample in some:
        clip = sample.clip
        picture = sheet.clip_sheet(
            clip.frames,
            clip.joints2d,
            flow=sample.flow,
            occluded=clip.occluded,
            occluder=clip.occluder,
        )
        _save(cfg.out / f"clip-{sample.key}.png", picture)
    print(f"{cfg.out}/clip-*.png: {len(some)} clips over time")
    return 0


def main(args: list[str] | None = None) -> int:
    """Draw with command line `args` and return the exit status."""
    return command.run(InspectConfig, inspect, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
