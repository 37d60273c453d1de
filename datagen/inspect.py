"""Report on a data set: one page with its counts, its balance, its clips and possible problems.

python -m datagen.inspect shards/ --out report.html   (or a folder: the page and its pictures)

Manifests are read in full, but tars are opened only for the clips that are shown, so 5,000 shards
take hardly longer than 5. The data set may be at any URL that fsspec supports (s3://…, https://…).
If the library still exists, clips are composed again with their shard's random draws, to show the
person, the scene and the superpixel separately.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from datagen.common import cli
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.files import whole
from datagen.common.options import require
from datagen.launcher import saved_options

if TYPE_CHECKING:
    import numpy as np

    from datagen.report.page import Figure
    from datagen.report.pictures import RecomposedClip
    from datagen.report.reader import DataSetReader, StoredClip


@dataclass(frozen=True)
class InspectConfig:
    """What to inspect, and where to write."""

    shards: tyro.conf.Positional[str]
    """Folder or URL of shards, or some of them as a brace pattern or a tar."""
    library: Path | None = None
    """The library from which they were made, if it was given by datagen.launch --library."""
    out: Path = Path("report")
    """Output folder for report.html and the pictures; with a name that ends in .html, only the
    page."""
    clips: int = 12
    """Number of clips to show, spread over the shards; at most 400, limited by a JPEG's height."""
    results: tuple[Path, ...] = ()
    """Pictures and videos of results to add to the page: a run's loss.png, an evaluation's
    skeletons.png, an overlay's .mp4."""

    def __post_init__(self) -> None:
        require(1 <= self.clips <= 400, f"--clips must lie in [1, 400], got {self.clips}")


def inspect(cfg: InspectConfig) -> int:
    """Write the report and print its path."""
    from datagen.clips.contact_sheet import titled
    from datagen.report import page, pictures, results
    from datagen.report.reader import DataSetReader
    from datagen.report.summary import summarize

    source = DataSetReader(cfg.shards)
    summary = summarize(source)
    shown = results.section(cfg.results)
    alone = cfg.out.suffix.lower() in (".html", ".htm")
    report = cfg.out if alone else cfg.out / "report.html"
    if source.dataset.get("labels_only") or source.dataset.get("keypoints_only"):  # no pictures
        with whole(report) as temporary:
            temporary.write_text(page.page(summary, source.name, cfg.shards, results=shown))
        made = count(summary.motions.files, "motion")
        if source.dataset.get("keypoints_only"):
            made = f"{count(summary.shards.clips, 'record')} of keypoints only,"
        print(f"Look at: {report} ({made} without pictures)")
        return 0
    records = list(pictures.chosen(source, summary.shards.numbers, cfg.clips))
    samples = _samples(source, records, cfg.library)
    sheet = _sheet(records, samples)
    player = pictures.player(records[0], fps=source.dataset.get("fps", 30))
    html = page.page(summary, source.name, cfg.shards, [sheet], player, shown)
    with whole(report) as temporary:
        temporary.write_text(html)
    made = summary.shards
    print(f"Look at: {report} ({count(made.shards, 'shard')}, {count(made.clips, 'clip')})")
    if not alone:
        _save(
            cfg.out / "sources.png", titled(sheet.image, sheet.heads)
        )  # the page has its own titles
        for place, record in enumerate(records):
            clip = samples[place].clip if samples else None
            _save(cfg.out / f"clip-{record.key}.png", pictures.clip_sheet(record, clip))
        drawn = count(len(records), "clip")
        print(f"  pictures {cfg.out}/sources.png and clip-*.png: {drawn}, and each over time")
    return 0


def _samples(
    source: DataSetReader, records: list[StoredClip], library: Path | None
) -> list[RecomposedClip]:
    """Return the clips with their sources; none, with a note, if the sources are not available."""
    from datagen.report.pictures import recompose

    try:
        found = library or (saved_options.library(source.layout) if source.local else None)
        return [recompose(source, record, found) for record in records]
    except BadInput as error:
        if library is not None:
            raise
        print(f"note: the clips are shown without their sources ({error})")
        return []


def _sheet(records: list[StoredClip], samples: list[RecomposedClip]) -> Figure:
    from datagen.report import pictures
    from datagen.report.page import Figure

    if samples:
        caption = (
            "One clip per row, one frame each: the scene, the rendered person, the occluding "
            "superpixel, the composed crop (superpixel outlined), and the network's inputs."
        )
        return Figure(pictures.sources_sheet(samples), caption, pictures.SOURCES)
    caption = "Two clips per row, one frame each: the crop, its joints, flow, keypoint heatmaps."
    return Figure(pictures.records_sheet(records), caption, 2 * pictures.PANELS)


def _save(path: Path, image: np.ndarray) -> None:
    import cv2

    ok, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert ok, f"OpenCV could not encode {path}"
    with whole(path) as temporary:
        temporary.write_bytes(data.tobytes())


def main(args: list[str] | None = None) -> int:
    """Write the report with command line `args` and return the exit status."""
    return cli.run(InspectConfig, inspect, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
