"""Small video files that claim a huge index, or name other files, are refused."""

import resource
import struct

import av
import cv2
import numpy as np
import pytest

from datagen.common import containers, video
from datagen.common.containers import open_container
from datagen.common.errors import BadInput
from datagen.common.frames import frame_times, read_frames, thin

LARGE = 150_000_000
PICTURES = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), np.uint8)


def write(path, frames, codec, layout="yuv420p", *, sound="", options=None):
    """Encode uint8 [T,H,W,3], and a tenth of a second of silence."""
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], layout
        if sound:
            track = container.add_stream(sound, rate=44100)
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
            silence.sample_rate = 44100
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
        if sound:
            container.mux(track.encode(silence))
            container.mux(track.encode())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    write(path, PICTURES, "mpeg4")
    return path.read_bytes()


def replaced(data, kind, *words):
    """An MP4 with a table of other big-endian words; the sizes of its boxes are right."""
    at = data.find(kind) - 4
    size = int.from_bytes(data[at : at + 4], "big")
    content = struct.pack(f">{len(words) + 1}I", 0, *words)
    box = struct.pack(">I", 8 + len(content)) + kind + content
    out = bytearray(data[:at] + box + data[at + size :])
    for parent in (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"):
        begin = data.find(parent) - 4
        length = int.from_bytes(data[begin : begin + 4], "big")
        if begin < at < begin + length:
            out[begin : begin + 4] = (length + len(box) - size).to_bytes(4, "big")
    return bytes(out)


def counted(data, count, each):
    """As many samples in one chunk, of `each` bytes."""
    data = replaced(data, b"stsz", each, count)
    return replaced(replaced(data, b"stsc", 1, 1, count, 1), b"stts", 1, count, 512)


def fragment(data):
    """Samples without a byte in a fragment behind the film."""
    run = struct.pack(">I4sII", 16, b"trun", 0, LARGE)
    head = struct.pack(">I4sII", 16, b"tfhd", 0x020000, 1)
    track = struct.pack(">I4s", 8 + len(head + run), b"traf") + head + run
    return data + struct.pack(">I4s", 8 + len(track), b"moof") + track


BOMBS = {
    "a sample of a byte each": lambda data: counted(data, LARGE, 1),
    "samples without a table": lambda data: replaced(data, b"stsz", 0, LARGE),
    "pictures played again": lambda data: replaced(
        counted(data, 2000, 1), b"elst", 20_000, *(1 << 30, 0, 1 << 16) * 20_000
    ),
    "a few edits of all": lambda data: replaced(
        counted(data, 2000, 1), b"elst", 900, *(1 << 30, 0, 1 << 16) * 900
    ),
    "times": lambda data: replaced(data, b"stts", 1 << 28, LARGE, 512),
    "places": lambda data: replaced(data, b"stco", 1 << 28, 1),
    "a chunk": lambda data: replaced(data, b"stsc", 1, 1, 1 << 31, 1),
    "a fragment": fragment,
    "a compressed header": lambda data: data.replace(b"udta", b"cmov"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_index_beyond_the_file_is_refused(name, plain, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(BOMBS[name](plain))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"its (table|index|list|header)"):
        open_container(path)
    with pytest.raises(BadInput, match=r"cannot be read as a video \(its "):
        frame_times(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (50 << 10)


@pytest.mark.parametrize("options", [{}, {"movflags": "frag_keyframe+empty_moov"}])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_whole_files_pass(name, options, tmp_path):
    sound = "pcm_s16le" if name == "a.mov" else "aac"
    write(tmp_path / name, PICTURES, "mpeg4", sound=sound, options=options)
    with open_container(tmp_path / name) as container:
        assert len(container.streams.video) == len(container.streams.audio) == 1
    assert len(frame_times(tmp_path / name)) == 6


def test_a_list_of_other_files_is_no_video(plain, tmp_path):
    """FFmpeg itself would read the files that the list names."""
    (tmp_path / "other.mp4").write_bytes(plain)
    path = tmp_path / "a.mp4"
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    assert cv2.VideoCapture(str(path)).grab()
    with pytest.raises(BadInput, match="cannot be read as a video"):
        next(read_frames(path, [0]))


@pytest.mark.parametrize(("name", "codec", "layout"), [
    ("a.avi", "mjpeg", "yuvj420p"), ("a.mp4", "mpeg4", "yuv420p"), ("a.mov", "png", "rgb24"),
])  # fmt: skip
def test_a_picture_larger_than_any_is_not_decoded(name, codec, layout, tmp_path, monkeypatch):
    """Some formats do not give the size: FFmpeg would decode a picture to find it."""
    write(tmp_path / name, PICTURES, codec, layout)
    assert len(frame_times(tmp_path / name)) == 6
    monkeypatch.setattr(containers, "MOST", 64 * 48 - 1)
    monkeypatch.setattr(video, "MOST", 64 * 48 - 1)
    with pytest.raises(BadInput, match="cannot be read as a video"):
        video.open_video(tmp_path / name)


def test_a_few_frames_of_a_fast_camera_have_a_rate():
    numbers, rate = thin(np.arange(3) / 240)
    assert numbers.tolist() == [0] and rate == 30
