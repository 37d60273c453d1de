"""What today's detectors write is read: the same people, of whichever container."""

import json
from pathlib import Path

import numpy as np
import pytest
from keypoint_orders import in_order, real_points

from datagen.common.errors import BadInput
from datagen.footage import frame_numbers
from datagen.footage.keypoint_files import read_keypoints, read_people
from datagen.footage.tracking import link

FRAMES = 12
POINTS = in_order(real_points(), "coco17")[:FRAMES]
EMPTY = 5
"""The frame without anybody."""


def right() -> np.ndarray:
    """Return what each container must give, from an array of the same points."""
    points = POINTS.copy()
    points[EMPTY] = 0
    return points


@pytest.fixture
def expected(tmp_path) -> np.ndarray:
    np.save(tmp_path / "right.npy", right())
    return read_keypoints(tmp_path / "right.npy", FRAMES)


def people(t: int) -> list[np.ndarray]:
    return [] if t == EMPTY else [POINTS[t]]


def openpose(points: np.ndarray) -> dict:
    return {"person_id": [-1], "pose_keypoints_2d": points.ravel().tolist()}


def mmpose(points: np.ndarray) -> dict:
    return {
        "keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist(),
        "bbox": [[0, 0, 1, 1]], "bbox_score": 0.9,
    }  # fmt: skip


def ultralytics(points: np.ndarray) -> dict:
    x, y, visible = points.T.tolist()
    return {"name": "person", "class": 0, "confidence": 0.9, "track_id": 1,
            "keypoints": {"x": x, "y": y, "visible": visible}}  # fmt: skip


def result(t: int, points: np.ndarray, **more) -> dict:
    flat = points.ravel().tolist()
    return {"image_id": t, "category_id": 1, "keypoints": flat, "score": 0.9, **more}


SKATEBOARD = {"name": "skateboard", "class": 36, "confidence": 0.9}
TIMES = range(FRAMES)
FILES = {
    "mmpose": [{"frame_id": t, "instances": [mmpose(p) for p in people(t)]} for t in TIMES],
    "mmpose_from_1": {
        "meta_info": {"dataset_name": "coco"},
        "instance_info": [{"frame_id": t + 1, "instances": [mmpose(p) for p in people(t)]}
                          for t in TIMES],
    },
    "ultralytics": [[*(ultralytics(p) for p in people(t)), SKATEBOARD] for t in TIMES],
    "ultralytics_text": [json.dumps([ultralytics(p) for p in people(t)]) for t in TIMES],
    "coco_results": [result(t, p) for t in TIMES for p in people(t)],
    "coco_from_1": [result(t + 1, p) for t in TIMES for p in people(t)],
    "coco_named": [result(f"clip_{t}_1080p.jpg", p) for t in TIMES for p in people(t)],
    "alphapose": [result(f"{t}.jpg", p, score=2.9, idx=1) for t in TIMES for p in people(t)],
    "alphapose_open": {
        f"{t}.jpg": {"version": 0.1, "people": [openpose(p) for p in people(t)]} for t in TIMES
    },
    "alphapose_cmu": {
        f"{t}.jpg": {"bodies": [{"joints": p.ravel().tolist()} for p in people(t)]} for t in TIMES
    },
    "coco_annotations": {
        "images": [{"id": 7 * t + 3, "file_name": f"{t:04d}.png"} for t in TIMES],
        "annotations": [result(7 * t + 3, np.where([False, False, True], 2 * (p > 0.3), p))
                        for t in TIMES for p in people(t)],
    },
    "ours": {"keypoints": right().tolist()},
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_container_gives_the_same_people(tmp_path, name, expected):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(FILES[name]))
    found = read_keypoints(path, FRAMES)
    assert (found == expected).all() and found[0, 0, :12, 2].all()


@pytest.mark.parametrize("kind", ["openpose", "openpose_old", "mmpose", "ultralytics", "cmu"])
@pytest.mark.parametrize("pattern", ["clip_{}_kp2d.json", "{:012d}_keypoints.json", "f{}.v2.json"])
def test_every_folder_gives_the_same_people(tmp_path, kind, pattern, expected):
    """The number that counts frames may not be the last, nor start at 0."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for t in TIMES:
        content = {
            "openpose": {"version": 1.3, "people": [openpose(p) for p in people(t)]},
            "openpose_old": {"people": [{"pose_keypoints": p.ravel().tolist()} for p in people(t)]},
            "mmpose": [mmpose(p) for p in people(t)],
            "ultralytics": [ultralytics(p) for p in people(t)],
            "cmu": {"bodies": [{"joints": p.ravel().tolist()} for p in people(t)]},
        }[kind]
        (folder / pattern.format(t + 3)).write_text(json.dumps(content))
    assert (read_keypoints(folder, FRAMES) == expected).all()


def detectron(path: Path, confidence: float = 0.06) -> Path:
    """Write what VideoPose3D's infer_video_d2.py writes."""
    keypoints = np.empty(FRAMES, object)
    for t in TIMES:
        rows = [np.stack([*p[:, :2].T, 0 * p[:, 0], 0 * p[:, 0] + confidence]) for p in people(t)]
        keypoints[t] = [[], np.array(rows, np.float32) if rows else []]
    np.savez_compressed(
        path, boxes=keypoints, segments=keypoints, keypoints=keypoints,
        metadata=np.array({"w": 540, "h": 960}, object),
    )  # fmt: skip
    return path


