"""Is a data set what its manifest says? Re-hash, re-count, open every record."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datagen.files import sha256
from datagen.output import shard
from datagen.output.layout import Layout

Line = dict[str, Any]


def problems(layout: Layout, dataset: Line, lines: dict[int, Line]) -> Iterator[tuple[int, str]]:
    """Yield, shard by shard, its number and what is wrong with it ("" for nothing).

    Args:
        dataset: the content of dataset.json.
        lines: manifest lines by shard number.
    """
    # Footage that turned out bad leaves a gap in the numbers of the shards.
    expected = lines if dataset.get("real") else range(dataset["shards"])
    for index in sorted({*expected, *lines, *layout.found()}):
        path = layout.shard(index)
        if not path.exists():
            yield index, f"{path.name} is missing"
        elif index not in lines:
            yield index, f"{path.name} has no line in the manifest"
        else:
            yield index, _shard_problem(path, index, dataset, lines[index])


def _shard_problem(path: Path, index: int, dataset: Line, line: Line) -> str:
    if path.stat().st_size != line["bytes"]:
        return f"{path.name} holds {path.stat().st_size} bytes, the manifest says {line['bytes']}"
    if sha256(path) != line["sha256"]:
        return f"{path.name} differs from its SHA-256 in the manifest"
    if line["clips"] != dataset["clips_per_shard"] and not dataset.get("real"):
        return f"{path.name} holds {line['clips']} clips, not {dataset['clips_per_shard']}"
    try:
        records = read(path)
        names = [shard.key(index, clip) for clip in range(line["clips"])]
        if list(records) != names:
            return f"{path.name} holds other keys than {names[0]} … {names[-1]}"
        for name, members in records.items():
            if wrong := _record_problem(members, dataset):
                return f"{path.name}: record {name}: {wrong}"
    except (tarfile.TarError, ValueError, OSError, KeyError) as error:
        return f"{path.name} cannot be read: {error}"
    return ""


def read(path: Path) -> dict[str, dict[str, bytes]]:
    """Return the shard's members by key and name ("flow.npy"), in the tar's order."""
    records: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name, _, field = member.name.partition(".")
            file = tar.extractfile(member)
            records.setdefault(name, {})[field] = file.read() if file else b""
    return records


def _record_problem(members: dict[str, bytes], dataset: Line) -> str:
    wanted = {"flow.npy", "labels.npz", "meta.json"} | ({"rgb.jpg"} if dataset["rgb"] else set())
    if set(members) != wanted:
        return f"members {sorted(members)} instead of {sorted(wanted)}"
    frames, joints = dataset["clip_length"], len(dataset["joints"])
    side = -(-dataset["image_size"] // dataset["flow"]["stride"])
    flow = np.load(io.BytesIO(members["flow.npy"]))
    if dataset.get("real"):
        frames = min(frames, len(flow))
    if flow.shape != (frames, 2, side, side) or flow.dtype != np.float16:
        return f"flow is {flow.dtype} {flow.shape}"
    labels = np.load(io.BytesIO(members["labels.npz"]))
    if set(labels.files) != set(shard.FOOTAGE_LABELS if dataset.get("real") else shard.LABELS):
        return f"labels are {sorted(labels.files)}"
    for field in ("joints2d", "joints3d"):
        if labels[field].shape != (frames, joints, 3):
            return f"{field} has shape {labels[field].shape}"
    for field in ("pose", "joints3d", "joints2d", "trans", "betas"):
        if not np.isfinite(labels[field]).all():
            return f"{field} is not finite"
    if not np.isfinite(flow).all():
        return "flow is not finite"
    json.loads(members["meta.json"])
    return ""
