"""The background library: sources, windows, files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from moving_pictures import film, picture, similarities

from datagen.backgrounds.library import (
    build_background,
    read_background,
    window_starts,
)
from datagen.backgrounds.options import BackgroundsConfig
from datagen.backgrounds.sources import VideoSource, find_videos
from datagen.common.errors import BadInput

SIZE = {"frames": 9, "width": 320, "height": 240, "seed": 0}


def write_video(path: Path, frames: np.ndarray, rate: float = 30.0) -> None:
    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, size)
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Path:
    frames = film(picture(np.random.default_rng(0), 400, 480), similarities(30, pan=(1.0, 0.5)))
    path = tmp_path_factory.mktemp("videos") / "moving.avi"
    write_video(path, frames)
    return path


def test_a_video_round_trips(moving, tmp_path):
    source = VideoSource("moving", str(moving))
    line = build_background(source, BackgroundsConfig(), **SIZE, path=tmp_path / "m.h5")
    assert len(line["windows"]) == 3 and line["rejected"] == {}
    window = read_background(tmp_path / "m.h5", 1)
    assert window.frames.shape == (9, 240, 320, 3) and window.frames.dtype == np.uint8
    assert window.segments.shape == (9, 60, 80) and window.segments.dtype == np.uint8
    assert np.array_equal(np.unique(window.segments), np.arange(window.segments.max() + 1))
    assert np.allclose(window.motion[8, :, 2], [8, 4], atol=1.0)
    capture = cv2.VideoCapture(str(moving))
    for _ in range(line["windows"][1]["start"] + 1):
        truth = capture.read()[1][..., ::-1]
    assert np.abs(window.frames[0].astype(int) - truth).mean() < 10  # BGR would be 45


def test_equal_inputs_give_equal_bytes(moving, tmp_path):
    source = VideoSource("moving", str(moving))
    lines = [
        build_background(source, BackgroundsConfig(), **SIZE, path=tmp_path / f"{i}.h5")
        for i in range(2)
    ]
    assert lines[0]["sha256"] == lines[1]["sha256"]
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob(".*"))


def test_embedded_scenes(tmp_path):
    sources = find_videos(None)
    assert len(sources) > 80 and sources == sorted(sources, key=lambda s: s.name)
    cfg = BackgroundsConfig(windows_per_video=1)
    line = build_background(sources[0], cfg, **SIZE, path=tmp_path / "s.h5")
    assert len(line["windows"]) == 1
    assert read_background(tmp_path / "s.h5", 0).frames.shape == (9, 240, 320, 3)


@pytest.mark.parametrize("total, expected", [(31, []), (32, [0]), (70, [1, 36]), (320, 4)])
def test_windows_are_disjoint_and_spread(total, expected):
    starts = window_starts(total, 32, 4) if total >= 32 else []
    if isinstance(expected, int):
        assert len(starts) == expected
        assert np.diff(starts).min() >= 32 and starts[-1] + 32 <= total
    else:
        assert starts == expected


def test_bad_input(tmp_path, moving):
    with pytest.raises(BadInput, match="not a folder"):
        find_videos(tmp_path / "missing")
    with pytest.raises(BadInput, match="holds no video"):
        find_videos(tmp_path)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video" * 100)
    cfg = BackgroundsConfig()
    for path, frames, rule in ((broken, 9, "cannot be read"), (moving, 32, "30 frames")):
        with pytest.raises(BadInput, match=rule):
            build_background(
                VideoSource("x", str(path)),
                cfg,
                **SIZE | {"frames": frames},
                path=tmp_path / "x.h5",
            )
    still = tmp_path / "still.avi"
    write_video(still, np.repeat(picture(np.random.default_rng(0), 240, 320)[None], 12, axis=0))
    with pytest.raises(BadInput, match="frozen 1"):
        build_background(VideoSource("x", str(still)), cfg, **SIZE, path=tmp_path / "x.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.mp4", "still.avi"]
    with pytest.raises(BadInput, match="window 7"):
        read_background(broken, 7)


def test_each_rejected_window_has_its_reason(tmp_path):
    """One good window, then a black one, a cut, a frozen one and one of plain grey noise."""
    rng = np.random.default_rng(3)
    good = film(picture(rng, 400, 480), similarities(9, pan=(1.0, 0.5)))
    other = film(picture(rng, 400, 480, 6.0), similarities(9, pan=(1.0, 0.5)))
    cut = np.concatenate([good[:5], 255 - other[5:]])
    black = np.zeros_like(good)
    frozen = np.repeat(good[:1], 9, axis=0)
    grain = rng.integers(118, 138, good.shape, np.uint8)
    path = tmp_path / "mixed.avi"
    write_video(path, np.concatenate([good, black, cut, frozen, grain]))
    line = build_background(
        VideoSource("mixed", str(path)),
        BackgroundsConfig(windows_per_video=5),
        **SIZE,
        path=tmp_path / "m.h5",
    )
    assert [window["start"] for window in line["windows"]] == [0]
    reasons = [(window["start"], window["reason"]) for window in line["rejected_windows"]]
    assert reasons[:3] == [(9, "black"), (18, "cut"), (27, "frozen")]
    assert reasons[3][0] == 36 and reasons[3][1] in ("untracked", "textureless")
    assert line["rejected"] == {"black": 1, "cut": 1, "frozen": 1, reasons[3][1]: 1}


@pytest.mark.parametrize("rate, given, step", [(60, "30", 2), (60, "stored", 1), (24, "30", 1)])
def test_a_background_moves_as_fast_as_it_did(rate, given, step, tmp_path):
    """A camera that pans by 60 pixels a second pans so at the people's 30 frames per second too."""
    speed = 60 / rate
    frames = film(picture(np.random.default_rng(0), 400, 480), similarities(30, pan=(speed, 0.0)))
    path = tmp_path / "pan.avi"
    write_video(path, frames, rate)
    cfg = BackgroundsConfig(videos=tmp_path, video_rate=given, windows_per_video=1)
    line = build_background(VideoSource("pan", str(path)), cfg, **SIZE, path=tmp_path / "p.h5")
    window = read_background(tmp_path / "p.h5", 0)
    assert line["windows"][0]["start"] % step == 0
    np.testing.assert_allclose(window.motion[8, 0, 2], 8 * step * speed, atol=0.5)
