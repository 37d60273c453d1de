"""Video files opened with FFmpeg: they read no other file, their index is bounded by their size.

FFmpeg goes by a file's content, not its name: a text that begins with `ffconcat` is a list of other
files. It builds the whole index of an MP4 before it reads a picture: 240 kB of edits, each of which
plays the same pictures, become 10 GB. Tables as in ISO/IEC 14496-12; FFmpeg reads them wherever
they lie.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from datagen.common.sizes import checked_count

FORMATS = (
    "3gp,asf,av1,avi,dirac,dv,flv,gif,gxf,h264,hevc,ivf,live_flv,m4v,matroska,mjpeg,mov,mp4,mpeg,"
    "mpegts,mpegvideo,mxf,nut,obu,ogg,rm,swf,vc1,vvc,webm,wtv,yuv4mpegpipe"
)
"""FFmpeg's names of formats whose files contain their own pictures."""
MOST = 1 << 25
"""Most pixels of a frame: 8,192 x 4,096."""
EDITS = 1000
"""Most entries of a track's edit list; cameras write one or two."""
PACKED = 32
"""Most samples of sound for one byte of the file."""
DEPTH = 10
INSIDE = frozenset(
    (b"edts", b"mdia", b"mfra", b"minf", b"moof", b"moov", b"mvex", b"stbl", b"traf", b"trak",
     b"udta")
)  # fmt: skip
"""Boxes that contain boxes."""
ENTRIES = {b"stts": 8, b"ctts": 8, b"stss": 4, b"stps": 4, b"stsc": 12, b"stco": 4, b"co64": 8}
"""Bytes of an entry of a table, by its box."""
TABLES = frozenset((*ENTRIES, b"stsz", b"elst", b"trun", b"cmov"))


def open_container(path: Path) -> Any:
    """Return PyAV's container of a video, which decodes pictures of at most MOST pixels.

    Raises ValueError if it has another format or its tables claim more than it can contain,
    FFmpeg's errors and OSError as PyAV does.
    """
    import av

    with path.open("rb") as file:
        check_tables(file, path.stat().st_size)
    limits = {"format_whitelist": FORMATS, "max_pixels": str(MOST)}
    # titles are in any encoding, and are not used here
    return av.open(str(path), metadata_errors="replace", options=limits)


@dataclass
class _Tables:
    """What the tables of a track claim."""

    samples: int = 0
    edits: int = 1
    chunks: int = 0
    runs: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    """First chunk, samples of each chunk from there on, and their description."""
    even: bool = False
    """Whether each sample lasts 1: uncompressed sound, of which FFmpeg joins samples."""


def check_tables(file: BinaryIO, size: int) -> None:
    """Raise ValueError if the tables of an MP4 or QuickTime file of `size` bytes claim more than it
    can contain; other files have no such tables."""
    tracks = [_Tables()]
    _walk(file, (0, size), size, tracks, 0)
    samples = 0
    for track in tracks:
        room = size * (PACKED if track.even else 1)
        checked_count("its list of edits", (track.edits,), EDITS)
        checked_count("its index", (max(track.samples, 1), track.edits), max(room, EDITS))
        checked_count("its index", (_in_chunks(track),), room)
        samples += 0 if track.even else track.samples
    checked_count("its index", (samples,), size)


def _walk(
    file: BinaryIO, place: tuple[int, int], whole: int, tracks: list[_Tables], depth: int
) -> None:
    """Note the tables of the boxes in a part of a file of `whole` bytes."""
    at, stop = place
    while at + 8 <= min(stop, whole):
        file.seek(at)
        head = file.read(16)
        size, kind = struct.unpack_from(">I4s", head)
        begin = at + 8
        if size == 1 and len(head) == 16:
            size, begin = struct.unpack_from(">Q", head, 8)[0], at + 16
        elif size == 0:  # to the end
            size = stop - at
        if size < begin - at:
            return
        end = at + size
        if depth and end > max(stop, whole):  # not merely cut off together with its parent
            raise ValueError(f"its box at byte {at} claims {size} bytes")
        if kind in INSIDE and depth < DEPTH:
            if kind == b"trak":
                tracks.append(_Tables())
            _walk(file, (begin, end), whole, tracks, depth + 1)
        elif kind in TABLES and (end <= whole or kind != b"trun"):
            file.seek(begin)
            _note(kind, file, min(end, whole) - begin, tracks[-1])
        at = end


def _note(kind: bytes, file: BinaryIO, size: int, track: _Tables) -> None:
    """Note a table of `size` bytes at the file's position; ValueError if it claims more entries."""
    what = f"its table {kind.decode()}"
    if kind == b"cmov":
        raise ValueError("its header is compressed, which is not read")
    if size < 8:
        raise ValueError(f"{what} is damaged")
    version, count = struct.unpack(">II", file.read(8))
    if kind in ENTRIES:
        checked_count(what, (count,), (size - 8) // ENTRIES[kind])
    if kind == b"elst":
        track.edits = max(count, 1)
        checked_count(what, (count,), (size - 8) // (20 if version >> 24 == 1 else 12))
    elif kind == b"trun":
        if fields := (version & 0xF00).bit_count():
            checked_count(what, (count,), (size - 8) // (4 * fields))
        track.samples += count
    elif kind == b"stsz":  # its second number is the size of every sample, or 0
        total = int.from_bytes(file.read(4), "big")
        if not count:
            checked_count(what, (total,), (size - 12) // 4)
        track.samples += total
    elif kind in (b"stco", b"co64"):
        track.chunks = count
    elif kind == b"stts":
        track.even = count == 1 and file.read(8)[4:] == b"\0\0\0\1"
    elif kind == b"stsc":
        track.runs = np.frombuffer(file.read(12 * count), ">u4").reshape(-1, 3).astype(np.int64)


def _in_chunks(track: _Tables) -> int:
    """Return how many samples the table of chunks counts."""
    end = track.chunks + 1
    chunks = np.maximum(np.diff(np.minimum(np.r_[track.runs[:, 0], end], end)), 0)
    return sum((chunks * track.runs[:, 1]).tolist())  # each below 2^63, their sum perhaps not
