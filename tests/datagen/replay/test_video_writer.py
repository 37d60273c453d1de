"""Films: every picture at its time, and the sound where it was, as another reader finds them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datagen.common.frames import read_frames
from datagen.replay import video_writer
from datagen.replay.video_writer import film

RATE = 44100


def noisy_video(path: Path, codec: str, *, click: float, shift: float = 0.0) -> Path:
    """Write 60 black pictures at 30 a second, begun `shift` s after the sound, which clicks."""
    sound = np.zeros((1, int(2.5 * RATE)), np.float32)
    sound[0, int(click * RATE) : int(click * RATE) + 400] = 0.9
    with av.open(str(path), "w") as file:
        video = file.add_stream("mpeg4", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track = file.add_stream(codec, rate=RATE, layout="mono")
        for t in range(60):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = t + round(30 * shift), Fraction(1, 30)
            file.mux(video.encode(frame))
        for start in range(0, sound.shape[1], 1024):
            part = np.ascontiguousarray(sound[:, start : start + 1024])
            if codec.startswith("pcm"):
                part = (part * 32767).astype(np.int16)
            kind = "s16" if codec.startswith("pcm") else "fltp"
            frame = av.AudioFrame.from_ndarray(part, format=kind, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            file.mux(track.encode(frame))
        file.mux(video.encode())
        file.mux(track.encode())
    return path


def heard(path: Path) -> float:
    """Return when a file's sound is first loud, seconds."""
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray().reshape(-1)) > 0.3)
            if len(loud):
                return float(frame.time or 0) + loud[0] / RATE
    return np.inf


def shown(path: Path) -> list[tuple[float, float]]:
    """Return the time and the mean grey of every picture."""
    with av.open(str(path)) as file:
        return [
            (float(frame.time or 0), float(frame.to_ndarray(format="gray").mean()))
            for frame in file.decode(video=0)
        ]


def test_pictures_are_shown_at_the_times_that_they_are_given(tmp_path):
    times = [*np.arange(24) / 30, *(0.8 + np.arange(12) / 15), 1.7, 1.75]
    with film(tmp_path / "x.mp4", 30) as growing:
        for number, time in enumerate(times):
            growing.add(np.full((48, 64, 3), 4 * number + 40, np.uint8), time)
    found = shown(tmp_path / "x.mp4")
    np.testing.assert_allclose([time for time, _ in found], times, atol=1e-4)
    greys = [grey for _, grey in found]
    assert (np.diff(greys) > 2).all()  # in their order


@pytest.mark.parametrize(("codec", "suffix"), [("aac", "mp4"), ("pcm_s16le", "mov")])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_sound_stays_with_its_picture(tmp_path, codec, suffix, shift):
    source = noisy_video(tmp_path / f"a.{suffix}", codec, click=1.2, shift=shift)
    assert abs(heard(source) - 1.2) < 0.03
    with film(tmp_path / "x.mp4", 30, source) as growing:
        assert growing.has_sound
        for _ in range(45):
            growing.add(np.zeros((48, 64, 3), np.uint8))
    assert abs(heard(tmp_path / "x.mp4") - (1.2 - shift)) < 0.03
    with av.open(str(tmp_path / "x.mp4")) as file:
        length = file.streams.audio[0].duration * file.streams.audio[0].time_base
        assert abs(float(length) - 1.5) < 0.06  # it ends with the pictures


def test_a_silent_source_makes_a_silent_film(tmp_path):
    with film(tmp_path / "silent.mp4", 30) as growing:
        growing.add(np.zeros((48, 64, 3), np.uint8))
    with film(tmp_path / "x.mp4", 30, tmp_path / "silent.mp4") as growing:
        assert not growing.has_sound
        growing.add(np.zeros((48, 64, 3), np.uint8))
    assert len(shown(tmp_path / "x.mp4")) == 1


def test_what_the_encoder_cannot_take_is_raised_and_leaves_nothing(tmp_path):
    with pytest.raises(Exception, match=r"even|width|height|size"), film(tmp_path / "x", 30) as f:
        f.add(np.zeros((47, 63, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_films_are_whole_and_of_their_colours(tmp_path, monkeypatch):
    colours = np.zeros((8, 48, 64, 3), np.uint8)
    colours[:, :, :32, 0], colours[:, :, 32:, 2] = 220, 220
    for first in range(3):
        monkeypatch.setattr(
            video_writer, "CODECS", (("none", "nothing"), *video_writer.CODECS[-3:][first:])
        )
        path = tmp_path / "x.mp4"
        with film(path, 30) as growing:
            for colour in colours:
                growing.add(colour)
        frames = np.stack(list(read_frames(path, list(range(8)))))
        assert np.abs(frames.astype(int) - colours)[:, :, 4:28].max() < 60
        assert frames[:, 24, 10, 0].min() > 150 > 90 > frames[:, 24, 10, 2].max()
        with pytest.raises(RuntimeError), film(path, 30) as growing:
            growing.add(colours[0])
            raise RuntimeError
        assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"] and path.stat().st_size > 300
