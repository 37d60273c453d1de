"""Report sections, pictures and tables for the notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from datagen.clips import contact_sheet
from datagen.common.errors import BadInput
from datagen.report import charts, page, pictures
from datagen.report.reader import DataSetReader, StoredClip
from datagen.report.summary import Summary


class Part:
    """HTML in the report's style, in an iframe that adapts to its height."""

    def __init__(self, *pieces: str) -> None:
        self.html = page.document("".join(pieces), "part", part=True)

    def _repr_html_(self) -> str:
        fit = "this.style.height = this.contentDocument.body.offsetHeight + 4 + 'px'"
        return (
            f'<iframe srcdoc="{escape(self.html)}" onload="{fit}" '
            'style="width: 100%; border: 0; height: 420px"></iframe>'
        )


class Image:
    """A uint8 RGB image [H,W,3]."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image

    def _repr_png_(self) -> bytes:
        ok, data = cv2.imencode(".png", cv2.cvtColor(self.image, cv2.COLOR_RGB2BGR))
        assert ok, f"OpenCV could not encode an image of shape {self.image.shape}"
        return data.tobytes()


def sources(
    source: DataSetReader, records: list[StoredClip], library: Path | None = None
) -> Image | Part:
    """Show the sources of clips (the paper's Figure 2), or the reason why they cannot be shown."""
    try:
        some = [pictures.recompose(source, record, library) for record in records]
    except BadInput as error:
        return _nothing(str(error))
    return Image(contact_sheet.titled(pictures.sources_sheet(some), pictures.SOURCES))


def clips(records: list[StoredClip]) -> Image:
    """Show clips from their records alone: two per row, one frame each, with column titles."""
    return Image(contact_sheet.titled(pictures.records_sheet(records), 2 * pictures.PANELS))


def overlays(record: StoredClip, columns: int = 8) -> Image:
    """Show flow (upper row) and heatmaps (lower row) over the pictures of one clip."""
    shown = pictures.pictures_of(record)
    places = contact_sheet.evenly(len(shown), columns)
    fastest = contact_sheet.flow_scale(record.flow[places])
    rows: list[list[np.ndarray]] = [[], []]
    for t in places:
        grey = cv2.cvtColor(cv2.cvtColor(shown[t], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        flow = contact_sheet.enlarge(record.flow[t].astype(np.float32), shown[t].shape[:2])
        # White means no motion: multiplying by it leaves static parts of the picture unchanged.
        colour = contact_sheet.flow_to_colour(flow, fastest).astype(np.float32) / 255
        rows[0].append(contact_sheet.caption((grey * colour).astype(np.uint8), f"{t}"))
        points = record.labels["joints2d"][t, pictures.POINTS]
        seen = points * (record.labels["occluded"][t] == 0)
        rows[1].append(contact_sheet.heat(contact_sheet.dim(shown[t]), seen))
    return Image(contact_sheet.grid([*rows[0], *rows[1]], len(places)))


def totally_occluded(source: DataSetReader, count: int, tries: int = 64) -> list[StoredClip]:
    """Return up to `count` clips with total occlusions, from the shards with the most of them."""
    shares = {
        line["shard"]: line.get("statistics", {}).get("totally_occluded", 0)
        for line in source.latest("shards", "shard")
    }

    def candidates() -> Iterator[StoredClip]:
        for shard in sorted(shares, key=lambda shard: -shares[shard]):
            if shares[shard]:
                yield from source.records(shard, tries)

    found = (r for r in islice(candidates(), tries) if r.labels["occluded"].any())
    return list(islice(found, count))


def people(source: DataSetReader, count: int = 24, library: Path | None = None) -> Image | Part:
    """Show people of the library, each cut out from the middle frame of a clip."""
    from datagen.bodies.storage import read_person

    try:
        folder, _ = pictures.library_folders(source, library)
    except BadInput as error:
        return _nothing(str(error))
    cells = []
    lines = [line for line in source.latest("bodies", "name") if (folder / line["file"]).exists()]
    places = [(line, clip) for line in lines for clip in range(len(line["clips"]))]
    for index in contact_sheet.evenly(len(places), count):
        line, clip = places[index]
        entry = line["clips"][clip]
        person = read_person(folder / line["file"], clip, entry["frames"] // 2, 1)
        look = entry.get("look", {}).get("skin_tone")
        text = entry["gender"] + (f", tone {look}" if look else "")
        cells.append(_cut_out(person.rgb[0], person.mask[0], text))
    return Image(contact_sheet.grid(cells, min(8, len(cells)))) if cells else Part(charts.nothing())


def scenes(source: DataSetReader, count: int = 8, library: Path | None = None) -> Image | Part:
    """Show windows of the library: the first frame, its superpixels, and the camera's path.

    The path (orange) is the position of the first frame's centre under the camera motion.
    """
    from datagen.backgrounds.library import read_background

    try:
        _, folder = pictures.library_folders(source, library)
    except BadInput as error:
        return _nothing(str(error))
    cells = []
    lines = [
        line for line in source.latest("backgrounds", "name") if (folder / line["file"]).exists()
    ]
    for index in contact_sheet.evenly(len(lines), count):
        scene = read_background(folder / lines[index]["file"], 0)
        picture = _with_segments(scene.frames[0], scene.segments[0])
        height, width = picture.shape[:2]
        centre = np.array([(width - 1) / 2, (height - 1) / 2, 1])
        path = (scene.motion @ centre).round().astype(np.int32)
        cv2.polylines(picture, [path[:, None]], False, (255, 140, 0), 2, cv2.LINE_AA)
        cells += [scene.frames[0], contact_sheet.caption(picture, lines[index]["name"])]
    return Image(contact_sheet.grid(cells, min(4, len(cells)))) if cells else Part(charts.nothing())


def shapes(summary: Summary) -> Part:
    """Show the people's first two betas, and a table of all betas."""
    names = ("First beta", "Second beta")
    cards = [
        page.card(name, "Of SMPL-like bodies; drawn from the standard normal.", charts.histogram(h))
        for name, h in zip(names, summary.people.shapes, strict=True)
    ]
    return Part(f'<div class="cards">{"".join(cards)}</div>')


def rejected(source: DataSetReader, limit: int = 20) -> Part:
    """Show videos with rejected windows, with positions and reasons; the first `limit`."""
    lines = (line for line in source.latest("backgrounds", "name") if line.get("rejected"))
    rows = []
    for line in islice(lines, limit):
        windows = line.get("rejected_windows", [])
        where = ", ".join(f"{window['reason']} at frame {window['start']}" for window in windows)
        where = where or ", ".join(f"{why} {count}" for why, count in line["rejected"].items())
        rows.append((line["name"], len(line["windows"]), where))
    if not rows:
        return _nothing("No window of the used videos was rejected.")
    return Part(charts.table(("video", "windows used", "rejected"), rows, (1,)))


def _nothing(why: str) -> Part:
    return Part(f'<p class="nothing">{escape(why)}</p>')


def _with_segments(frame: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Return the frame with white lines between its segments."""
    height, width = frame.shape[:2]
    labels = cv2.resize(segments, (width, height), interpolation=cv2.INTER_NEAREST)
    edge = np.zeros((height, width), bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    picture = frame.copy()
    picture[edge] = 255
    return picture


def _cut_out(rgb: np.ndarray, mask: np.ndarray, text: str, side: int = 160) -> np.ndarray:
    """Return the person on white, as large as the square allows, below a caption.

    Without a person, it is the whole frame.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    white = np.where(mask[..., None], rgb, 255).astype(np.uint8)
    if len(rows):
        white = white[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = white.shape[:2]
    scale = (side - 24) / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(white, size, interpolation=cv2.INTER_AREA)
    canvas = np.full((side, side, 3), 255, np.uint8)
    top, left = side - size[1] - 2, (side - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    font, ink = cv2.FONT_HERSHEY_SIMPLEX, (70, 70, 70)
    return cv2.putText(canvas, text, (5, 14), font, 0.4, ink, 1, cv2.LINE_AA)
