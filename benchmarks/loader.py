"""Reading shards: the trainer's loader, against plain webdataset and against plain `tarfile`.

    python -m benchmarks.loader  [--shards DIR]

Work: the batches that flow+keypoints training needs (flow and labels decoded, stacked into
tensors), from shards that also hold pictures. The baseline reads the same tars through webdataset
with its own decoders for the same members (pictures left undecoded) and stacks them alike. The
ceiling is `tarfile` reading every member's bytes and throwing them away. All in turns, in one run,
from a warm page cache, each clocked from its first batch on; the best of the rounds counts. Of two
workers, webdataset's are processes and ours threads.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from torch.utils.data import DataLoader

from trainer.data.dataset import DataSet, open_dataset
from trainer.data.loader import Loader, Stream, collate, wanted_arrays

SHARDS, CLIPS, FRAMES, SIZE, STRIDE, JOINTS = 4, 32, 31, 224, 4, 38
BATCH = 8
ROUNDS = 3
PASSES = 5
"""Passes over the shards in a round."""
KEPT = ("joints2d", "joints3d", "visibility", "occluded")


def write_shards(folder: Path) -> None:
    """Write shards of noise in the record's shapes and of its usual sizes."""
    rng = np.random.default_rng(0)
    cells = SIZE // STRIDE
    labels = {
        "joints2d": rng.normal(100, 30, (FRAMES, JOINTS, 3)).astype(np.float32),
        "visibility": rng.integers(0, 3, (FRAMES, JOINTS)).astype(np.uint8),
        "joints3d": rng.normal(0, 1, (FRAMES, JOINTS, 3)).astype(np.float32),
        "pose": rng.normal(0, 1, (FRAMES, 72)).astype(np.float32),
        "betas": rng.normal(0, 1, 10).astype(np.float32),
        "trans": rng.normal(0, 1, (FRAMES, 3)).astype(np.float32),
        "occluded": np.zeros(FRAMES, np.uint8),
        "crop": rng.normal(0, 1, (FRAMES, 2, 3)).astype(np.float32),
        "offsets": rng.normal(0, 1, (FRAMES, 2)).astype(np.float32),
        "camera": np.eye(3, dtype=np.float32),
    }
    packed = io.BytesIO()
    np.savez(packed, **labels)  # type: ignore[arg-type]
    for shard in range(SHARDS):
        with tarfile.open(folder / f"shard-{shard:06d}.tar", "w") as tar:
            for clip in range(CLIPS):
                flow = io.BytesIO()
                np.save(flow, rng.normal(0, 3, (FRAMES, 2, cells, cells)).astype(np.float16))
                members = {
                    "flow.npy": flow.getvalue(),
                    "labels.npz": packed.getvalue(),
                    "meta.json": b"{}",
                    "rgb.jpg": rng.bytes(320_000),  # never decoded here
                }
                for name, data in members.items():
                    info = tarfile.TarInfo(f"{shard:06d}_{clip:04d}.{name}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    np.savez(folder / "body.npz")
    metadata = {
        "version": 1, "fingerprint": "noise", "clip_length": FRAMES, "image_size": SIZE,
        "joints": [f"j{i}" for i in range(JOINTS)], "keypoints": list(range(24, 36)),
        "evaluation_joints": list(range(24, 38)), "mirror": list(range(JOINTS)),
        "flow": {"name": "noise", "stride": STRIDE}, "rgb": True, "fps": 30,
        "body": "body.npz", "clips": SHARDS * CLIPS, "clips_per_shard": CLIPS,
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(metadata))


def raw(dataset: DataSet) -> Iterator[int]:
    """Read every byte of every member with `tarfile`; yield the clips passed."""
    for path in dataset.shards * PASSES:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                file = tar.extractfile(info)
                assert file is not None
                file.read()
                yield int(info.name.endswith(".flow.npy"))


def plain_stream(dataset: DataSet) -> Any:
    """Return webdataset's own pipeline to the same batches."""

    def arrays(sample: dict) -> dict[str, np.ndarray]:
        labels = sample["labels.npz"]
        return {"flow": sample["flow.npy"], **{name: labels[name] for name in KEPT}}

    def stack(samples: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        return collate([{name: sample[name] for name in ("flow", *KEPT)} for sample in samples])

    wds: Any = webdataset  # its stages are made at import time, where a type checker is blind
    return wds.DataPipeline(
        wds.SimpleShardList([str(path) for path in dataset.shards * PASSES]),
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        wds.decode(only=["flow.npy", "labels.npz"]),
        wds.map(arrays),
        wds.batched(BATCH, collation_fn=stack),
    )


def plain(dataset: DataSet, workers: int) -> Iterator[int]:
    """Read all shards through webdataset; yield the clips of each batch."""
    loader = DataLoader(plain_stream(dataset), batch_size=None, num_workers=workers)
    return (len(batch["flow"]) for batch in loader)


def ours(dataset: DataSet, workers: int) -> Iterator[int]:
    """Read as many clips through the trainer's loader; yield the clips of each batch."""
    stream = Stream(
        dataset=dataset,
        arrays=wanted_arrays("flow+keypoints"),
        frames=dataset.clip_length,
        spacing=1,
        batch_size=BATCH,
        seed=0,
        shuffle=64,
        on_damage="stop",
    )
    batches = islice(iter(Loader(stream, workers=workers)), PASSES * dataset.clips // BATCH)
    return (len(delivered.keys) for delivered in batches)


def best(readers: dict[str, Callable[[], Iterator[int]]]) -> dict[str, float]:
    """Return each reader's best clips/s over rounds that take turns.

    The clock starts with the first batch: what a reader keeps ahead (the shuffle buffer, prefetched
    batches) is as full then as at the end, so that every clip read is counted once.
    """
    speed = dict.fromkeys(readers, 0.0)
    for _ in range(ROUNDS):
        for name, read in readers.items():
            clips = iter(read())
            next(clips)
            began = time.perf_counter()
            count = sum(clips)
            speed[name] = max(speed[name], count / (time.perf_counter() - began))
    return speed


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, help="shards to read instead of noise")
    given = parser.parse_args().shards
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given or Path(temporary)
        if given is None:
            write_shards(folder)
        dataset = open_dataset(folder)
        speed = best(
            {
                "tarfile": lambda: raw(dataset),
                "webdataset": lambda: plain(dataset, 0),
                "trainer": lambda: ours(dataset, 0),
                "webdataset, 2 workers": lambda: plain(dataset, 2),
                "trainer, 2 workers": lambda: ours(dataset, 2),
            }
        )
    for name, clips in speed.items():
        print(f"{name:26} {clips:8.0f} clips/s")
    print(f"of the raw read            {speed['trainer'] / speed['tarfile']:8.0%}")
    print(
        json.dumps(
            {
                "name": "Reading shards for flow+keypoints (against webdataset)",
                "ours": round(speed["trainer"], 1),
                "baseline": round(speed["webdataset"], 1),
                "ratio": round(speed["trainer"] / speed["webdataset"], 3),
                "unit": "clips/s",
                "raw_tarfile": round(speed["tarfile"], 1),
                "share_of_raw": round(speed["trainer"] / speed["tarfile"], 3),
                "two_workers": [
                    round(speed["trainer, 2 workers"], 1),
                    round(speed["webdataset, 2 workers"], 1),
                ],
            }
        )
    )


if __name__ == "__main__":
    main()
