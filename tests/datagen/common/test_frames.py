"""Frames of a video: thinned to thirty a second, in time, upright."""

import av
import numpy as np
import pytest
from footage_world import film, retime, turn, walk

from datagen.common.frames import frame_times, read_frames, thin


def test_frames_are_thinned_to_thirty_at_most():
    for rate, step in (
        (24, 1), (25, 1), (29.97, 1), (30, 1), (40, 2), (44, 2), (50, 2), (59.94, 2), (60, 2),
        (120, 4),
    ):  # fmt: skip
        used, fps = thin(np.round(np.arange(241) / rate, 3))
        assert used.tolist() == list(range(0, 241, step)), rate
        assert fps == pytest.approx(rate / step, rel=0.02)
    assert thin(np.zeros(1))[0].tolist() == [0]


def test_uneven_frames(tmp_path):
    """A phone that films 60 a second and then 30: the fast half is thinned, the slow kept."""
    path = film(tmp_path / "vfr.mp4", [walk(90)], fps=60)
    retime(path, [(60, 1), (30, 2)])
    times = frame_times(path)
    assert len(times) == 90
    assert np.allclose(np.diff(times), [1 / 60] * 60 + [1 / 30] * 29, atol=2e-3)
    used, fps = thin(times)
    assert fps == pytest.approx(30, rel=0.01)
    assert used.tolist() == [*range(0, 60, 2), *range(60, 90)]
    rare = np.cumsum([1 / 30] * 60 + [1 / 60] * 30)  # where the slow half is the longer one
    assert thin(rare)[0].tolist() == [*range(60), *range(61, 90, 2)]


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.avi", "mpeg4", 60), ("b.mpg", "mpeg1video", 50), ("c.avi", "mpeg4", 25)],
)
def test_repeated_time_stamps(tmp_path, name, codec, rate):
    """AVI and MPEG stamp B-frames twice; the other stamps still say how fast it is."""
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames = 2
        for k in range(60):
            picture = np.full((48, 64, 3), 4 * k, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    times = frame_times(path)
    assert len(times) == 60 and (np.diff(times) > 0).all()
    assert thin(times)[1] == pytest.approx(rate if rate < 50 else rate / 2, rel=0.02)


def test_rotation_flags_are_obeyed(tmp_path):
    path = film(tmp_path / "phone.mp4", [walk(3)])
    upright = next(read_frames(path, [0]))
    turn(path)
    turned = next(read_frames(path, [0]))
    assert turned.shape == (320, 240, 3)
    assert np.abs(turned.astype(int) - np.rot90(upright, -1)).mean() < 1
