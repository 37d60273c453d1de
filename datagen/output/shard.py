"""Tar shards: a clip becomes the members of one WebDataset key.

Each member's tar header holds the checksum of its bytes as the owner name (`xxh3:` and the 64-bit
XXH3 hash in hexadecimal, with `:last` appended for a shard's last member) and the fingerprint of
its data set as the group name. Other readers ignore both; the trainer checks both on every read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import xxhash

from datagen.common.files import sha256, whole
from datagen.output import tars

if TYPE_CHECKING:
    from webdataset.writer import TarWriter

    from datagen.clips.compose import Clip

JPEG_QUALITY = 90
LABELS = (
    "joints2d", "visibility", "joints3d", "pose", "betas", "trans", "gravity", "occluded", "crop",
    "offsets", "camera",
)  # fmt: skip
"""Arrays of labels.npz, named like the fields of Clip."""
FOOTAGE_LABELS = (*LABELS, "valid", "source", "time")
"""Arrays of labels.npz in records of real footage."""
LATER_LABELS = ("gravity", "time")
"""Arrays that may be missing: in records before revision 2, and in footage without a known gravity
direction or without frame times."""

LAST = ":last"
"""Suffix of the checksum of a shard's last member; a shard without it is truncated."""

Records = dict[str, dict[str, bytes]]
"""Members by record key and name ("flow.npy"), in the tar's order."""


def key(shard: int, clip: int) -> str:
    """Return the clip's WebDataset key, 000123_0042 (no dots: keys end at the first dot)."""
    return f"{shard:06d}_{clip:04d}"


def encode(
    name: str, clip: Clip, flow: np.ndarray, meta: dict[str, Any], *, rgb: bool
) -> dict[str, Any]:
    """Return the members of one record.

    Args:
        name: the record's key.
        flow: float16 [T, 2, h, w]; totally occluded frames are zeroed after the estimate, as in the
            paper (all feature channels 0).
        rgb: whether to add the T crops as one vertical JPEG strip.
    """
    arrays = {field: getattr(clip, field) for field in LABELS}
    return members(name, clip.frames, arrays, flow, meta, rgb=rgb)


def members(
    name: str,
    frames: np.ndarray,
    arrays: dict[str, np.ndarray],
    flow: np.ndarray | None,
    meta: dict[str, Any],
    *,
    rgb: bool,
) -> dict[str, Any]:
    """Return the members of one record from any kind of source.

    Args:
        name: the record's key.
        frames: uint8 [T or T+1,S,S,3] RGB.
        arrays: content of labels.npz; frames marked in `occluded` are zeroed in flow and picture.
        flow: float16 [T,2,h,w]; None leaves it out.
    """
    hidden = arrays["occluded"].astype(bool)
    record: dict[str, Any] = {"__key__": name}
    if flow is not None:
        flow = flow.copy()
        flow[hidden] = 0
        record["flow.npy"] = _npy(flow)
    record["labels.npz"] = npz(arrays)
    record["meta.json"] = json.dumps(meta, sort_keys=True).encode()
    if rgb:
        shown = frames[: len(hidden)].copy()
        shown[hidden] = 0
        record["rgb.jpg"] = _jpeg(shown.reshape(-1, *shown.shape[2:]))
    return record


def write(path: Path, records: Iterable[dict[str, Any]], fingerprint: str = "") -> dict[str, Any]:
    """Write a shard atomically; return its `clips`, `bytes`, `sha256`, `fingerprint`.

    Members are sorted and have no time stamp, so equal records give equal bytes.

    Args:
        fingerprint: the data set's; at most 31 characters.
    """
    from webdataset.writer import (
        TarWriter,
    )  # imported here, as it imports torch: readers save seconds

    count = 0
    with whole(path) as temporary:
        with (
            open(temporary, "wb") as file,
            TarWriter(file, encoder=False, group=fingerprint, mtime=0) as tar,
        ):
            waiting: dict[str, Any] | None = None
            for record in records:
                if waiting:
                    _add(tar, waiting, last=False)
                waiting, count = record, count + 1
            if waiting:
                _add(tar, waiting, last=True)
        written = {"bytes": temporary.stat().st_size, "sha256": sha256(temporary)}
    return {"clips": count, **written, "fingerprint": fingerprint}


def _add(tar: TarWriter, record: dict[str, Any], *, last: bool) -> None:
    """Write a record's members, sorted by name."""
    fields = sorted(record.keys() - {"__key__"})
    for field in fields:
        tar.user = checksum(record[field]) + (LAST if last and field == fields[-1] else "")
        tar.write({"__key__": record["__key__"], field: record[field]})


def checksum(content: bytes) -> str:
    """Return the checksum of a member's bytes, as its header stores it."""
    return f"xxh3:{xxhash.xxh3_64_hexdigest(content)}"


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(arrays: dict[str, np.ndarray], *, compress: bool = False) -> bytes:
    """Return the arrays as an .npz file without time stamps, so equal arrays give equal bytes."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _jpeg(image: np.ndarray) -> bytes:
    ok, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    assert ok, f"OpenCV could not encode an image of shape {image.shape}"
    return data.tobytes()


def read(path: Path) -> Records:
    """Return the members of the shard at `path`."""
    return split(path.read_bytes())


def owners(data: bytes) -> set[str]:
    """Return the data set fingerprints in the headers of a shard's members; none before revision
    3."""
    return {member.gname for member in tars.members(io.BytesIO(data), len(data))} - {""}


def split(data: bytes) -> Records:
    """Return the members of a shard's bytes; errors as `tars.members`, ValueError for two of a
    name."""
    records: Records = {}
    for member in tars.members(io.BytesIO(data), len(data)):
        name, _, field = member.name.partition(".")
        content = data[member.offset_data : member.offset_data + member.size]
        record = records.setdefault(name, {})
        if field in record:
            raise ValueError(f"record {name} has two {field}")
        record[field] = content
    return records
