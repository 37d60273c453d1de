"""The records of one tar file, read front to back.

Shards are plain WebDataset tars. They are read here without webdataset, whose reader ignores damage
silently: a truncated tar yields a sample with a missing field, or fewer samples, without an error.
Here a truncated or altered shard gives a `Damaged` with its name, and reading is five times as fast
(benchmarks/loader.py). In a member's header, the owner's name is the checksum of its bytes and the
group's name the fingerprint of its data set; older shards have neither and are read unchecked.
Letters: T frames, S crop side.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import xxhash

from trainer.data.dataset import DataSet
from trainer.data.npz import npy_array, npz_arrays
from trainer.data.places import Place
from trainer.data.shard import Shard
from trainer.data.store import ShardFile

LABELS = "labels.npz"
FLOW = "flow.npy"
RGB = "rgb.jpg"
META = "meta.json"
WHOLE = ("betas", "camera", "gravity")
"""Arrays of a whole clip; all others have one row per frame."""
BLOCK = 512
"""Bytes of a tar block."""
EMPTY = bytes(BLOCK)
END = 1 << 20
"""Bytes read at a time behind the end-of-archive mark, where nothing may be."""
CHECKSUM, LAST = "xxh3:", ":last"
"""Prefix of a checksum (64 bits of XXH3, hexadecimal), and suffix of a shard's last one."""


class Damaged(Exception):
    """A shard that cannot be read to its end; the message names it and what is wrong."""


class Member(NamedTuple):
    """A file of a tar."""

    name: str
    offset: int
    size: int
    checksum: str
    """Empty if none was written."""
    group: str
    """Fingerprint of its data set; empty if none was written."""


@dataclass
class Record:
    """One clip of a shard: its key and its members' positions; `load` reads their bytes."""

    shard: Shard
    key: str
    places: dict[str, Member] = field(default_factory=dict)
    """Member name → its position in the tar."""
    members: dict[str, bytes] = field(default_factory=dict)
    file: ShardFile | None = None
    """The open shard, while the iteration is at this record."""

    def check(self, wanted: frozenset[str]) -> None:
        """Raise Damaged if the record lacks a wanted member; reads nothing."""
        for name in sorted(wanted - self.places.keys()):
            raise Damaged(f"{self.shard}: clip {self.key} has no {name}")

    def load(self, wanted: frozenset[str]) -> Record:
        """Read the wanted members that have not been read.

        Raises Damaged if bytes are missing or differ from their checksum.
        """
        self.check(wanted)
        for name in wanted - self.members.keys():
            member = self.places[name]
            data = self._read(member)
            if len(data) != member.size:
                raise Damaged(f"{self.shard} is truncated inside clip {self.key}")
            if member.checksum and checksum(data) != member.checksum:
                self.shard.forget()
                raise Damaged(f"{self.shard}: clip {self.key}: {name} differs from its checksum")
            self.members[name] = data
        return self

    def _read(self, member: Member) -> bytes:
        if self.file is not None and not self.file.closed:
            return self.file.read(member.offset, member.size)
        try:
            return self.shard.read(member.offset, member.size)
        except OSError as error:
            raise Damaged(f"{self.shard} cannot be read ({error})") from None

    @property
    def verified(self) -> bool:
        """Whether the labels' bytes have been compared with a checksum."""
        return LABELS in self.places and bool(self.places[LABELS].checksum)


def checksum(data: bytes) -> str:
    """Return the checksum of a member's bytes in the header's format."""
    return CHECKSUM + xxhash.xxh3_64_hexdigest(data)


