"""Checks that the files beside the shards are as they were written.

croissant.json holds the SHA-256 of dataset.json, body.npz and README.md; the newest `card` line of
manifests/shards.jsonl holds that of croissant.json; the line beside each library file holds that of
the library file. These lines, the manifests' lines and config.json each have their own checksum.
Older data sets lack some of these.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen.common import checksum
from datagen.common.files import read_all, sha256, sizes, sweep
from datagen.common.record import Line
from datagen.output import card, fingerprint
from datagen.output.claim import forget
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest, shard_lines

_BODY = re.compile(r"body-[a-z]+\.npz")
DAMAGED = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError,
)  # fmt: skip
"""Exceptions raised by malformed JSON or records."""


def problems(layout: Layout) -> list[str]:
    """Return a sentence for each problem with the files beside the shards.

    Without croissant.json, only dataset.json is checked to be readable. A published data set, which
    has no manifests, is checked against croissant.json alone.
    """
    found = [*_manifests(layout), *(text for _, text in library(layout))]
    if not layout.dataset.exists():
        found.append(f"{layout.dataset.name} is missing")
    if layout.croissant.exists():
        return [*found, *_described(layout)]
    if card.newest(layout):
        found.append(f"{layout.croissant.name} is missing")
    elif layout.dataset.exists():
        try:
            if not checksum.holds(json.loads(layout.dataset.read_text())):
                raise ValueError("it differs from its checksum")
        except DAMAGED as error:
            found.append(f"{layout.dataset.name} is damaged ({error!s:.200})")
    return found


def _described(layout: Layout) -> Iterator[str]:
    """Yield the problems of croissant.json and of the files that it lists."""
    known = card.newest(layout)
    if known and sha256(layout.croissant) != known.get("sha256"):
        yield f"{layout.croissant.name} differs from its SHA-256 in the manifest"
    if not known and Manifest(layout.manifests / "shards.jsonl").checked():
        yield f"shards.jsonl has no line of {layout.croissant.name}"
    try:
        files = json.loads(layout.croissant.read_text())["distribution"]
        digests = {file["name"]: file.get("sha256") for file in files}
        others = (layout.shards / name for name in digests if _BODY.fullmatch(name))
        for path in (layout.dataset, layout.body, layout.card, *others):
            if not path.exists():
                if path != layout.dataset:
                    yield f"{path.name} is missing"
            elif hashlib.sha256(path.read_bytes()).hexdigest() != digests[path.name]:
                yield f"{path.name} differs from its SHA-256 in croissant.json"
    except DAMAGED as error:
        yield f"croissant.json is damaged ({error!s:.200})"


def _manifests(layout: Layout) -> Iterator[str]:
    """Yield the problems of config.json and the manifests."""
    held, known = card.counts(layout), card.newest(layout)
    if layout.config.exists() and not _canonical(layout.config.read_bytes(), bool(held["shards"])):
        yield f"{layout.config.name} differs from its checksum"
    for name in card.LISTS:
        if damaged := Manifest(layout.manifests / f"{name}.jsonl").damaged():
            lines = "line differs from its" if damaged == 1 else "lines differ from their"
            yield f"{name}.jsonl: {damaged} {lines} checksum"
    for name, lines in held.items():
        if isinstance(known.get(name), int) and lines < known[name]:
            yield f"{name}.jsonl has {lines} of {known[name]} lines"
    if lost := unlisted(layout):
        few = ", ".join(f"{index:06d}" for index in lost[:5])
        yield f"bodies.jsonl or backgrounds.jsonl lacks people or scenes of the shards {few}"


def unlisted(layout: Layout) -> list[int]:
    """Return the numbers of the shards whose people or scenes are missing from the manifests."""
    held = {
        field: Manifest(layout.manifests / f"{name}.jsonl").latest("name").keys()
        for name, field in zip(card.LISTS[1:], ("people", "windows"), strict=True)
    }
    return [
        index
        for index, line in sorted(shard_lines(layout).items())
        if any(_made_of(line, field) - listed for field, listed in held.items())
    ]


def _made_of(line: Line, field: str) -> set[str]:
    variety = line.get("variety")
    names = variety.get(field) if isinstance(variety, dict) else None
    return {str(name).rpartition("/")[0] for name in (names if isinstance(names, list) else [])}


def library(layout: Layout) -> Iterator[tuple[Path, str]]:
    """Yield each damaged file of the data set's library, with the reason.

    Missing files are no problem: they are made again when a shard needs them. Lines of older
    releases have no checksum; the manifest, which copies the lines, shows whether one has lost it.
    """
    manifests = (Manifest(layout.manifests / f"{name}.jsonl") for name in card.LISTS[1:])
    listed = {line.get("file"): line for manifest in manifests for line in manifest.checked()}
    for folder in library_folders(layout):
        found = sizes(folder)
        names = sorted(name for name in found if name.endswith(".json"))
        for name, data in zip(names, read_all(folder / name for name in names), strict=True):
            path = (folder / name).with_suffix(".h5")
            if not _canonical(data):
                yield path, f"{folder.name}/{name} differs from its checksum"
                continue
            line = json.loads(data)
            if checksum.FIELD not in line and listed.get(path.name, line) != line:
                yield path, f"{folder.name}/{name} differs from the manifest"
                continue
            if path.name not in found or "sha256" not in line:
                continue
            if found[path.name] != line.get("bytes") or sha256(path) != line["sha256"]:
                yield path, f"{folder.name}/{path.name} differs from its SHA-256"


def library_folders(layout: Layout) -> list[Path]:
    """Return the folders of people and scenes that exist."""
    try:
        config: dict[str, Any] = json.loads(layout.dataset.read_text())["config"]
        return [layout.library / name for name in fingerprint.library_folders(config)]
    except (OSError, *DAMAGED):  # footage, motions without pictures, or a damaged dataset.json
        return []


def tidy(layout: Layout) -> None:
    """Remove leftovers of killed writers, and merge the parts of the manifests."""
    forget(layout)
    for folder in (layout.shards, layout.manifests, *library_folders(layout)):
        sweep(folder)
    for name in (*card.LISTS, "quarantine"):
        Manifest(layout.manifests / f"{name}.jsonl").join()


def clean(layout: Layout) -> None:
    """Remove damaged library files and manifest lines; no launch may be running."""
    for path, text in library(layout):
        print(f"removed {path} ({text}); it is made again when a shard needs it")
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    for name in card.LISTS:
        manifest = Manifest(layout.manifests / f"{name}.jsonl")
        if manifest.damaged():
            manifest.clean()


def _canonical(data: bytes, checked: bool = False) -> bool:
    """Return whether a JSON file is byte for byte what `write_json` writes for its content.

    checked: whether it must have a checksum; files of older releases have none.
    """
    try:
        content = json.loads(data)
        if not isinstance(content, dict):
            return False
        written = (json.dumps(content, indent=1) + "\n").encode()
        older = not checked or checksum.FIELD in content
        return checksum.holds(content) and older and written == data
    except (ValueError, RecursionError):
        return False
