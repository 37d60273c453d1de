"""Cuts a track's frames into pieces of bounded length, in one pass over the source.

A track of any length is cut into pieces of at most PIECE own frames, each with CONTEXT more frames
of its neighbours on either side. So memory is constant, the picture strip stays within JPEG's
height limit, and a bidirectional model's window around a frame sees the same context as in the
whole track. The neighbours' frames are marked invalid, so each frame of a track counts once; to
join pieces, take the `keep` frames of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from datagen.clips.compositing import crop_frames
from datagen.common.record import STRIP_ROWS
from datagen.footage.track import Track, labels

PIECE = 224
"""Most own frames of a piece: 7.5 s, 4 MB of flow at 224 px."""
CONSTANT = ("betas", "camera", "gravity")
"""Arrays of labels.npz that apply to a whole track."""
CONTEXT = 32
"""Frames of each neighbour: more than half of the longest window (56 frames)."""


@dataclass(frozen=True)
class Span:
    """A piece's frames [begin, end) in its track; its own frames are [first, last)."""

    begin: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Piece:
    """A clip of real footage: the content of a record without flow."""

    frames: np.ndarray
    """uint8 [T+1,S,S,3] RGB; [T,S,S,3] where the track ends."""
    arrays: dict[str, np.ndarray]
    """Arrays of labels.npz, see datagen.common.record."""
    meta: dict[str, Any]
    """meta.json."""


def longest(size: int, *, rgb: bool) -> int:
    """Return the most own frames of a piece with crops of S px; fewer if a strip of large crops
    would exceed JPEG's height."""
    return min(PIECE, STRIP_ROWS // size - 2 * CONTEXT) if rgb else PIECE


def spans(length: int, most: int | None = None) -> list[Span]:
    """Return the pieces of a track, of nearly equal length; their own frames tile it.

    most: most own frames of a piece. Default: PIECE.
    """
    count = max(1, -(-length // (most or PIECE)))
    edges = np.linspace(0, length, count + 1).round().astype(int).tolist()
    return [
        Span(max(0, first - CONTEXT), min(length, last + CONTEXT), first, last)
        for first, last in pairwise(edges)
    ]


def clips_of(length: int, frames: int) -> list[Span]:
    """Return consecutive clips of `frames` frames; the remainder of the track is dropped."""
    starts = range(0, length - frames + 1, frames)
    return [Span(start, start + frames, start, start + frames) for start in starts]


class Cutter:
    """Cuts one track; holds crops only as long as a piece needs them."""

    def __init__(self, track: Track, size: int, diagonal: float, parts: Sequence[Span]) -> None:
        self.track = track
        self.size = size
        self.labels = labels(track, size, diagonal)
        self.parts = list(parts)
        self.place = {int(number): t for t, number in enumerate(track.source)}
        self.crops: list[np.ndarray] = []
        self.first = 0
        """The track's frame at which self.crops begins."""

    def add(self, number: int, frame: UInt8[np.ndarray, "h w 3"]) -> Iterator[Piece]:
        """Add the source's frame `number`; yield the pieces that it completes."""
        t = self.place.get(number)
        if t is None or not self.parts:
            return
        maps = self.labels["crop"][t : t + 1]
        self.crops.append(crop_frames(frame[None], maps, self.size)[0])
        while self.parts and t >= min(self.parts[0].end, len(self.track) - 1):
            yield self.piece(self.parts.pop(0))
            keep = self.parts[0].begin if self.parts else t + 1
            del self.crops[: keep - self.first]
            self.first = max(self.first, keep)

    def piece(self, span: Span) -> Piece:
        """Return a piece of the track with its available crops."""
        part = slice(span.begin, span.end)
        arrays = {
            name: value if name in CONSTANT else value[part] for name, value in self.labels.items()
        }
        own = np.zeros(span.end - span.begin, np.uint8)
        own[span.first - span.begin : span.last - span.begin] = 1
        arrays["valid"] = arrays["valid"] * own
        arrays["crop"] = arrays["crop"].astype(np.float32)
        crops = self.crops[span.begin - self.first : span.end + 1 - self.first]
        meta = {
            **self.track.meta,
            "track": self.track.name,
            "person": self.track.person,
            "frames": [span.begin, span.end],
            "keep": [span.first - span.begin, span.last - span.begin],
            "track_frames": len(self.track),
        }
        frames = np.stack(crops) if crops else np.zeros((0, self.size, self.size, 3), np.uint8)
        return Piece(frames, arrays, meta)


def cut(
    numbered: Iterable[tuple[int, UInt8[np.ndarray, "h w 3"]]], cutters: Sequence[Cutter]
) -> Iterator[Piece]:
    """Yield the pieces of all tracks from a source's (number, frame uint8 [H,W,3]), in order."""
    for number, frame in numbered:
        for cutter in cutters:
            yield from cutter.add(number, frame)


def without_frames(cutters: Sequence[Cutter]) -> Iterator[Piece]:
    """Yield the pieces of all tracks in the same order as `cut`, without pictures."""
    ends = [(min(part.end, len(cutter.track) - 1), cutter) for cutter in cutters
            for part in cutter.parts]  # fmt: skip
    for _, cutter in sorted(ends, key=lambda pair: int(pair[1].track.source[pair[0]])):
        yield cutter.piece(cutter.parts.pop(0))


def flow_of(piece: Piece, estimate: Any) -> Float[np.ndarray, "t 2 h w"]:
    """Return the flow [T,2,h,w] of a piece; the track's last frame repeats the previous flow.

    A single picture has zero flow.
    """
    if len(piece.frames) == 1:
        return estimate(np.repeat(piece.frames, 2, axis=0)) * 0
    flow = estimate(piece.frames)
    missing = len(piece.arrays["valid"]) - len(flow)
    return np.concatenate([flow, np.repeat(flow[-1:], missing, axis=0)]) if missing else flow