def read_shard(shard: Shard, ahead: Sequence[Place] = ()) -> Iterator[Record]:
    """Yield a shard's records in file order with members unread; Damaged at the first damage.

    A record's members may be loaded at any time; while the iteration is at the record they
    come from the open file, in file order. ahead: shards that will be read next.
    """
    try:
        with closing(shard.open(ahead)) as file:
            if None not in (file.length, shard.size) and file.length != shard.size:
                raise Damaged(f"{shard} holds {file.length} bytes, not {shard.size}")
            record: Record | None = None
            found = 0
            for member in tar_members(shard, file):
                key, _, name = member.name.partition(".")
                if record is None or record.key != key:
                    if record is not None:
                        yield record
                    refuse_key(shard, key, record)
                    record, found = Record(shard, key, file=file), found + 1
                if name in record.places:
                    raise Damaged(f"{shard}: clip {key} has two {name}")
                refuse_member(shard, member)
                record.places[name] = member
            if record is not None:
                yield record
            if shard.clips is not None and found != shard.clips:
                raise Damaged(f"{shard} holds {found} clips, not {shard.clips}")
    except OSError as error:
        raise Damaged(f"{shard} cannot be read ({error})") from None
    except Damaged:
        shard.forget()
        raise


def refuse_key(shard: Shard, key: str, before: Record | None) -> None:
    """Raise Damaged if a clip's key is out of order or of another shard."""
    if before is not None and key <= before.key:
        raise Damaged(f"{shard}: clip {key} comes after {before.key}")
    if shard.number and key.partition("_")[0] != shard.number:
        raise Damaged(f"{shard} holds clip {key} of another shard")


def refuse_member(shard: Shard, member: Member) -> None:
    """Raise Damaged if a member is of another data set or lacks a required checksum."""
    if member.group and member.group != shard.fingerprint:
        raise Damaged(
            f"{shard}: {member.name} belongs to another data set ({member.group}, not "
            f"{shard.fingerprint})"
        )
    if shard.checked and not member.checksum:
        raise Damaged(f"{shard}: {member.name} has no checksum")