class TestDetectron:
    def test_its_object_arrays_are_read(self, tmp_path, expected):
        found = read_keypoints(detectron(tmp_path / "clip.mp4.npz"), FRAMES)
        assert np.abs(found[:, 0, :12] - expected[:, 0, :12]).max() < 1e-3
        assert found[0, 0, :12, 2].all()

    def test_its_threshold_is_its_own(self, tmp_path):
        assert not read_keypoints(detectron(tmp_path / "x.npz", 0.04), FRAMES).any()

    def test_code_in_it_is_not_run(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (Path(tmp_path / "ran").touch, ())

        bad = np.array([Evil(), 1], object)
        np.savez(tmp_path / "evil.npz", keypoints=bad)
        with pytest.raises(BadInput, match="rejected as Detectron"):
            read_keypoints(tmp_path / "evil.npz", FRAMES)
        assert not (tmp_path / "ran").exists()


class TestScores:
    def test_a_larger_false_detection_is_not_the_largest_person(self, tmp_path):
        ghost = POINTS * [1.5, 1.5, 1]
        for score, tracks in ((0.03, 1), (0.3, 2)):
            content = [result(t, p, score=s) for t in TIMES
                       for p, s in ((ghost[t], score), (POINTS[t], 0.97))]  # fmt: skip
            (tmp_path / "x.json").write_text(json.dumps(content))
            found = read_people(tmp_path / "x.json", FRAMES)
            linked = link(found.points, None, found.scores)
            assert len(linked) == tracks
            assert np.abs(linked[0][0, 9, :2] - POINTS[0, 5, :2]).max() < 1e-3

    def test_people_of_one_frame_number_are_several(self, tmp_path):
        content = [result(t, p) for t in TIMES for p in (POINTS[t], POINTS[t] + [300, 0, 0])]
        (tmp_path / "x.json").write_text(json.dumps(content))
        assert read_keypoints(tmp_path / "x.json", FRAMES).shape[1] == 2


class TestUnits:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda p: p * [1, 1, 100], "from .* to .*not in .*percent"),
            (lambda p: p * [1, 1, -30], "depth"),
            (lambda p: p * [1, 1, 400], "x, y and a confidence from 0 to 1"),
            (lambda p: p / [540, 960, 1], "relative"),
            (lambda p: p / [270, 480, 1] - [1, 1, 0], "relative"),
            (lambda p: p[::2], "6 frames, the video has 12.*not of every second"),
            (lambda p: p[:-1], "11 frames, the video has 12; give the keypoints of every frame of"),
        ],
    )
    def test_other_units_and_lengths_are_refused(self, tmp_path, change, message):
        np.save(tmp_path / "x.npy", change(POINTS))
        with pytest.raises(BadInput, match=message):
            read_keypoints(tmp_path / "x.npy", FRAMES)

    def test_a_little_above_1_is_a_confidence(self, tmp_path):
        np.save(tmp_path / "x.npy", POINTS * [1, 1, 1.2])
        assert read_keypoints(tmp_path / "x.npy", FRAMES)[..., 2].any()


class TestNumbers:
    @pytest.mark.parametrize(
        ("names", "numbers"),
        [
            (["clip_0007_1080p.jpg", "clip_0010_1080p.jpg"], [7, 10]),
            (["a/2024-01-02/9.jpg", "a/2024-01-02/10.jpg"], [9, 10]),
            (["img.0001", "img.0002"], [1, 2]),
            (["5_33.3ms", "6_66.6ms", "7_100.0ms"], [5, 6, 7]),
            ([3, 3, 4], [3, 3, 4]),
            (["take_12.png"], [12]),
        ],
    )
    def test_the_number_that_differs_counts(self, names, numbers):
        assert frame_numbers.numbers(names, "x") == numbers

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a_1.jpg", "b_1.jpg"], "different videos, 'a_1' and 'b_1'"),
            (["v1_1.jpg", "v1_2.jpg", "v2_1.jpg"], "no number in its names counts"),
            (["left.jpg", "right.jpg"], "contains no number"),
        ],
    )
    def test_names_that_do_not_count_are_refused(self, names, message):
        with pytest.raises(BadInput, match=message):
            frame_numbers.numbers(names, "x")

    def test_places_and_order(self):
        assert frame_numbers.order([102, 100, 101], 3, "x") == ([2, 0, 1], 3)
        assert frame_numbers.order([0, 3], 5, "x") == ([0, 3], 5)
        assert frame_numbers.order([0, 33, 66], 3, "x") == ([0, 1, 2], 3)
        assert frame_numbers.places([1, 5], 5, "x") == ([0, 4], 5)
        with pytest.raises(BadInput, match="frame number 7 twice"):
            frame_numbers.order([7, 8, 7], 3, "x")
        with pytest.raises(BadInput, match=r"lacks frame 5 \(it has 3 of 3 to 6"):
            frame_numbers.order([3, 4, 6], None, "x")
        with pytest.raises(BadInput, match="-1"):
            frame_numbers.places([-1, 5], 5, "x")
