"""Random damage to a data set: is each found by datagen.verify, and by the trainer alone?

    PYTHONPATH=. python tests/reliability/damage.py --count 10000 --seed 0 --seconds 900
    PYTHONPATH=. python tests/reliability/damage.py --beside --count 10000 --seed 0

With --beside it is the library and all files beside the shards that are damaged. Of these the
trainer reads dataset.json, body.npz and croissant.json: it has missed a damage if it refuses
nothing and opens another data set or body.

Damage: a flipped bit, a cut, two parts exchanged, a block of zeros, a part moved or doubled, bytes
added, a shard in another's place, a shard of another seed. The trainer counts as having found one
if it names the shard; it has missed one if it names nothing and yields anything else than every
clip with its exact bytes. Prints one line of figures; the exit status is 1 if anything was missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tiny

from datagen.clips.options import ClipsConfig
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import describe
from datagen.output import beside, check, dataset, shard
from datagen.output.layout import Layout
from datagen.output.manifest import shard_lines
from datagen.output.options import OutputConfig
from trainer.data.dataset import open_dataset
from trainer.data.records import Damaged, decode, read_shard
from trainer.errors import BadInput
from trainer.model.body import BodyJoints, read_body

T, S, CLIPS, SHARDS = 3, 16, 3, 3
ARRAYS = frozenset({"flow", "joints2d", "joints3d", "visibility", "occluded", "valid", "pose"})
OF_BYTES = ("bit", "bits", "cut", "swap", "block", "zeros", "move", "add")
KINDS = (*OF_BYTES, "exchange", "seed")
READ = ("dataset.json", "body.npz", "croissant.json")
"""Files beside the shards that the trainer reads."""

Clips = dict[str, dict[str, bytes]]


def configuration(seed: int) -> LaunchConfig:
    """Return the options of a small data set."""
    return LaunchConfig(
        clips=ClipsConfig(clip_length=T, image_size=S),
        output=OutputConfig(num_shards=SHARDS, clips_per_shard=CLIPS, seed=seed),
    )


def records(index: int, seed: int) -> Any:
    """Yield a shard's records, of noise."""
    rng = np.random.default_rng([seed, index])
    for clip in range(CLIPS):
        arrays = {
            "joints2d": rng.normal(size=(T, 38, 3)).astype(np.float32),
            "visibility": rng.integers(0, 3, (T, 38)).astype(np.uint8),
            "joints3d": rng.normal(size=(T, 38, 3)).astype(np.float32),
            "pose": rng.normal(size=(T, 72)).astype(np.float32),
            "betas": rng.normal(size=10).astype(np.float32),
            "trans": rng.normal(size=(T, 3)).astype(np.float32),
            "gravity": np.array([0, 1, 0], np.float32),
            "occluded": np.zeros(T, np.uint8),
            "crop": rng.normal(size=(T, 2, 3)).astype(np.float32),
            "offsets": rng.normal(size=(T, 2)).astype(np.float32),
            "camera": np.eye(3, dtype=np.float32),
        }
        frames = rng.integers(0, 256, (T + 1, S, S, 3), dtype=np.uint8)
        flow = rng.normal(size=(T, 2, S // 4, S // 4)).astype(np.float16)
        meta = {"k": clip, "padding": "x" * int(rng.integers(600))}
        yield shard.members(shard.key(index, clip), frames, arrays, flow, meta, rgb=True)


def write(folder: Path, seed: int) -> tuple[Layout, dict[int, Any]]:
    """Write a data set; return its layout and manifest lines."""
    layout, lines = Layout(folder), {}
    layout.shards.mkdir(parents=True)
    content = describe(configuration(seed), "dis", 4, SHARDS * CLIPS)
    dataset.write(layout, content)
    layout.body.write_bytes(b"a body")
    for index in range(SHARDS):
        written = shard.write(layout.shard(index), records(index, seed), content["fingerprint"])
        lines[index] = {"shard": index, **written}
    return layout, lines


def spoiled(kind: str, data: bytes, rng: np.random.Generator) -> bytearray:
    """Return a shard's bytes damaged."""
    out, length = bytearray(data), len(data)
    if kind == "block" and length < 2048:
        kind = "swap"

    def piece(most: int = 3000) -> slice:
        size = int(rng.integers(1, min(most, length // 2)))
        begin = int(rng.integers(length - size))
        return slice(begin, begin + size)

    if kind in ("bit", "bits"):
        for _ in range(1 if kind == "bit" else int(rng.integers(2, 9))):
            out[rng.integers(length)] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del out[int(rng.integers(length)) :]
    elif kind == "swap":  # two parts of the same size
        size = int(rng.integers(1, min(2000, length // 2)))
        a, b = (int(rng.integers(length - size)) for _ in range(2))
        out[a : a + size], out[b : b + size] = data[b : b + size], data[a : a + size]
    elif kind == "block":  # two or more whole blocks of the tar change places
        count = int(rng.integers(1, min(12, length // 1024))) * 512
        a, b = (int(rng.integers((length - count) // 512)) * 512 for _ in range(2))
        out[a : a + count], out[b : b + count] = data[b : b + count], data[a : a + count]
    elif kind == "zeros":  # a sector that reads as nothing
        place = piece()
        aligned = bool(rng.integers(2))
        begin = place.start // 512 * 512 if aligned else place.start
        stop = begin + (512 * int(rng.integers(1, 9)) if aligned else place.stop - place.start)
        out[begin : min(stop, length)] = bytes(min(stop, length) - begin)
    elif kind == "move":  # a part is lost, or comes twice
        place = piece()
        out = (
            out[: place.start] + out[place.stop :]
            if rng.integers(2)
            else out[: place.stop] + out[place.start :]
        )
    else:
        out += rng.bytes(int(rng.integers(1, 3000)))
    return out


def seen(path: Path, trainers: Any) -> tuple[str, Clips]:
    """Return the trainer's error for a shard ("" for none) and all that it yields."""
    found: Clips = {}
    (one,) = (one for one in trainers.shards if one.place == path)
    try:
        for record in read_shard(one):
            record.load(frozenset(record.places))
            decode(record, ARRAYS, trainers)
            found[record.key] = dict(record.members)
    except Damaged as error:
        return str(error), found
    return "", found


def run(count: int, seed: int, seconds: float) -> dict[str, Any]:
    """Damage shards one after the other; return the figures."""
    began, rng = time.monotonic(), np.random.default_rng(seed)
    tries, named, missed = Counter[str](), Counter[str](), []
    with tempfile.TemporaryDirectory() as temporary:
        layout, lines = write(Path(temporary) / "a", 0)
        other, _ = write(Path(temporary) / "b", 1)
        content, trainers = dataset.read(layout), open_dataset(layout.shards)
        whole = {index: layout.shard(index).read_bytes() for index in range(SHARDS)}
        clips = {index: shard.split(data) for index, data in whole.items()}
        for index in whole:
            assert seen(layout.shard(index), trainers) == ("", clips[index])
        for case in range(count):
            if time.monotonic() - began > seconds:
                break
            kind, index = KINDS[case % len(KINDS)], int(rng.integers(SHARDS))
            if kind == "exchange":
                data = whole[(index + int(rng.integers(1, SHARDS))) % SHARDS]
            elif kind == "seed":
                data = other.shard(index).read_bytes()
            else:
                data = bytes(spoiled(kind, whole[index], rng))
            if data == whole[index]:
                continue  # two equal parts changed places
            tries[kind] += 1
            path = layout.shard(index)
            path.write_bytes(data)
            ((_, problem),) = check.problems(layout, [index], content, lines)
            fault, found = seen(path, trainers)
            named[kind] += bool(fault)
            if not problem:
                missed.append(("verify", kind, case))
            if not fault and found != clips[index]:
                missed.append(("trainer", kind, case))
            path.write_bytes(whole[index])
    spent = time.monotonic() - began
    return {
        "damages": sum(tries.values()), "missed": missed, "seconds": round(spent, 1),
        "named_by_trainer": {kind: f"{named[kind]}/{tries[kind]}" for kind in tries},
    }  # fmt: skip


def opened(folder: Path) -> tuple[str, Any]:
    """Return what the trainer says of a data set, "" for nothing, and what it opens."""
    try:
        found = open_dataset(folder)
        body = BodyJoints(read_body(folder / "body.npz")).state_dict()
        shards = tuple(replace(one, size=None) for one in found.shards)  # croissant.json's
        return "", (
            repr(replace(found, shards=shards)),
            {name: value.numpy().tobytes() for name, value in body.items()},
        )
    except BadInput as error:
        return str(error), None


def run_beside(count: int, seed: int, seconds: float) -> dict[str, Any]:
    """Damage the library and the files beside the shards; return the figures."""
    began, rng = time.monotonic(), np.random.default_rng(seed)
    tries, named, missed = Counter[str](), Counter[str](), []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        options = [*tiny.options(root / "motions", 2), "--backend", "serial", "--out"]
        tiny.run("datagen.launch", [*options, str(root / "shards")], root / "log")
        layout = Layout(root / "shards")
        content, whole = dataset.read(layout), opened(layout.shards)
        numbers = check.numbers(layout, content, shard_lines(layout))

        def said() -> bool:
            """Return whether verify finds anything."""
            lines = shard_lines(layout)
            found = beside.problems(layout) or check.problems(layout, numbers, content, lines)
            return any(not isinstance(one, tuple) or one[1] for one in found)

        assert not said() and not whole[0], whole
        files = [path for path in sorted(root.rglob("*")) if targeted(path, root)]
        for case in range(count):
            if time.monotonic() - began > seconds:
                break
            kind, path = KINDS[case % len(OF_BYTES)], files[int(rng.integers(len(files)))]
            before = path.read_bytes()
            data = bytes(spoiled(kind, before, rng))
            if data == before:
                continue
            what = path.name if path.parent.parent.name != "library" else f"library {path.suffix}"
            tries[what] += 1
            path.write_bytes(data)
            if not said():
                missed.append(("verify", what, kind, case))
            if what in READ:
                refused, found = opened(layout.shards)
                named[what] += bool(refused)
                if not refused and found != whole[1]:
                    missed.append(("trainer", what, kind, case))
            path.write_bytes(before)
    return {
        "damages": sum(tries.values()), "missed": missed, "tries": dict(tries),
        "named_by_trainer": dict(named), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def targeted(path: Path, root: Path) -> bool:
    """Return whether a file is one of those that --beside damages."""
    return path.is_file() and path.suffix != ".tar" and path.parent not in (root, root / "motions")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--beside", action="store_true", help="what is beside the shards")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=900)
    options = parser.parse_args()
    figures = (run_beside if options.beside else run)(options.count, options.seed, options.seconds)
    print(figures)
    return bool(figures["missed"])


if __name__ == "__main__":
    sys.exit(main())
