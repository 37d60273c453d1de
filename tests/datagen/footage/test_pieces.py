"""A track is cut into pieces: they tile it, join to the whole one, and are all that is held."""

import numpy as np
import pytest
from footage_world import walk

from datagen.footage import pieces as cut
from datagen.footage.track import Track, Truth


@pytest.mark.parametrize("length", [1, 31, 224, 225, 500, 1000])
def test_own_parts_tile_the_track(length):
    parts = cut.spans(length)
    own = [t for part in parts for t in range(part.first, part.last)]
    assert own == list(range(length))
    for part in parts:
        assert part.end - part.begin <= cut.PIECE + 2 * cut.CONTEXT
        assert part.first - part.begin in (part.first, cut.CONTEXT)
        assert part.end - part.last in (length - part.last, cut.CONTEXT)


@pytest.mark.parametrize("size", [16, 224, 227, 228, 300, 682])
def test_a_strip_of_pictures_ends_before_jpeg_does(size):
    most = cut.longest(size, rgb=True)
    assert most >= 32 and (most == cut.PIECE) == (size <= 227)
    assert max(part.end - part.begin for part in cut.spans(1000, most)) * size <= 65_500
    assert cut.longest(size, rgb=False) == cut.PIECE


def test_a_long_track_in_pieces_is_the_whole_one(monkeypatch):
    """Cut small and joined by `keep`, labels, pictures and flow equal those of one piece."""
    points = np.zeros((90, 14, 3), np.float32)
    points[:, :12] = walk(90, speed=1)
    rng = np.random.default_rng(0)
    films = rng.integers(0, 255, (90, 240, 320, 3), np.uint8)
    track = Track("a", "a", np.arange(90, dtype=np.int32), points)

    def estimate(frames):
        return (frames[1:, :4, :4, 0].astype(np.float16)[:, None]).repeat(2, 1)

    def pieces():
        cutter = cut.Cutter(track, 64, 150, cut.spans(90))
        return list(cut.cut(enumerate(films), [cutter]))

    (whole,) = pieces()
    monkeypatch.setattr(cut, "PIECE", 25)
    monkeypatch.setattr(cut, "CONTEXT", 7)
    parts = pieces()
    assert len(parts) == 4

    def joined(of):
        return np.concatenate([of(p)[slice(*p.meta["keep"])] for p in parts])

    for name in ("joints2d", "crop", "source", "occluded"):
        assert (joined(lambda p, n=name: p.arrays[n]) == whole.arrays[name]).all(), name
    assert (joined(lambda p: p.frames) == whole.frames).all()
    flow = cut.flow_of(whole, estimate)
    assert len(flow) == 90 and (flow[-1] == flow[-2]).all()
    assert (joined(lambda p: cut.flow_of(p, estimate)) == flow).all()


def test_neighbours_frames_are_invalid(monkeypatch):
    monkeypatch.setattr(cut, "PIECE", 25)
    monkeypatch.setattr(cut, "CONTEXT", 7)
    points = np.zeros((60, 14, 3), np.float32)
    points[:, :12] = walk(60)
    truth = Truth(np.ones((60, 38, 3), np.float32), np.ones(60, bool), np.eye(3))
    track = Track("a", "a", np.arange(60, dtype=np.int32), points, truth)
    frames = enumerate(np.zeros((60, 240, 320, 3), np.uint8))
    pieces = list(cut.cut(frames, [cut.Cutter(track, 64, 150, cut.spans(60))]))
    assert sum(int(piece.arrays["valid"].sum()) for piece in pieces) == 60
    assert sum(len(piece.arrays["valid"]) for piece in pieces) == 60 + 4 * 7


def test_memory_is_that_of_a_piece(monkeypatch):
    """A cutter never holds more crops than a piece and its contexts need."""
    points = np.zeros((2000, 14, 3), np.float32)
    points[:, :12] = walk(2000, speed=0)
    track = Track("a", "a", np.arange(2000, dtype=np.int32), points)
    cutter = cut.Cutter(track, 16, 150, cut.spans(2000))
    monkeypatch.setattr(cut, "crop_frames", lambda frame, maps, size: frame)
    frame, most = np.zeros((8, 8, 3), np.uint8), 0
    for number in range(2000):
        list(cutter.add(number, frame))
        most = max(most, len(cutter.crops))
    assert most <= cut.PIECE + 2 * cut.CONTEXT + 1
