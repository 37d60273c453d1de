"""Checks a data set against its manifest: re-hashes, re-counts and opens every record."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from datagen.common import record
from datagen.common.errors import BadInput
from datagen.common.npz import open_npz, read_npy
from datagen.common.record import Line
from datagen.output import motion_shard, shard
from datagen.output.beside import DAMAGED
from datagen.output.layout import Layout, shard_number
from datagen.output.shard import split

PATIENCE = 3
"""Retries of a shard after a SystemError: numpy reads array headers with CPython's parser, which is
not thread-safe in 3.11 (python/cpython#106905)."""

NOT_FINITE = 0x7C00  # exponent bits of a float16 that is infinite or NaN


def numbers(layout: Layout, dataset: Line, lines: dict[int, Line]) -> list[int]:
    """Return the numbers of the shards that should exist or do exist."""
    if "shards" not in dataset and not dataset.get("real"):
        raise BadInput(f"{layout.dataset} lacks its number of shards; make the data set again")
    # Unusable footage leaves a gap in the shard numbers.
    expected = lines if dataset.get("real") else range(dataset["shards"])
    return sorted({*expected, *lines, *layout.found()})


def published(layout: Layout, dataset: Line) -> dict[int, Line]:
    """Return each shard's manifest line, rebuilt from croissant.json.

    For a data set that was published or copied without its manifests. Raises BadInput if it has no
    croissant.json either, or one that cannot be read.
    """
    try:
        files = json.loads(layout.croissant.read_text())["distribution"]
        return {
            index: {
                "bytes": int(file["contentSize"].split()[0]),
                "sha256": file["sha256"],
                "clips": None if varying(dataset) else dataset["clips_per_shard"],
            }
            for file in files
            if (index := shard_number(file["name"])) is not None
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(
            f"the shards in {layout.shards} cannot be checked: {layout.manifests} has no "
            "shards.jsonl; copy manifests/ along with them"
        ) from None


def problems(
    layout: Layout, numbers: list[int], dataset: Line, lines: dict[int, Line], workers: int = 1
) -> Iterator[tuple[int, str]]:
    """Yield each shard's number and its problem ("" if it has none).

    Args:
        numbers: numbers of the shards to check.
        dataset: the content of dataset.json.
        lines: manifest lines by shard number.
        workers: threads; each holds one shard in memory.
    """

    def look(index: int) -> tuple[int, str]:
        path = layout.shard(index)
        if not {"bytes", "sha256", "clips"} <= lines.get(index, {}).keys():
            return index, f"{path.name} has no line in the manifest"
        for _ in range(PATIENCE):
            try:
                return index, _shard_problem(path, index, dataset, lines[index])
            except SystemError:  # a bug of Python, not damage to the shard
                continue
            except FileNotFoundError:
                return index, f"{path.name} is missing"
        return index, _shard_problem(path, index, dataset, lines[index])

    # Threads suffice: reading and hashing, most of the work, release Python's GIL.
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(look, numbers)


def _shard_problem(path: Path, index: int, dataset: Line, line: Line) -> str:
    data = path.read_bytes()
    if len(data) != line["bytes"]:
        return f"{path.name} holds {len(data)} bytes, not {line['bytes']}"
    if hashlib.sha256(data).hexdigest() != line["sha256"]:
        return f"{path.name} differs from its SHA-256 in the manifest"
    # The bytes are as written; the following checks whether they were correct.
    try:
        return _content_problem(path, index, dataset, line, data)
    except (tarfile.TarError, OSError, *DAMAGED) as error:
        return f"{path.name} cannot be read: {error!s:.200}"


def _content_problem(path: Path, index: int, dataset: Line, line: Line, data: bytes) -> str:
    owners = {line.get("fingerprint") or dataset["fingerprint"]} | shard.owners(data)
    if other := sorted(owners - {dataset["fingerprint"]}):
        return (
            f"{path.name} belongs to the data set with fingerprint {other[0]}, not to this one, "
            f"{dataset['fingerprint']}"
        )
    if line["clips"] != dataset["clips_per_shard"] and not varying(dataset):
        return f"{path.name} holds {line['clips']} clips, not {dataset['clips_per_shard']}"
    records = split(data)
    clips = len(records) if line["clips"] is None else line["clips"]
    names = [shard.key(index, clip) for clip in range(len(records))]
    if list(records) != names or clips != len(records):
        return f"{path.name} holds other keys than {clips} that begin with {shard.key(index, 0)}"
    for name, members in records.items():
        if wrong := _record_problem(members, dataset):
            return f"{path.name}: record {name}: {wrong}"
    return ""


def varying(dataset: Line) -> bool:
    """Return whether the shards may differ in their number of records and records in length."""
    return bool(dataset.get("real") or dataset.get("labels_only"))


def _record_problem(members: dict[str, bytes], dataset: Line) -> str:
    if dataset.get("labels_only"):
        return motion_shard.problem(members, dataset)
    wanted = {"labels.npz", "meta.json"} | ({"rgb.jpg"} if dataset["rgb"] else set())
    wanted |= set() if dataset.get("keypoints_only") else {"flow.npy"}
    if set(members) != wanted:
        return f"members {sorted(members)} instead of {sorted(wanted)}"
    frames, joints = dataset["clip_length"], len(dataset["joints"])
    with open_npz(members["labels.npz"]) as labels:
        arrays = {field: labels.read(field) for field in labels.names}  # the zip checks CRCs
    if dataset.get("real"):
        frames = min(frames, len(arrays["occluded"]))
    if "flow.npy" in members and (wrong := _flow_problem(members["flow.npy"], frames, dataset)):
        return wrong
    names = set(shard.FOOTAGE_LABELS if dataset.get("real") else shard.LABELS)
    free = dataset.get("real") or dataset["config"]["record"] < record.GRAVITY_SINCE
    if not names - set(shard.LATER_LABELS if free else ()) <= set(arrays) <= names:
        return f"labels are {sorted(arrays)}"
    for field in ("joints2d", "joints3d"):
        if arrays[field].shape != (frames, joints, 3):
            return f"{field} has shape {arrays[field].shape}"
    for field, array in arrays.items():
        if not np.isfinite(array).all():
            return f"{field} is not finite"
    if dataset["rgb"] and (size := _jpeg_size(members["rgb.jpg"])) != (
        strip := (frames * dataset["image_size"], dataset["image_size"])
    ):
        return f"rgb.jpg has height and width {size}, not {strip}"
    meta = json.loads(members["meta.json"])
    if not isinstance(meta, dict):
        return "meta.json is not an object"
    seeds = meta.get("seed"), dataset["config"].get("output", {}).get("seed")
    if None not in seeds and seeds[0] != seeds[1]:
        return f"seed {seeds[0]}, not {seeds[1]}: it belongs to another data set"
    return ""


def _flow_problem(data: bytes, frames: int, dataset: Line) -> str:
    side = -(-dataset["image_size"] // dataset["flow"]["stride"])
    flow = read_npy(data)
    if flow.shape != (frames, 2, side, side) or flow.dtype != np.float16:
        return f"flow is {flow.dtype} {flow.shape}"
    if ((flow.view(np.uint16) & NOT_FINITE) == NOT_FINITE).any():  # ten times as fast as isfinite
        return "flow is not finite"
    return ""


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return a JPEG's height and width from its headers. Raises ValueError if it is not a JPEG.

    Decoding the pixels would take a hundred times as long and adds nothing if the SHA-256 matches.
    """
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise ValueError("rgb.jpg is not a complete JPEG")
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xC2:  # start of frame: length, precision, height, width
            return tuple(int.from_bytes(data[i : i + 2], "big") for i in (at + 5, at + 7))  # type: ignore[return-value]
        at += 2 + length
    raise ValueError("rgb.jpg has no frame header")