def tar_members(shard: Shard, file: ShardFile) -> Iterator[Member]:
    """Yield a tar's files; Damaged if it is no tar, is truncated, or has data after its end.

    `tarfile` takes longer for the headers than the disk for the clips between them, and it accepts
    an archive that ends early.
    """
    at, last = 0, not shard.checked
    while True:
        header = file.read(at, BLOCK)
        if header == EMPTY:
            break  # the end-of-archive mark
        if len(header) < BLOCK:
            raise Damaged(f"{shard} is truncated: it has no end-of-archive mark")
        try:
            digits = header[124:136].rstrip(b" \0")
            if not digits.isdigit():  # int() would accept a sign
                raise ValueError
            size, stored = int(digits, 8), int(header[148:156].rstrip(b" \0"), 8)
            name, owner, group = (_text(header[a : a + n]) for a, n in _TEXTS)
        except ValueError:
            raise Damaged(f"{shard} is not a tar at byte {at}") from None
        # The checksum is the sum of the bytes with its own eight as blanks; adler32 sums faster.
        added = (zlib.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 8 * 0x20
        if (added - stored) % 65521:
            raise Damaged(f"{shard} is not a tar at byte {at}")
        begin = at + BLOCK
        at = begin + -(-size // BLOCK) * BLOCK
        kind = header[156:157]
        if kind in b"0\0":
            known = owner.removesuffix(LAST) if owner.startswith(CHECKSUM) else ""
            last = owner.endswith(LAST) or not known
            yield Member(name, begin, size, known, group if known else "")
        elif kind == b"L" or (kind == b"x" and b" path=" in file.read(begin, min(size, END))):
            raise Damaged(f"{shard} has names of more than 100 characters, which are not read")
    if not last:
        raise Damaged(f"{shard} ends at byte {at}, before its last member")
    length = at
    while rest := file.read(length, END):
        if rest.count(0) != len(rest):
            raise Damaged(f"{shard} ends at byte {at} although more follows")
        length += len(rest)
    if shard.size is not None and length != shard.size:
        raise Damaged(f"{shard} holds {length} bytes, not {shard.size}")


_TEXTS = ((0, 100), (265, 32), (297, 32))
"""Offset and length of a header's name, owner and group."""


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii")


def decode(record: Record, arrays: frozenset[str], dataset: DataSet) -> dict[str, np.ndarray]:
    """Return the wanted arrays of a loaded record, decoding only the members that hold them.

    `flow` float16 [T,2,h,w], `rgb` uint8 [T,3,S,S], and labels by name. `valid` is all ones where
    a record has none, `source` counts up; `time` is left out where unknown. Damaged if a
    member has wrong content.
    """
    try:
        labels = arrays - {"flow", "rgb"}
        free = {"valid", "source", "time"}
        out = npz_arrays(record.members[LABELS], labels, free, verified=record.verified)
        if "flow" in arrays:
            out["flow"] = npy_array(record.members[FLOW])
        frames = len(out["occluded"])
        if not frames:
            raise ValueError("it has no frames")
        if "rgb" in arrays:
            out["rgb"] = _strip(record.members[RGB], dataset.image_size, frames)
        if "valid" in arrays and "valid" not in out:
            out["valid"] = np.ones(frames, np.uint8)
        if "source" in arrays and "source" not in out:
            out["source"] = np.arange(frames, dtype=np.int32)
        cells = -(-dataset.image_size // max(dataset.flow_stride, 1))
        lengths = {"T": frames, "J": len(dataset.joints), "S": dataset.image_size, "F": cells}
        for name, value in out.items():
            refuse_array(name, value, lengths)
    except Exception as error:  # broken archives, arrays and pictures may raise anything
        raise Damaged(f"{record.shard}: clip {record.key} cannot be decoded ({error})") from None
    return out


SHAPES: dict[str, tuple[int | str, ...]] = {
    "flow": ("T", 2, "F", "F"), "rgb": ("T", 3, "S", "S"), "joints2d": ("T", "J", 3),
    "visibility": ("T", "J"), "joints3d": ("T", "J", 3), "pose": ("T", 72), "betas": (10,),
    "trans": ("T", 3), "gravity": (3,), "occluded": ("T",), "crop": ("T", 2, 3),
    "offsets": ("T", 2), "camera": (3, 3), "valid": ("T",), "source": ("T",),
    "time": ("T",),
}  # fmt: skip
"""Axes of a record's arrays: T frames, J joints, crops of S pixels and F cells of flow."""
NUMBERS = frozenset({"f2", "f4", "f8", "b1", "u1", "i1", "i2", "i4", "i8"})
"""numpy's dtype kinds that a record's arrays may have."""


def refuse_array(name: str, value: np.ndarray, lengths: dict[str, int]) -> None:
    """Raise ValueError if a record's array has a wrong shape or type, or is not finite.

    lengths: lengths of the axes that SHAPES names by letters.
    """
    wanted = tuple(lengths.get(str(axis), axis) for axis in SHAPES[name])
    if value.shape != wanted:
        raise ValueError(f"{name} is {value.shape}, not {wanted}")
    if value.dtype.str[1:] not in NUMBERS or not value.dtype.isnative:
        raise ValueError(f"{name} holds {value.dtype}, not numbers")
    if value.dtype.kind == "f" and not finite(value):
        raise ValueError(f"{name} holds numbers that are not finite")


def finite(value: np.ndarray) -> bool:
    """Return whether a float16, float32 or float64 array has no NaN and no infinity.

    Read as integers, the bits of NaN and infinity are the largest: those of positive numbers from
    +∞ upwards, those of negative numbers from −∞ upwards. Two maxima take a third of the time of
    `isfinite`.
    """
    if not value.size or not value.flags.c_contiguous:
        return bool(np.isfinite(value).all())
    bits = 8 * value.itemsize
    infinite = {16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}[bits]
    whole = value.reshape(-1)
    return bool(
        whole.view(f"i{value.itemsize}").max() < infinite
        and whole.view(f"u{value.itemsize}").max() < infinite + (1 << (bits - 1))
    )


def members_of(arrays: frozenset[str]) -> frozenset[str]:
    """Return the tar members that hold the wanted arrays."""
    held = {"flow": FLOW, "rgb": RGB}
    return frozenset({held.get(name, LABELS) for name in arrays} | {LABELS})


def _strip(data: bytes, size: int, frames: int) -> np.ndarray:
    """Return the crops uint8 [T, 3, S, S] of a JPEG strip [T·S, S], if it has this size."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        if picture.size != (size, frames * size):
            raise ValueError(
                f"the picture strip is {picture.size}, not a column of {frames} squares of {size}"
            )
        pixels = np.asarray(picture.convert("RGB"))
    return np.ascontiguousarray(pixels.reshape(-1, size, size, 3).transpose(0, 3, 1, 2))
