"""Reading videos: every codec, rotation, variable rates, odd sizes, grey, alpha, damage."""

import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from benchmarks.analyse import windows
from datagen.common import video
from datagen.common.errors import BadInput
from datagen.common.frames import frame_times


def pictures(count=8, width=64, height=48):
    """Frames whose quarter colours tell how they are turned, with a clock in the brightness."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[:, : height // 2, : width // 2] = 220, 30, 30  # red is above and left
    frames[:, height // 2 :, width // 2 :] = 30, 30, 220
    for t in range(count):
        frames[t, : height // 2, width // 2 :] = 20 + 25 * t
    return frames


def write(path, frames, codec, layout="yuv420p", *, turned=0, times=None, options=None):
    """Encode uint8 [T,H,W,3 or 4] with PyAV; `times` in 1/600 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], layout
        if turned:
            stream.set_display_rotation(turned)
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(
                picture, "rgb24" if picture.shape[2] == 3 else "rgba"
            )
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read(path):
    reader = video.open_video(path)
    frames = []
    while reader.grab():
        frames.append(reader.picture())
    reader.release()
    return type(reader), np.stack(frames)


CODECS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "h264_ten_bits.mp4": ("libx264", "yuv420p10le"),
    "hevc.mp4": ("libx265", "yuv420p"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "mpeg1.mpg": ("mpeg2video", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "prores.mov": ("prores_ks", "yuv422p10le"),
    "grey.mkv": ("ffv1", "gray"),
    "deep_grey.mkv": ("ffv1", "gray16le"),
}


@pytest.mark.parametrize("name", CODECS)
def test_codecs(name, tmp_path):
    codec, layout = CODECS[name]
    frames = pictures()
    if layout.startswith("gray"):
        frames = np.repeat(frames.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    write(tmp_path / name, frames, codec, layout)
    kind, found = read(tmp_path / name)
    assert kind is video.OpenCVReader and found.shape == frames.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - frames).mean() < 8  # red for blue would be 40
    assert len(frame_times(tmp_path / name)) == len(frames)


def test_av1_falls_to_pyav(tmp_path):
    """OpenCV opens an AV1 file and then has no decoder for it."""
    write(tmp_path / "av1.mp4", pictures(), "libsvtav1", options={"preset": "8", "crf": "20"})
    kind, found = read(tmp_path / "av1.mp4")
    assert kind is video.PyAVReader and len(found) == 8
    assert np.abs(found.astype(int) - pictures()).mean() < 8
    window = next(video.read_stretches(tmp_path / "av1.mp4", [range(2, 6)], 32, 24, [0.5]))
    expected = [cv2.resize(f, (32, 24), interpolation=cv2.INTER_AREA) for f in pictures()[2:6]]
    assert window.shape == (4, 24, 32, 3)
    assert np.abs(window.astype(int) - np.stack(expected)).mean() < 8


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_both_readers_obey_rotation(turned, tmp_path):
    path = tmp_path / "phone.mp4"
    write(path, pictures(), "libx264", turned=turned)
    upright = np.rot90(pictures(), turned // 90, axes=(1, 2))  # FFmpeg counts anticlockwise
    for kind in (video.OpenCVReader, video.PyAVReader):
        reader = kind(path)
        assert reader.grab()
        assert reader.picture().shape == upright[0].shape
        assert np.abs(reader.picture().astype(int) - upright[0]).mean() < 8
        reader.release()


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_variable_rate_gives_each_coded_frame_once(container, tmp_path):
    times = np.cumsum([0, 20, 20, 60, 10, 90, 20, 200])
    path = tmp_path / f"phone.{container}"
    write(path, pictures(), "libx264", times=times.tolist())
    _, found = read(path)
    clock = found[:, :20, 40:].mean(axis=(1, 2, 3))
    assert np.abs(clock - (20 + 25 * np.arange(8))).max() < 5


@pytest.mark.parametrize(
    "name, layout, codec", [("a.mkv", "bgra", "ffv1"), ("a.mov", "rgba", "png")]
)
def test_alpha_is_dropped(name, layout, codec, tmp_path):
    frames = np.concatenate([pictures(), np.full((8, 48, 64, 1), 90, np.uint8)], axis=3)
    write(tmp_path / name, frames, codec, layout)
    _, found = read(tmp_path / name)
    assert np.array_equal(found, frames[..., :3])


@pytest.mark.parametrize("width, height", [(63, 47), (47, 97), (161, 33)])
def test_odd_sizes_are_covered_and_cut(width, height, tmp_path):
    write(tmp_path / "odd.mkv", pictures(4, width, height), "ffv1", "bgr0")
    (window,) = video.read_stretches(tmp_path / "odd.mkv", [range(4)], 320, 240, [0.5])
    assert window.shape == (4, 240, 320, 3)
    assert np.abs(window[0, 5, 5].astype(int) - (220, 30, 30)).max() < 3
    assert np.abs(window[0, -5, -5].astype(int) - (30, 30, 220)).max() < 3


def test_a_cut_off_file_gives_what_it_holds(tmp_path):
    write(tmp_path / "whole.mkv", pictures(8), "ffv1", "bgr0")
    whole = (tmp_path / "whole.mkv").read_bytes()
    part = tmp_path / "part.mkv"
    part.write_bytes(whole[: len(whole) * 6 // 10])
    count = len(frame_times(part))
    assert 0 < count < 8
    (window,) = video.read_stretches(part, [range(8)], 64, 48, [0])
    assert np.array_equal(window, pictures()[:count])


@pytest.mark.parametrize(
    "content", [b"", b"not a video" * 100, b"\x00\x00\x00\x18ftypmp42" + bytes(99)]
)
def test_what_is_no_video_is_refused(content, tmp_path):
    path = tmp_path / "clip_000001.mp4"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read as a video"):
        video.open_video(path)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(BadInput, match="cannot be read as a video"):
        video.open_video(path)


def test_the_benchmark_of_windows_passes_over_a_short_video(tmp_path, capsys):
    write(tmp_path / "long.mp4", np.repeat(pictures(), 5, 0), "mpeg4")
    write(tmp_path / "short.mp4", pictures(), "mpeg4")
    assert [len(window) for window in windows(tmp_path, 2)] == [32]
    assert "short.mp4 has 8 frames" in capsys.readouterr().out


def shape_of(path, sar):
    """Frames 64 x 48 as stored, whose pixels have the shape `sar`, with a square as it is shown."""
    frames = np.full((4, 48, 64, 3), 40, np.uint8)
    wide, high = (24 / float(sar), 24) if sar > 1 else (24, 24 * float(sar))
    frames[:, 12 : 12 + round(high), 12 : 12 + round(wide)] = 220
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = sar
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    "sar, size", [(Fraction(4, 3), (85, 48)), (Fraction(2), (128, 48)), (Fraction(3, 4), (64, 64))]
)
def test_pixels_are_square(sar, size, tmp_path):
    """A square of the world is one in the picture, whatever the shape of the stored pixels."""
    path = tmp_path / "anamorphic.mp4"
    shape_of(path, sar)
    _, found = read(path)
    assert found.shape[2:0:-1] == size
    bright = found[0].mean(axis=2) > 130
    assert abs(bright.any(0).sum() - bright.any(1).sum()) <= 2
    (window,) = video.read_stretches(path, [range(4)], 64, 48, [0.0])
    bright = window[0].mean(axis=2) > 130
    assert abs(bright.any(0).sum() - bright.any(1).sum()) <= 2
    assert video.enlargement(path) == pytest.approx((max(1, sar), max(1, 1 / sar)))


def test_a_shape_within_the_rounding_of_a_size_is_square(tmp_path):
    shape_of(tmp_path / "a.mp4", Fraction(404, 405))
    assert read(tmp_path / "a.mp4")[1].shape[1:3] == (48, 64)


def test_the_largest_of_several_videos_is_read(tmp_path):
    """A preview in front of the film, and a cover after it that is larger than the film."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        small, film = (container.add_stream("mpeg4", rate=30) for _ in range(2))
        cover = container.add_stream("mjpeg", rate=30)
        for stream, (width, height), layout in (
            (small, (32, 24), "yuv420p"), (film, (64, 48), "yuv420p"),
            (cover, (320, 240), "yuvj420p"),
        ):  # fmt: skip
            stream.width, stream.height, stream.pix_fmt = width, height, layout
        cover.disposition = av.stream.Disposition.attached_pic
        for stream, frames in (
            (cover, pictures(1, 320, 240)), (small, 255 - pictures(8, 32, 24)), (film, pictures()),
        ):  # fmt: skip
            for picture in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode())
    _, found = read(path)
    assert found.shape == pictures().shape
    assert np.abs(found.astype(int) - pictures()).mean() < 8


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("encoding", ["latin-1", "shift_jis"])
@pytest.mark.parametrize("codec", ["libsvtav1", "libx264"])
def test_titles_in_any_encoding_do_no_harm(codec, encoding, name, tmp_path):
    title = {"latin-1": "Caf\u00e9", "shift_jis": "\u6b69\u304f"}[encoding]
    path = tmp_path / name
    with av.open(str(path), "w", metadata_encoding=encoding) as container:
        container.metadata["title"] = title
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    assert title.encode(encoding) in path.read_bytes()
    assert len(frame_times(path)) == 8


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", b"\x95\xe0.mp4"])
def test_a_name_in_any_encoding_does_no_harm(name, tmp_path):
    """OpenCV ends the process at names that are no UTF-8, as on old disks."""
    write(tmp_path / "a.mp4", pictures(), "libx264")
    path = (tmp_path / "a.mp4").rename(tmp_path / os.fsdecode(name))
    kind, found = read(path)
    assert kind is video.PyAVReader and len(found) == 8
    assert np.abs(found.astype(int) - pictures()).mean() < 8
    assert video.is_text(str(tmp_path / "\u6b69\u304f.mp4")) and not video.is_text(str(path))
