"""A folder of shards as a data set: what dataset.json says, and the records of one tar file.

Shards are plain WebDataset tars. They are read here without webdataset, whose reader passes over
damage in silence: a cut tar yields a sample with a field missing, or fewer samples, without an
error. Here a cut or altered shard is a `Damaged` with its name (and reading is five times as
fast, benchmarks/loader.py).
Letters: T frames, S crop side, J joints.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import FileIO
from pathlib import Path

import numpy as np

from trainer.errors import BadInput
from trainer.inputs import InputSpec

LABELS = "labels.npz"
FLOW = "flow.npy"
RGB = "rgb.jpg"
META = "meta.json"
WHOLE = ("betas", "camera")
"""Arrays that belong to a whole clip; all others have a row a frame."""


class Damaged(Exception):
    """A shard that cannot be read to its end; the message names it and says what is wrong."""


@dataclass(frozen=True)
class DataSet:
    """What dataset.json says of a folder of shards."""

    folder: Path
    shards: tuple[Path, ...]
    clip_length: int
    image_size: int
    joints: tuple[str, ...]
    keypoints: tuple[int, ...]
    evaluation_joints: tuple[int, ...]
    mirror: tuple[int, ...]
    flow_stride: int
    flow_name: str
    rgb: bool
    fps: float
    body: Path
    clips: int
    clips_per_shard: int
    fingerprint: str
    split: str = ""

    def spec(self, inputs: str, image_size: int, *, lift: bool = False) -> InputSpec:
        """Return how this data set's records become the network's input."""
        if "rgb" in inputs and not self.rgb:
            raise BadInput(
                f"{self.folder} holds no pictures, which --inputs {inputs} needs; "
                "make the data set without --no-rgb or choose flow and keypoints."
            )
        return InputSpec(
            inputs=inputs,
            image_size=image_size,
            stored_size=self.image_size,
            flow_stride=self.flow_stride,
            keypoints=self.keypoints,
            mirror=self.mirror,
            lift=lift,
        )

    @property
    def evaluation_names(self) -> tuple[str, ...]:
        """Names of the evaluation joints."""
        return tuple(self.joints[i] for i in self.evaluation_joints)

    def identity(self) -> dict[str, object]:
        """Return what a run must remember of its data to know it again."""
        return identity(self.fingerprint, [shard.name for shard in self.shards])


def identity(fingerprint: str, names: Sequence[str]) -> dict[str, object]:
    """Return what tells data sets apart: dataset.json's fingerprint and the shards by name."""
    return {
        "fingerprint": fingerprint,
        "shards": len(names),
        "names": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }


def open_dataset(folder: Path) -> DataSet:
    """Return the data set in a folder; BadInput if there is none or it lacks what is needed."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is not a folder; point --shards at one that datagen.launch or "
            "datagen.ingest made."
        )
    path = folder / "dataset.json"
    try:
        told = json.loads(path.read_text())
    except OSError:
        raise BadInput(
            f"{folder} has no dataset.json; point --shards at a folder that datagen.launch or "
            "datagen.ingest made."
        ) from None
    except ValueError as error:
        raise BadInput(f"{path} is not valid JSON ({error}); make the data set again.") from None
    if told.get("version") != 1:
        raise BadInput(f"{path} has version {told.get('version')!r}; this trainer reads version 1.")
    shards = tuple(sorted(folder.glob("shard-*.tar")))
    if not shards:
        raise BadInput(f"{folder} holds no shard-*.tar; finish the run that makes them.")
    try:
        return DataSet(
            folder=folder,
            shards=shards,
            clip_length=int(told["clip_length"]),
            image_size=int(told["image_size"]),
            joints=tuple(told["joints"]),
            keypoints=tuple(told["keypoints"]),
            evaluation_joints=tuple(told["evaluation_joints"]),
            mirror=tuple(told["mirror"]),
            flow_stride=int(told["flow"]["stride"]),
            flow_name=str(told["flow"]["name"]),
            rgb=bool(told["rgb"]),
            fps=float(told["fps"]),
            body=folder / told["body"],
            clips=int(told["clips"]),
            clips_per_shard=int(told["clips_per_shard"]),
            fingerprint=str(told["fingerprint"]),
            split=str(told.get("split", "")),
        )
    except (KeyError, TypeError) as error:
        raise BadInput(f"{path} lacks {error}; make the data set again.") from None


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

    A record's members may be loaded at any time; while the iteration stands at the record they
    come from the open file, in the order of the tape.
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


BLOCK = 512
"""Bytes of a tar block."""
EMPTY = bytes(BLOCK)


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
            told = int(header[148:156].rstrip(b" \0"), 8)
            name = header[:100].partition(b"\0")[0].decode("ascii")
        except ValueError:
            raise Damaged(f"{path} is not a tar at byte {at}") from None
        # The checksum is the sum of the bytes, its own eight taken as blanks; adler32 adds faster.
        added = (zlib.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 8 * 0x20
        if (added - told) % 65521:
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
    a record has none, `source` counts up. Damaged if a member does not hold what it should.
    """
    try:
        labels = arrays - {"flow", "rgb"}
        out = npz_arrays(record.members[LABELS], labels, optional={"valid", "source"})
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


