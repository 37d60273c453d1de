"""A camera's view: a video file stands in for the device."""

import urllib.request
from collections import deque
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from datagen.common.errors import BadInput
from datagen.common.frames import frame_size, read_frames
from datagen.overlay import main as overlay
from datagen.replay.live import frames_of, resampled
from datagen.replay.live_page import LivePage

POINT = Path(__file__).parents[2] / "fixtures" / "detector" / "point.mp4"


@pytest.mark.slow
def test_the_body_is_drawn_as_the_camera_films(tmp_path):
    with av.open(str(tmp_path / "camera.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=30, options={"crf": "10"})
        stream.width, stream.height = frame_size(POINT)
        for picture in read_frames(POINT, range(6)):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    out = tmp_path / "out"
    assert overlay([str(tmp_path / "camera.mp4"), "--live", "--out", str(out)]) == 0
    (film,) = out.glob("*.mp4")
    shown = list(read_frames(film, range(6)))
    assert shown[0].shape[0] == 480
    with np.load(POINT.with_suffix(".npz")) as file:
        points = file["keypoints"][5, 0]
    plain = next(read_frames(POINT, [5]))
    scale = 480 / plain.shape[0]
    plain = cv2.resize(plain, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    changed = np.abs(shown[5][:, : plain.shape[1]].astype(int) - plain).max(-1) > 40
    trunk = (points[[11, 12, 23, 24], :2].mean(0) + 0.5) * scale - 0.5
    x, y = trunk.round().astype(int)
    assert changed[y - 3 : y + 4, x - 3 : x + 4].mean() > 0.8  # the body is over the person
    assert changed.mean() < 0.3
    aside = shown[5][:, plain.shape[1] :]
    assert (np.abs(aside.astype(int) - 244).max(-1) > 30).mean() > 0.02


def test_keypoints_come_at_the_networks_rate():
    """A point that moves evenly, filmed at 10 a second and unseen in the middle."""
    past = deque()
    for t in range(8):
        limbs = np.zeros((12, 3), np.float32)
        limbs[:, :2] = 120 * t / 10
        limbs[:, 2] = t not in (3, 4)
        past.append((5 + t / 10, limbs))
    found = resampled(past)
    times = 7 / 10 - np.arange(len(found))[::-1] / 30
    assert len(found) == 1 + round(30 * 7 / 10)
    np.testing.assert_allclose(found[:, 0, 0], 120 * times, atol=1e-3)
    unseen = (times > 0.29) & (times < 0.41)
    assert not found[unseen, :, 2].any() and found[[0, -1], :, 2].all()


def test_no_camera_is_one_sentence():
    with pytest.raises(BadInput, match="gives no picture"):
        next(frames_of("97"))


def test_the_page_shows_the_last_picture():
    picture = np.full((48, 64, 3), (250, 10, 10), np.uint8)
    with LivePage(0) as page:
        assert b"img" in urllib.request.urlopen(page.address, timeout=5).read()
        with urllib.request.urlopen(page.address + "stream", timeout=5) as stream:
            page.show(picture)
            lines = [stream.readline() for _ in range(4)]
            size = int(lines[2].split(b":")[1])
            image = cv2.imdecode(np.frombuffer(stream.read(size), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and (np.abs(image[24, 32].astype(int) - (10, 10, 250)) < 12).all()
