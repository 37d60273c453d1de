"""Pictures of single clips: contact sheets, and the strip and skeleton for the player.

A clip is drawn from its record alone. If the library is available too, the clip is composed again
with its shard's random draws, to show the person, the scene and the superpixel separately.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Num, UInt8

from datagen.clips import contact_sheet
from datagen.clips.options import ClipsConfig
from datagen.common.errors import BadInput
from datagen.common.record import JOINTS, KEYPOINTS, SMPL_PARENTS, STRIP_ROWS
from datagen.output import fingerprint
from datagen.output.variety import MIRRORED
from datagen.report.reader import DataSetReader, StoredClip

if TYPE_CHECKING:
    from datagen.backgrounds.library import Background
    from datagen.bodies.storage import Person
    from datagen.clips.compose import Clip

# T frames, S side of the stored crop, C side of a picture

CELL = 160
"""Side of one picture in a sheet, pixels."""
FILM = 176
"""Side of one picture of the player, pixels."""
POINTS = [JOINTS.index(name) for name in KEYPOINTS]
SOURCES = ("scene", "person", "superpixel", "clip", "labels", "flow", "heatmaps")
"""Columns of a sources sheet: the paper's Figure 2."""
PANELS = ("picture", "labels", "flow", "heatmaps")
"""Columns of the player's strip, and rows of a clip sheet."""


@dataclass(frozen=True)
class RecomposedClip:
    """A stored clip, its sources, and the clip composed again from them."""

    record: StoredClip
    person: Person
    background: Background
    clip: Clip


def chosen(source: DataSetReader, shards: list[int], count: int) -> Iterator[StoredClip]:
    """Yield about `count` clips: the first ones of shards spread evenly over `shards`."""
    if not shards:
        raise BadInput(
            f"{source.url} has no shards, or no manifests/shards.jsonl that lists them; run python "
            "-m datagen.launch first, or copy manifests/ along"
        )
    places = contact_sheet.evenly(len(shards), count)
    each = math.ceil(count / len(places))
    left = count
    for place in places:
        for record in source.records(shards[place], min(each, left)):
            left -= 1
            yield record


def recompose(
    source: DataSetReader, record: StoredClip, library: Path | None = None
) -> RecomposedClip:
    """Return the clip with its sources, read from the local library.

    Raises BadInput if the clip was not made from a library, or the library is missing.
    """
    from datagen.backgrounds.library import read_background
    from datagen.bodies.storage import read_person
    from datagen.clips.compose import compose
    from datagen.common.seeds import generator

    folders = library_folders(source, library)
    config = ClipsConfig(**source.dataset["config"]["clips"])
    meta, frames = record.meta, config.clip_length + 1
    shard, number = (int(part) for part in record.key.split("_"))
    files = [
        folder / _file(source, kind, meta[key])
        for folder, kind, key in zip(folders, KINDS, ("person", "background"), strict=True)
    ]
    person = read_person(files[0], meta["clip"], meta["start"], frames)
    background = read_background(files[1], meta["window"])
    rng = generator(meta["seed"], shard, number, "compose")
    return RecomposedClip(record, person, background, compose(person, background, config, rng))


KINDS = ("bodies", "backgrounds")
"""Manifests of the two libraries."""


def _file(source: DataSetReader, kind: str, name: str) -> str:
    """Return a library file's name from the manifest or, without one, an embedded source's name."""
    found = f"{name}.h5"
    for line in source.lines(kind):
        if line["name"] == name:
            found = Path(str(line["file"])).name
    return found


def library_folders(source: DataSetReader, library: Path | None = None) -> tuple[Path, Path]:
    """Return the folders of people and scenes. Raises BadInput if they do not exist."""
    config = source.dataset.get("config", {})
    if "bodies" not in config:
        raise BadInput(f"{source.url} was not made from a library of people and scenes")
    root = library or source.layout.library
    people, scenes = (root / name for name in fingerprint.library_folders(config))
    if missing := [str(folder) for folder in (people, scenes) if not folder.is_dir()]:
        raise BadInput(
            f"the library {', '.join(missing)} is missing; give it with --library, "
            "or make the shards again"
        )
    return people, scenes