def npy_array(data: bytes | memoryview) -> np.ndarray:
    """Return the array of an .npy file, a read-only view of its bytes."""
    if bytes(data[:8]) != b"\x93NUMPY\x01\x00":
        raise ValueError("not an .npy file of version 1.0")
    begin = 10 + int.from_bytes(data[8:10], "little")
    shape, dtype = _npy_header(bytes(data[:begin]))
    return np.frombuffer(data, dtype, offset=begin).reshape(shape)


@lru_cache(maxsize=256)
def _npy_header(header: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """Return (shape, dtype) of an .npy header; a data set has a dozen different ones."""
    stream = io.BytesIO(header)
    np.lib.format.read_magic(stream)
    try:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except SyntaxError as error:
        raise ValueError(f"a broken .npy header: {error}") from None
    if dtype.hasobject or fortran:
        raise ValueError(f"an array of {dtype} in this order is not read")
    return shape, dtype


def npz_arrays(
    data: bytes, names: frozenset[str], optional: set[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the named arrays of an .npz file, KeyError for those it lacks and that must be there.

    Uncompressed ones (np.savez) are views of the bytes, found by the archive's directory and
    checked by its checksums: `zipfile` takes several times as long over a clip's labels.
    """
    wanted = {f"{name}.npy".encode(): name for name in names}
    out: dict[str, np.ndarray] = {}
    end = data.rfind(b"PK\x05\x06")
    if end < 0:
        raise ValueError("an .npz file without a directory")
    count, _, at = struct.unpack_from("<HII", data, end + 10)
    view = memoryview(data)
    for _ in range(count):
        (signature, method, crc, packed, size, name_length, extra, comment, place) = (
            _ENTRY.unpack_from(data, at)
        )
        if signature != 0x02014B50:
            raise ValueError("an .npz file with a broken directory")
        name = wanted.get(data[at + 46 : at + 46 + name_length])
        at += 46 + name_length + extra + comment
        if name is None:
            continue
        if method:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                out[name] = npy_array(archive.read(f"{name}.npy"))
            continue
        skip = struct.unpack_from("<HH", data, place + 26)
        begin = place + 30 + sum(skip)
        content = view[begin : begin + size]
        if packed != size or zlib.crc32(content) != crc:
            raise ValueError(f"{name} does not match its checksum")
        out[name] = npy_array(content)
    missing = names - out.keys() - (optional or set())
    if missing:
        raise KeyError(", ".join(sorted(missing)))
    return out


_ENTRY = struct.Struct("<I6xH4xIIIHHH8xI")
"""Signature, method, CRC, sizes, lengths of name, extra and comment, place of the local header."""


def _strip(data: bytes, size: int) -> np.ndarray:
    """Return the crops uint8 [T, 3, S, S] of a JPEG strip [T·S, S]."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if pixels.shape[1] != size or pixels.shape[0] % size:
        raise ValueError(f"the picture strip is {pixels.shape[:2]}, not a column of {size} squares")
    return np.ascontiguousarray(pixels.reshape(-1, size, size, 3).transpose(0, 3, 1, 2))
