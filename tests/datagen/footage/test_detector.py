"""The detector's call: frames go in as they are, keypoints come back, failures are named."""

import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from footage_world import film, records, turn, walk

from datagen import ingest
from datagen.common.errors import BadInput, BadMachine
from datagen.footage import detector
from datagen.footage.keypoint_files import read_keypoints

STAND_IN = """
import sys
import numpy as np

_, script, out, width, height = sys.argv
size = int(width) * int(height) * 3
points = []
while len(data := sys.stdin.buffer.read(size)) == size:
    picture = np.frombuffer(data, np.uint8).reshape(int(height), int(width), 3).astype(int)
    red = (picture[..., 0] > 150) & (picture[..., 1] < 120)
    y, x = np.nonzero(red)
    one = np.zeros((33, 3))
    for joint, (dx, dy) in enumerate(np.random.default_rng(0).uniform(-40, 40, (33, 2))):
        one[joint] = x.mean() + dx, y.mean() + dy, 0.9
    points.append(one[None])
np.savez(out, keypoints=np.array(points, np.float32), layout="mediapipe33")
"""


@pytest.fixture
def env(tmp_path) -> Path:
    """An environment whose Python answers with the middle of what is red in the picture."""
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "stand_in.py").write_text(STAND_IN)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / "stand_in.py"}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (folder / "whole").touch()
    return folder


def test_every_frame_is_seen_upright_and_in_order(env, tmp_path):
    video = film(tmp_path / "a.mp4", [walk(12)])
    turn(video)
    out = tmp_path / "a.npz"
    assert detector.detect(video, env / "bin" / "python", out) == 12
    middle = read_keypoints(out, 12)[:, 0, :12, :2].mean(1)
    # The walker goes to the right by 2 px a frame; turned by 90° clockwise, that is downwards.
    assert np.diff(middle[:, 1]) == pytest.approx(2, abs=1.2)
    assert np.abs(np.diff(middle[:, 0])).max() < 1.5
    assert not list(tmp_path.glob("*.tmp*"))


def test_the_command_detects_once(env, tmp_path, capsys):
    video = film(tmp_path / "a.mp4", [walk(20)])
    (tmp_path / "bad.mp4").write_text("no video")
    args = ["video", str(video), str(tmp_path / "bad.mp4"), "--detector", "mediapipe"]
    args += ["--detector-env", str(env), "--out", str(tmp_path / "out")]
    assert ingest.main(args) == 0
    said = capsys.readouterr().out
    assert "bad.mp4 cannot be read" in said and "20 frames" in said
    assert records(tmp_path / "out")[0]["occluded"].sum() == 0
    (env / "bin" / "python").write_text("#!/bin/sh\nexit 3\n")
    assert ingest.main([*args[:2], *args[3:]]) == 0  # nothing is left to be detected


def test_a_video_that_breaks_off_is_named_with_its_reason(env, tmp_path, monkeypatch, capsys):
    """Its frames can be counted, but not all be read."""
    video = film(tmp_path / "a.mp4", [walk(12)])

    def broken(path, wanted):
        raise BadInput(f"{path} changes its picture size at frame 7; convert it")

    monkeypatch.setattr(detector, "read_frames", broken)
    args = ["video", str(video), "--detector", "mediapipe", "--detector-env", str(env)]
    assert ingest.main([*args, "--out", str(tmp_path / "out")]) == 2
    assert "a.mp4 changes its picture size at frame 7" in capsys.readouterr().err


def test_a_detector_that_dies_is_named_with_its_last_words(env, tmp_path):
    video = film(tmp_path / "a.mp4", [walk(12)])
    (env / "bin" / "python").write_text('#!/bin/sh\necho "numpy is too new" >&2\nexit 1\n')
    with pytest.raises(BadMachine, match="numpy is too new"):
        detector.detect(video, env / "bin" / "python", tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_a_python_of_the_wrong_version_is_refused(monkeypatch):
    monkeypatch.setattr(detector.sys, "version_info", (3, 14))
    monkeypatch.setattr(detector.shutil, "which", lambda name: None)
    with pytest.raises(BadMachine, match=r"3\.9 to 3\.12, this is 3\.14"):
        detector.find_python()
    monkeypatch.setattr(
        detector.shutil, "which", lambda name: f"/x/{name}" if name == "python3.10" else None
    )
    assert detector.find_python() == "/x/python3.10"


def test_an_environment_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(detector, "PACKAGES", ("no-such-package==0.0.0.dev1",))
    monkeypatch.setattr(detector, "find_python", lambda: "/bin/false")
    with pytest.raises(BadMachine, match="--detector-env"):
        detector.environment(tmp_path / "env")
    assert not (tmp_path / "env" / "whole").exists()
    with pytest.raises(BadMachine, match="--detector-env"):  # what is half made is made again
        detector.environment(tmp_path / "env")


def test_a_folder_of_the_users_is_not_removed(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match="was not made here"):
        detector.environment(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
