"""The records of one tar file, read front to back.

Shards are plain WebDataset tars. They are read here without webdataset, whose reader passes over
damage in silence: a cut tar yields a sample with a field missing, or fewer samples, without an
error. Here a cut or altered shard is a `Damaged` with its name (and reading is five times as
fast, benchmarks/loader.py).
Letters: T frames, S crop side.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import numpy as np

from trainer.data.dataset import DataSet
from trainer.data.npz import npy_array, npz_arrays

LABELS = "labels.npz"
FLOW = "flow.npy"
RGB = "rgb.jpg"
META = "meta.json"
WHOLE = ("betas", "camera", "gravity")
"""Arrays that belong to a whole clip; all others have a row a frame."""
BLOCK = 512
"""Bytes of a tar block."""
EMPTY = bytes(BLOCK)


class Damaged(Exception):
    """A shard that cannot be read to its end; the message names it and what is wrong."""


@dataclass
class Record:
    """One clip of a shard: its key and where its members lie; `load` reads their bytes."""

    shard: Path
    key: str
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Member → (offset, bytes) in the tar."""
    members: dict[str, bytes] = field(default_factory=dict)
    file: FileIO | None = None
    """The shard while the iteration that found the record keeps it open."""

    def check(self, wanted: frozenset[str]) -> None:
        """Raise Damaged if the record lacks a wanted member; reads nothing."""
        for name in sorted(wanted - self.places.keys()):
            raise Damaged(f"{self.shard}: clip {self.key} has no {name}")

    def load(self, wanted: frozenset[str]) -> Record:
        """Read the wanted members that have not been read; Damaged if bytes are missing."""
        self.check(wanted)
        for name in wanted - self.members.keys():
            offset, size = self.places[name]
            if self.file is not None and not self.file.closed:
                data = os.pread(self.file.fileno(), size, offset)
            else:
                with open(self.shard, "rb", buffering=0) as file:
                    data = os.pread(file.fileno(), size, offset)
            if len(data) != size:
                raise Damaged(f"{self.shard} is cut off inside clip {self.key}")
            self.members[name] = data
        return self


def read_shard(path: Path) -> Iterator[Record]:
    """Yield a shard's records front to back, their members unread; Damaged where it breaks.

    A record's members may be loaded at any time; while the iteration is at the record they
    come from the open file, in file order.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            record: Record | None = None
            for name, offset, size in tar_members(path, file.fileno()):
                key, _, member = name.partition(".")
                if record is None or record.key != key:
                    if record is not None:
                        yield record
                    record = Record(path, key, file=file)
                record.places[member] = (offset, size)
            if record is not None:
                yield record
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error})") from None


def tar_members(path: Path, file: int) -> Iterator[tuple[str, int, int]]:
    """Yield (name, offset, bytes) of a tar's files; Damaged if it is none or is cut off.

    `tarfile` takes longer over its headers than the disk over the clips between them, and takes an
    archive that ends early for a whole one.
    """
    length = os.fstat(file).st_size
    at = 0
    while True:
        header = os.pread(file, BLOCK, at)
        if header == EMPTY:
            return  # the end-of-archive mark
        if len(header) < BLOCK:
            raise Damaged(f"{path} is cut off: it has no end-of-archive mark")
        try:
            size = int(header[124:136].rstrip(b" \0"), 8)
            stored = int(header[148:156].rstrip(b" \0"), 8)
            name = header[:100].partition(b"\0")[0].decode("ascii")
        except ValueError:
            raise Damaged(f"{path} is not a tar at byte {at}") from None
        # The checksum is the sum of the bytes, its own eight taken as blanks; adler32 adds faster.
        added = (zlib.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 8 * 0x20
        if (added - stored) % 65521:
            raise Damaged(f"{path} is not a tar at byte {at}")
        begin = at + BLOCK
        at = begin + -(-size // BLOCK) * BLOCK
        if at > length:
            raise Damaged(f"{path} is cut off inside {name}")
        kind = header[156:157]
        if kind in b"0\0":
            yield name, begin, size
        elif kind == b"L" or (kind == b"x" and b" path=" in os.pread(file, size, begin)):
            raise Damaged(f"{path} has names of more than 100 letters, which are not read")


def decode(record: Record, arrays: frozenset[str], dataset: DataSet) -> dict[str, np.ndarray]:
    """Return the wanted arrays of a loaded record; only members that hold them are touched.

    `flow` float16 [T,2,h,w], `rgb` uint8 [T,3,S,S], and labels by name. `valid` is all ones where
    a record has none, `source` counts up; `time` is missing where it is not known. Damaged if a
    member does not hold what it should.
    """
    try:
        labels = arrays - {"flow", "rgb"}
        out = npz_arrays(record.members[LABELS], labels, optional={"valid", "source", "time"})
        if "flow" in arrays:
            out["flow"] = npy_array(record.members[FLOW])
        if "rgb" in arrays:
            out["rgb"] = _strip(record.members[RGB], dataset.image_size)
    except (ValueError, KeyError, struct.error, zipfile.BadZipFile, OSError) as error:
        raise Damaged(f"{record.shard}: clip {record.key} cannot be decoded ({error})") from None
    frames = len(out["occluded"])
    if "valid" in arrays and "valid" not in out:
        out["valid"] = np.ones(frames, np.uint8)
    if "source" in arrays and "source" not in out:
        out["source"] = np.arange(frames, dtype=np.int32)
    for name, value in out.items():
        if name not in WHOLE and len(value) != frames:
            raise Damaged(
                f"{record.shard}: clip {record.key} has {len(value)} frames of {name}, not {frames}"
            )
    return out


def members_of(arrays: frozenset[str]) -> frozenset[str]:
    """Return the tar members that hold the wanted arrays; pictures are left unread if unwanted."""
    held = {"flow": FLOW, "rgb": RGB}
    return frozenset({held.get(name, LABELS) for name in arrays} | {LABELS})


def _strip(data: bytes, size: int) -> np.ndarray:
    """Return the crops uint8 [T, 3, S, S] of a JPEG strip [T·S, S]."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if pixels.shape[1] != size or pixels.shape[0] % size:
        raise ValueError(f"the picture strip is {pixels.shape[:2]}, not a column of {size} squares")
    return np.ascontiguousarray(pixels.reshape(-1, size, size, 3).transpose(0, 3, 1, 2))
