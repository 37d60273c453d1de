"""Checking a data set: MB per second, and whether 500 edits, truncations and swaps are all found.

    python -m benchmarks.verify          |  a quick look: --shards 2 --edits 20

Ours hashes every byte and opens every record: members, shapes, finite numbers, the labels' CRCs,
the picture's headers. The baseline is the straightforward check, one shard after the other: hash
the file, read the tar, load every array, decode every picture. Both read from the page cache. The
records have realistic sizes and contain noise.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import tyro

from datagen.common.files import sha256
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import describe
from datagen.output import check, shard
from datagen.output.layout import Layout
from datagen.output.options import OutputConfig

T, S = LaunchConfig().clips.clip_length, LaunchConfig().clips.image_size


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure datagen.verify."""

    shards: int = 12
    """Shards in the data set."""
    clips: int = 16
    """Clips per shard."""
    edits: int = 500
    """Single-byte edits, truncations and swaps."""


def main(options: Options) -> None:
    """Print both speeds, how many edits were found, and the JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        output = OutputConfig(num_shards=options.shards, clips_per_shard=options.clips)
        content = describe(LaunchConfig(output=output), "dis", 4, 0)
        lines = {index: write(layout, index, options.clips) for index in range(options.shards)}
        size = sum(line["bytes"] for line in lines.values()) / 1e6
        cores = os.cpu_count() or 1

        def wrong(workers: int, numbers: list[int] | None = None) -> list[int]:
            numbers = numbers or list(lines)
            found = check.problems(layout, numbers, content, lines, workers)
            return [index for index, problem in found if problem]

        speeds: dict[str, float] = {}
        for name, work in {
            "ours": lambda: wrong(cores),
            "ours, one thread": lambda: wrong(1),
            "straightforward": lambda: [straightforward(layout.shard(k), lines[k]) for k in lines],
        }.items():
            times = []
            for _ in range(3):
                began = time.perf_counter()
                assert not any(work())
                times.append(time.perf_counter() - began)
            speeds[name] = size / min(times)
            print(f"{name:<20}{speeds[name]:8.0f} MB/s", flush=True)
        found = sum(edit(layout, case, wrong) for case in range(options.edits))
        print(f"{found} of {options.edits} edits, truncations and swaps found")
        print(
            json.dumps(
                {
                    "name": "Verifying shards (against one after the other)",
                    "ours": round(speeds["ours"]),
                    "baseline": round(speeds["straightforward"]),
                    "ratio": round(speeds["ours"] / speeds["straightforward"], 2),
                    "unit": "MB/s",
                    "one_thread": round(speeds["ours, one thread"]),
                    "found": found,
                    "edits": options.edits,
                }
            )
        )


def write(layout: Layout, index: int, clips: int) -> dict[str, Any]:
    """Write a shard of noise and return its manifest line."""
    rng = np.random.default_rng(index)

    def records():
        for k in range(clips):
            coarse = rng.integers(0, 256, (T + 1, 48, 48, 3), dtype=np.uint8)
            clip = SimpleNamespace(
                frames=np.stack([cv2.resize(frame, (S, S)) for frame in coarse]),
                joints2d=rng.normal(size=(T, 38, 3)).astype(np.float32),
                visibility=rng.integers(0, 3, (T, 38)).astype(np.uint8),
                joints3d=rng.normal(size=(T, 38, 3)).astype(np.float32),
                pose=rng.normal(size=(T, 72)).astype(np.float32),
                betas=rng.normal(size=10).astype(np.float32),
                trans=rng.normal(size=(T, 3)).astype(np.float32),
                gravity=np.array([0, 1, 0], np.float32),
                occluded=np.zeros(T, np.uint8),
                crop=rng.normal(size=(T, 2, 3)).astype(np.float32),
                offsets=rng.normal(size=(T, 2)).astype(np.float32),
                camera=np.eye(3, dtype=np.float32),
            )
            flow = rng.normal(size=(T, 2, S // 4, S // 4)).astype(np.float16)
            yield shard.encode(shard.key(index, k), clip, flow, {"k": k}, rgb=True)  # type: ignore[arg-type]

    path = layout.shard(index)
    shard.write(path, records())
    return {
        "shard": index,
        "clips": clips,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
    }


def straightforward(path: Path, line: dict[str, Any]) -> str:
    """Decode a whole shard and return what is wrong with it."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != line["sha256"]:
        return "hash"
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            data = file.read() if file else b""
            if member.name.endswith(".jpg"):
                picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                if picture is None:
                    return "picture"
            elif member.name.endswith(".json"):
                json.loads(data)
            else:
                loaded = np.load(BytesIO(data))
                arrays = [loaded] if isinstance(loaded, np.ndarray) else list(loaded.values())
                if not all(np.isfinite(array).all() for array in arrays):
                    return "numbers"
    return ""


def edit(layout: Layout, case: int, wrong: Any) -> bool:
    """Damage a shard or swap two; return whether exactly that is found; undo it."""
    rng = np.random.default_rng(case)
    found = list(layout.found())
    index, other = (int(k) for k in rng.choice(found, 2, replace=False))
    before = {k: layout.shard(k).read_bytes() for k in (index, other)}
    data, expected = bytearray(before[index]), [index]
    if case % 4 < 2:
        data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
    elif case % 4 == 2:
        del data[rng.integers(len(data)) :]
    else:
        data, expected = bytearray(before[other]), sorted((index, other))
        layout.shard(other).write_bytes(before[index])
    layout.shard(index).write_bytes(data)
    result = wrong(1, sorted((index, other))) == expected
    for k, content in before.items():
        layout.shard(k).write_bytes(content)
    return result


if __name__ == "__main__":
    main(tyro.cli(Options))
