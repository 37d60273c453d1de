"""Reading shards: the trainer's loader compared with webdataset, `tarfile`, plain reads and `curl`.

    python -m benchmarks.loader  [--clips 32 --rounds 3] [--shards DIR] [--s3]

Work: the batches that flow+keypoints training needs (flow and labels decoded, stacked into
tensors), from shards that also hold pictures. The baseline reads the same tars through webdataset
with its own decoders for the same members (pictures left undecoded) and stacks them alike. The
upper bounds read every byte and discard it: `tarfile`, a plain sequential read, and curl from the
same server. All alternate in one run with a warm page cache, each timed from its first batch; the
best round counts. With two workers, webdataset uses processes and ours threads. Memory is kept
between batches as in trainer.fit on a CPU.

With a cold cache, an epoch and a plain read are compared in bytes per second: before each, the
shards are dropped from the page cache (posix_fadvise), and the bytes then read from disk are taken
from /proc/self/io. If the pages cannot be dropped (a file system in memory), this figure is left
out.

Sources: the folder, an HTTP server on this machine (a separate process that uses sendfile), that
server through a warm cache, and with --s3 a bucket of moto (`pip install s3fs moto[server]`). The
cost of checksums is measured on the same shards without checksums.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from torch.utils.data import DataLoader

from trainer.common.device import keep_memory
from trainer.data.cache import ShardCache
from trainer.data.dataset import DataSet, open_dataset
from trainer.data.loader import Loader, collate, wanted_arrays
from trainer.data.records import LAST, checksum
from trainer.data.store import Store
from trainer.data.stream import Stream

SHARDS, FRAMES, SIZE, STRIDE, JOINTS = 4, 31, 224, 4, 38
BATCH = 8
PASSES = 5
"""Passes over the shards in a round."""
KEPT = ("joints2d", "joints3d", "visibility", "occluded")
BLOCK = 1 << 20

SERVER = """
import http.server, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): ...
    def do_GET(self):
        path = os.path.join(sys.argv[1], os.path.basename(self.path))
        if not os.path.isfile(path):
            return self.send_error(404)
        with open(path, "rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def write_shards(folder: Path, clips: int, *, checked: bool) -> Path:
    """Write shards of noise with the shapes and usual sizes of records."""
    folder.mkdir(parents=True)
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
            for clip in range(clips):
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
                    if checked:
                        last = clip == clips - 1 and name == "rgb.jpg"
                        info.uname = checksum(data) + (LAST if last else "")
                    tar.addfile(info, io.BytesIO(data))
    np.savez(folder / "body.npz")
    metadata = {
        "version": 1, "fingerprint": "noise", "clip_length": FRAMES, "image_size": SIZE,
        "joints": [f"j{i}" for i in range(JOINTS)], "keypoints": list(range(24, 36)),
        "evaluation_joints": list(range(24, 38)), "mirror": list(range(JOINTS)),
        "flow": {"name": "noise", "stride": STRIDE}, "rgb": True, "fps": 30, "shards": SHARDS,
        "body": "body.npz", "clips": SHARDS * clips, "clips_per_shard": clips,
        "joint_regressor": {"name": "none", "sha256": ""}, "config": {"record": 3 * checked},
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(metadata))
    return folder


def raw(paths: list[Path]) -> Iterator[int]:
    """Read every byte of every member with `tarfile`; yield the number of clips."""
    for path in paths:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                file = tar.extractfile(info)
                assert file is not None
                file.read()
                yield int(info.name.endswith(".flow.npy"))


def sequential(paths: list[Path], clips: int) -> Iterator[int]:
    """Read every byte of every file in large blocks; yield each shard's number of clips."""
    buffer = bytearray(BLOCK)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
        yield clips


def curl(url: str, passes: int, clips: int) -> Iterator[int]:
    """Let curl read every shard to /dev/null; yield each shard's number of clips."""
    for number in [*range(SHARDS)] * passes:
        subprocess.run(
            ["curl", "-s", "-o", "/dev/null", f"{url}/shard-{number:06d}.tar"], check=True
        )
        yield clips


def plain_stream(urls: list[str]) -> Any:
    """Return webdataset's own pipeline for the same batches."""

    def arrays(sample: dict) -> dict[str, np.ndarray]:
        labels = sample["labels.npz"]
        return {"flow": sample["flow.npy"], **{name: labels[name] for name in KEPT}}

    def stack(samples: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        return collate([{name: sample[name] for name in ("flow", *KEPT)} for sample in samples])

    wds: Any = webdataset  # its stages are made at import time, unknown to a type checker
    return wds.DataPipeline(
        wds.SimpleShardList(urls),
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        wds.decode(only=["flow.npy", "labels.npz"]),
        wds.map(arrays),
        wds.batched(BATCH, collation_fn=stack),
    )


def plain(urls: list[str], workers: int) -> Iterator[int]:
    """Read all shards through webdataset; yield the clips of each batch."""
    loader = DataLoader(plain_stream(urls), batch_size=None, num_workers=workers)
    return (len(batch["flow"]) for batch in loader)


def ours(dataset: DataSet, workers: int, passes: int = PASSES) -> Iterator[int]:
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
    batches = islice(iter(Loader(stream, workers=workers)), passes * dataset.clips // BATCH)
    return (len(delivered.keys) for delivered in batches)


def drop_pages(paths: list[Path]) -> bool:
    """Drop files from the page cache; return whether that worked."""
    gone = True
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                os.preadv(file.fileno(), [bytearray(1)], path.stat().st_size // 2, os.RWF_NOWAIT)
                gone = False
            except BlockingIOError:
                pass
            except OSError:  # a file system without this information
                gone = False
    return gone


def from_disk() -> int:
    """Return the bytes that this process has read from disk."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["read_bytes"])


def cold(dataset: DataSet, rounds: int) -> dict[str, dict[str, float]]:
    """Return clips/s and MB/s from disk of a plain read and an epoch; empty if not possible."""
    paths = [Path(str(shard)) for shard in dataset.shards]
    readers: dict[str, Callable[[], Iterator[int]]] = {
        "sequential read, cold": lambda: sequential(paths, dataset.clips_per_shard),
        "trainer, cold": lambda: ours(dataset, 0, passes=1),
    }
    found: dict[str, dict[str, float]] = {}
    for name, read in [*readers.items()] * rounds:
        if not drop_pages(paths):
            return {}
        before, began = from_disk(), time.perf_counter()
        clips = sum(read())
        seconds = time.perf_counter() - began
        one = {"clips/s": clips / seconds, "MB/s": (from_disk() - before) / seconds / 1e6}
        found[name] = max(found.get(name, one), one, key=lambda f: f["clips/s"])
    return found


def best(readers: dict[str, Callable[[], Iterator[int]]], rounds: int) -> dict[str, float]:
    """Return each reader's best clips/s over alternating rounds.

    Timing starts with the first batch, when a reader's buffers (shuffle buffer, prefetched batches)
    are as full as at the end, so that every clip read is counted once.
    """
    speed = dict.fromkeys(readers, 0.0)
    for _ in range(rounds):
        for name, read in readers.items():
            clips = iter(read())
            next(clips)
            began = time.perf_counter()
            count = sum(clips)
            speed[name] = max(speed[name], count / (time.perf_counter() - began))
    return speed


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Yield the URL of a folder served by an HTTP server in a separate process."""
    server = subprocess.Popen(
        [sys.executable, "-S", "-c", SERVER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """Yield the URL of a moto bucket that holds a folder's files."""
    import fsspec

    port = "5799"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", port], stderr=subprocess.DEVNULL
    )
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    try:
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        for _ in range(120):
            try:
                files.mkdir("motion")
                break
            except Exception:
                time.sleep(0.5)
        for path in folder.iterdir():
            files.put_file(str(path), f"motion/{path.name}")
        yield "s3://motion"
    finally:
        server.terminate()
        server.wait()


def readers_of(stack: ExitStack, folder: Path, work: Path, options: argparse.Namespace) -> Any:
    """Return the readers to measure, by name."""
    dataset = open_dataset(folder)
    clips = dataset.clips_per_shard
    paths = [Path(str(shard)) for shard in dataset.shards] * PASSES
    http = stack.enter_context(serving(folder))
    cached = open_dataset(http, store=Store(ShardCache(work / "cache", 1 << 40)))
    for _ in ours(cached, 0):  # fills the cache
        pass
    readers: dict[str, Callable[[], Iterator[int]]] = {
        "sequential read": lambda: sequential(paths, clips),
        "tarfile": lambda: raw(paths),
        "webdataset": lambda: plain([str(path) for path in paths], 0),
        "trainer": lambda: ours(dataset, 0),
        "webdataset, 2 workers": lambda: plain([str(path) for path in paths], 2),
        "trainer, 2 workers": lambda: ours(dataset, 2),
        "trainer, http": lambda: ours(open_dataset(http), 0),
        "trainer, http, warm cache": lambda: ours(cached, 0),
    }
    if options.shards is None:
        unchecked = open_dataset(write_shards(work / "unchecked", clips, checked=False))
        readers["trainer, no checksums"] = lambda: ours(unchecked, 0)
    if shutil.which("curl"):
        readers["curl"] = lambda: curl(http, PASSES, clips)
        urls = [f"pipe:curl -s {http}/{path.name}" for path in paths]
        readers["webdataset, http"] = lambda: plain(urls, 0)
    if options.s3:
        url = stack.enter_context(bucket(folder))
        readers["trainer, s3 of moto"] = lambda: ours(open_dataset(url), 0)
    return readers


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, help="shards to read instead of noise")
    parser.add_argument("--clips", type=int, default=32, help="clips per shard of noise")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--s3", action="store_true", help="also from a moto bucket")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        work = Path(temporary)
        folder = options.shards or write_shards(work / "noise", options.clips, checked=True)
        speed = best(readers_of(stack, folder, work, options), options.rounds)
        disk = cold(open_dataset(folder), options.rounds)
    for name, clips in speed.items():
        print(f"{name:28} {clips:8.0f} clips/s")
    for name, found in disk.items():
        print(f"{name:28} {found['clips/s']:8.0f} clips/s, {found['MB/s']:.0f} MB/s from the disk")
    speed |= {name: found["clips/s"] for name, found in disk.items()}
    ratios = {
        "of tarfile's read": ("trainer", "tarfile"),
        "of a sequential read": ("trainer", "sequential read"),
        "of one from a cold disk": ("trainer, cold", "sequential read, cold"),
        "http of curl": ("trainer, http", "curl"),
        "http of webdataset's": ("trainer, http", "webdataset, http"),
        "warm cache of local": ("trainer, http, warm cache", "trainer"),
        "with checksums of without": ("trainer", "trainer, no checksums"),
    }
    shares = {
        name: round(speed[a] / speed[b], 3)
        for name, (a, b) in ratios.items()
        if a in speed and b in speed
    }
    for name, share in shares.items():
        print(f"{name:28} {share:8.0%}")
    print(
        json.dumps(
            {
                "name": "Reading shards for flow+keypoints (against webdataset)",
                "ours": round(speed["trainer"], 1),
                "baseline": round(speed["webdataset"], 1),
                "ratio": round(speed["trainer"] / speed["webdataset"], 3),
                "unit": "clips/s",
                "speeds": {name: round(clips, 1) for name, clips in speed.items()},
                "shares": shares,
                "cold_mb_s": {name: round(found["MB/s"]) for name, found in disk.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
