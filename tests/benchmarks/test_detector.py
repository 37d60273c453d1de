"""The detector benchmark compares the frames used, and times a picture with a person."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from footage_world import film

from benchmarks import detector as benchmark
from benchmarks.detector import first_seen
from datagen.footage.detection.pose_detector import PoseDetector


class Finder:
    """Finds a person in bright pictures."""

    def find(self, picture: np.ndarray, region: Any) -> list[Any]:
        return [region] if picture.any() else []


def test_pictures_without_people_are_skipped():
    detector = cast(PoseDetector, Finder())
    dark, bright = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 9, np.uint8)
    picture, frame, person = first_seen([dark, dark, bright, dark], detector)
    assert picture is bright and person is frame
    with pytest.raises(SystemExit, match="no person is found"):
        first_seen([dark, dark], detector)


def test_frames_beyond_30_a_second_are_not_counted_as_lost(tmp_path, monkeypatch, capsys):
    video = film(tmp_path / "fast.mp4", [np.zeros((12, 12, 3))], fps=60)

    def write(out: Path, frames: int, shown: list[int], x: float) -> None:
        keypoints = np.zeros((frames, 1, 33, 3), np.float32)
        keypoints[shown] = x, 50, 1
        np.savez(out, keypoints=keypoints)

    monkeypatch.setattr(
        benchmark, "reference", lambda video, wanted, python, out: write(out, 6, list(range(6)), 50)
    )
    monkeypatch.setattr(
        benchmark, "detect", lambda video, detector, out: write(out, 12, [0, 2, 4, 6, 8], 51)
    )
    detector = cast(PoseDetector, Finder())
    assert benchmark.compare(video, Path("python"), None, detector) == pytest.approx(1920 / 320)
    line = capsys.readouterr().out
    assert " 6 frames" in line and "lost: theirs 0, ours 1, found only by theirs 1" in line