def sources_sheet(some: list[RecomposedClip]) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the paper's Figure 2, one clip per row; the columns are SOURCES."""
    cells: list[np.ndarray] = []
    for sample in some:
        clip = sample.clip
        t = telling_frame(clip.occluded)
        cells += [
            _square(sample.background.frames[t]),
            contact_sheet.caption(
                _fit(_square(sample.person.rgb[t])),
                str(sample.record.meta["person"]).removesuffix(MIRRORED),
            ),
            contact_sheet.dim(clip.frames[t]) // 2
            + (clip.occluder[t][..., None] // 2).astype(np.uint8),
            contact_sheet.outline(clip.frames[t], clip.occluder[t] > 127),
            *_panels(sample.record, t, clip.frames[t])[1:],
        ]
    return contact_sheet.grid([_fit(cell) for cell in cells], len(SOURCES))


def records_sheet(some: list[StoredClip]) -> UInt8[np.ndarray, "h w 3"]:
    """Draw clips from their records alone, two clips per row; the columns are PANELS twice."""
    cells = [
        _fit(panel)
        for record in some
        for panel in _panels(record, telling_frame(record.labels["occluded"]), None)
    ]
    return contact_sheet.grid(cells, 2 * len(PANELS))


def clip_sheet(
    record: StoredClip, clip: Clip | None = None, columns: int = 8
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a clip over time: rows picture, labels, flow, heatmaps."""
    labels = record.labels
    return contact_sheet.clip_sheet(
        pictures_of(record) if clip is None else clip.frames,
        labels["joints2d"],
        flow=record.flow,
        occluded=labels["occluded"],
        occluder=None if clip is None else clip.occluder,
        columns=columns,
    )


def pictures_of(record: StoredClip) -> UInt8[np.ndarray, "t s s 3"]:
    """Return the crops uint8 [T,S,S,3]; grey ones if the record has no pictures."""
    if record.frames is not None:
        return record.frames
    return np.full((len(record.labels["occluded"]), record.size, record.size, 3), 40, np.uint8)


def telling_frame(occluded: Num[np.ndarray, " t"]) -> int:
    """Return a middle frame that is not totally occluded."""
    shown = np.flatnonzero(occluded == 0)
    return int(shown[len(shown) // 2]) if len(shown) else 0


def _panels(record: StoredClip, t: int, picture: np.ndarray | None) -> list[np.ndarray]:
    """Return a frame's PANELS [S,S,3]."""
    if picture is None:
        picture = np.asarray(pictures_of(record)[t])
    joints = record.labels["joints2d"][t]
    hidden = bool(record.labels["occluded"][t])
    flow = contact_sheet.enlarge(record.flow[t].astype(np.float32), picture.shape[:2])
    panels = [
        picture,
        contact_sheet.skeleton(picture, joints),
        contact_sheet.flow_to_colour(flow, _scale(record)),
        contact_sheet.heat(contact_sheet.dim(picture), joints[POINTS] * (not hidden)),
    ]
    return (
        [contact_sheet.frame(panel, contact_sheet.TOTAL) for panel in panels] if hidden else panels
    )


def _scale(record: StoredClip) -> float:
    """Return the speed, pixels per frame, that is shown fully saturated in a clip's pictures."""
    return contact_sheet.flow_scale(record.flow[:: max(1, len(record.flow) // 8)])


def film(record: StoredClip, side: int = FILM) -> UInt8[np.ndarray, "h w 3"]:
    """Return a clip as a strip [T·2C, 2C, 3]: the four PANELS of each frame, two by two.

    For footage it shows the first frames, as many as fit into a JPEG.
    """
    frames = [
        contact_sheet.grid([_fit(panel, side) for panel in _panels(record, t, None)], 2, gap=0)
        for t in range(min(len(record.labels["occluded"]), STRIP_ROWS // (2 * side)))
    ]
    return np.concatenate(frames)


def player(record: StoredClip, side: int = FILM, fps: float = 30) -> str:
    """Return the HTML of a clip's player: its film, and its 3D skeleton, which can be dragged to
    turn.

    The page needs style.css and, after the last player, player.js.
    """
    joints = np.nan_to_num(record.labels["joints3d"][:, : len(SMPL_PARENTS)].astype(float))
    known = bool(np.ptp(joints))  # footage may have no 3D ground truth
    joints = joints - joints[:, :1].mean(
        axis=0
    )  # keeps the walk, removes the mean distance from the camera
    strip = film(record, side)
    played, frames = len(strip) // (2 * side), len(joints)
    extent = 2.2 * float(np.quantile(np.linalg.norm(joints, axis=-1), 0.99))
    data = {
        "width": 2 * side,
        "height": 2 * side,
        "fps": fps,
        "extent": round(max(extent, 1.0), 3),
        "floor": round(float(np.quantile(joints[..., 1], 0.995)), 3),
        "joints": np.round(joints[:played], 3).tolist(),
        "bones": _bones(),
    }
    body = (
        '<canvas class="body" role="img" aria-label="its skeleton in 3D; drag or use the arrow '
        'keys to turn it"></canvas>'
    )
    return (
        '<div class="player"><div class="stage">'
        '<canvas role="img" aria-label="the clip: picture, labels, flow, heatmaps"></canvas>'
        f"{body if known else ''}</div>"
        '<div class="controls"><button type="button">Play</button>'
        '<input type="range" min="0" value="0" aria-label="frame"><output></output></div>'
        f'<img hidden alt="" src="{data_url(strip)}">'
        f'<script type="application/json">{json.dumps(data)}</script></div>'
        + (f'<p class="hint">The first {played} of {frames} frames.</p>' if played < frames else "")
    )


def _bones() -> list[tuple[int, int, str]]:
    """Return SMPL's bones with their colours: orange the person's left, blue its right."""
    bones = []
    for child, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            side = {"left": contact_sheet.LEFT, "right": contact_sheet.RIGHT}.get(
                JOINTS[child].split("_")[0]
            )
            colour = "#{:02x}{:02x}{:02x}".format(*side) if side else ""
            bones.append((parent, child, colour))
    return bones


def data_url(image: UInt8[np.ndarray, "h w 3"], quality: int = 82) -> str:
    """Return an RGB image as a JPEG data URL."""
    ok, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    assert ok, f"OpenCV could not encode an image of shape {image.shape}"
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


@cache
def part(name: str) -> str:
    """Return the text of style.css or player.js."""
    return files("datagen.report").joinpath(name).read_text()


def _square(image: np.ndarray) -> np.ndarray:
    """Return the image on a grey square."""
    height, width = image.shape[:2]
    side = max(height, width)
    canvas = np.full((side, side, 3), 128, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas


def _fit(image: np.ndarray, side: int = CELL) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
