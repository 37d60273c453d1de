"""The detector against MediaPipe's own output, and its call: frames as they are, failures named."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from footage_world import film, turn, walk

from datagen import ingest
from datagen.common import cli
from datagen.common.errors import BadInput
from datagen.common.files import sha256
from datagen.footage import detector
from datagen.footage.detection.models import FOLDER
from datagen.footage.detection.pose_detector import PoseDetector
from datagen.footage.keypoint_files import read_keypoints

CLIPS = Path(__file__).parents[2] / "fixtures" / "detector"
"""Two clips that datagen rendered, and what mediapipe 0.10.21 finds there (benchmarks.detector)."""


@pytest.fixture(scope="module")
def networks() -> PoseDetector:
    return PoseDetector()


@pytest.mark.parametrize(
    ("clip", "frames", "pixels", "metres"),
    # Upside down the network is unsure, and what differs in the 5th digit grows from crop to crop.
    [("point", 31, 0.15, 0.003), ("cartwheel", 8, 0.3, 0.005)],
)
def test_keypoints_are_mediapipes_own(networks, tmp_path, clip, frames, pixels, metres):
    detector.detect(CLIPS / f"{clip}.mp4", networks, tmp_path / "found.npz")
    with np.load(tmp_path / "found.npz") as ours, np.load(CLIPS / f"{clip}.npz") as theirs:
        found, expected = ours["keypoints"][:frames], theirs["keypoints"][:frames]
        world, joints = ours["world"][:frames, 0], theirs["world"][:frames]
    assert found.shape == expected.shape and expected[..., 2].all()
    apart = np.linalg.norm(found[..., :2] - expected[..., :2], axis=-1)
    assert np.median(apart) < pixels and np.percentile(apart, 90) < 6 * pixels
    assert np.abs(found[..., 2] - expected[..., 2]).max() < 0.05
    assert np.median(np.linalg.norm(world - joints, axis=-1)) < metres


def test_the_networks_are_those_that_were_released():
    script = FOLDER.parent / "build" / "detector.py"
    spec = importlib.util.spec_from_file_location("build_detector", script)
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert {Path(name).name: digest for name, digest in build.FILES.items()} == {
        file.name: sha256(file) for file in FOLDER.iterdir()
    }


def test_a_turned_video_is_seen_as_it_is_shown(networks, tmp_path):
    video = shutil.copy(CLIPS / "point.mp4", tmp_path / "a.mp4")
    upright, turned = tmp_path / "upright.npz", tmp_path / "turned.npz"
    assert detector.detect(video, networks, upright) == 31
    turn(video)
    assert detector.detect(video, networks, turned) == 31
    before, after = (read_keypoints(file, 31)[:, 0, :12, :2] for file in (upright, turned))
    # By 90° clockwise in a picture 320 px high: x becomes y, y becomes 319 − x.
    expected = np.stack([319 - before[..., 1], before[..., 0]], -1)
    assert np.median(np.linalg.norm(after - expected, axis=-1)) < 5
    assert not list(tmp_path.glob("*.tmp*"))


def test_nobody_is_no_keypoint(networks, tmp_path):
    video = film(tmp_path / "a.mp4", [walk(12)])  # disks are no people
    assert detector.detect(video, networks, tmp_path / "a.npz") == 12
    with np.load(tmp_path / "a.npz") as found:
        assert found["keypoints"].shape == (12, 1, 33, 3) and not found["keypoints"].any()
        assert np.isnan(found["world"]).all()


def test_the_command_detects_once(tmp_path, capsys, monkeypatch):
    video = shutil.copy(CLIPS / "point.mp4", tmp_path / "a.mp4")
    (tmp_path / "bad.mp4").write_text("no video")
    args = ["video", str(video), str(tmp_path / "bad.mp4"), "--detector", "mediapipe"]
    args += ["--out", str(tmp_path / "out"), "--flow", "dis", "--image-size", "64"]
    assert ingest.main(args) == 0
    printed = capsys.readouterr().out
    assert "bad.mp4 cannot be read" in printed and "31 frames" in printed
    monkeypatch.setattr(detector, "detect", None)
    assert ingest.main([*args[:2], *args[3:]]) == 0  # nothing is left to be detected


def test_another_video_of_the_same_name_and_size_is_detected_anew(networks, tmp_path):
    video = tmp_path / "a.mp4"
    shutil.copy(CLIPS / "point.mp4", video)
    first, _ = detector.detections({"a": video}, tmp_path / "keypoints")
    data = bytearray(video.read_bytes())
    data[-40] ^= 1  # in what names the encoder
    video.write_bytes(data)
    second, _ = detector.detections({"a": video}, tmp_path / "keypoints")
    assert first["a"] != second["a"] and first["a"].exists() and second["a"].exists()


def test_a_video_that_breaks_off_is_named_with_its_reason(tmp_path, monkeypatch, capsys):
    """Its frames can be counted, but not all be read."""
    video = film(tmp_path / "a.mp4", [walk(12)])

    def broken(path, wanted):
        raise BadInput(f"{path} changes its frame size at frame 7; convert it")

    monkeypatch.setattr(detector, "read_frames", broken)
    args = ["video", str(video), "--detector", "mediapipe"]
    assert ingest.main([*args, "--out", str(tmp_path / "out")]) == 2
    assert "a.mp4 changes its frame size at frame 7" in capsys.readouterr().err
    assert not list((tmp_path / "out" / "keypoints").iterdir())


@pytest.mark.parametrize(
    ("stop", "status"), [(KeyboardInterrupt, 130), (cli.Terminated, 143)], ids=["ctrl-c", "kill"]
)
def test_a_stopped_detection_is_begun_again(tmp_path, monkeypatch, capsys, stop, status):
    """Its keypoints are not kept, so nothing would be continued."""

    def stopped(*_):
        raise stop

    monkeypatch.setattr(detector, "detect", stopped)
    monkeypatch.setattr(detector, "PoseDetector", lambda: None)
    video = film(tmp_path / "a.mp4", [walk(4)])
    options = ["--detector", "mediapipe", "--out", str(tmp_path / "out")]
    assert ingest.main(["video", str(video), *options]) == status
    assert capsys.readouterr().err.endswith("stopped; run the same command again\n")
