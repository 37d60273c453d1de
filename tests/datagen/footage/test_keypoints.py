"""2D keypoints of every layout and file, and who is who among them."""

import json
from pathlib import Path

import numpy as np
import pytest
from footage_world import write_keypoints
from keypoint_orders import ORDERS

from datagen.common.errors import BadInput
from datagen.common.record import EVAL_JOINTS
from datagen.footage.keypoint_files import read_keypoints
from datagen.footage.keypoints import HEAD, NECK, evaluation_points, within
from datagen.footage.layouts import LAYOUTS
from datagen.footage.recognition import recognise
from datagen.footage.tracking import choose, link

PERSON = {
    "nose": (50, 12), "left_eye": (53, 10), "right_eye": (47, 10), "left_ear": (56, 11),
    "right_ear": (44, 11), "neck": (50, 24), "left_shoulder": (62, 24), "right_shoulder": (38, 24),
    "left_elbow": (70, 40), "right_elbow": (30, 40), "left_wrist": (74, 56),
    "right_wrist": (26, 56), "left_hip": (58, 56), "right_hip": (42, 56), "left_knee": (60, 80),
    "right_knee": (40, 80), "left_ankle": (61, 104), "right_ankle": (39, 104),
    "head_top": (50, 0), "mid_hip": (50, 56), "spine": (50, 40), "upper_neck": (50, 22),
}  # fmt: skip
"""A standing person who faces the camera: their left is on the picture's right."""


def person(layout: str, confidence: float = 0.9) -> np.ndarray:
    points = np.zeros((LAYOUTS[layout].points, 3))
    for place, name in ORDERS[layout].items():
        points[place] = (*PERSON[name], confidence)
    return points


@pytest.mark.parametrize("layout", ORDERS)
class TestLayouts:
    def test_joints_land_where_they_belong(self, layout):
        points = evaluation_points(person(layout), LAYOUTS[layout])
        for name, point in zip(EVAL_JOINTS[:13], points, strict=False):
            assert point.tolist() == [*PERSON[name.removeprefix("lsp_")], 1], name

    def test_the_crown_is_measured_or_guessed_within_a_tenth_of_the_trunk(self, layout):
        crown = evaluation_points(person(layout), LAYOUTS[layout])[HEAD]
        assert crown[2] == 1
        assert np.abs(crown[:2] - PERSON["head_top"]).max() < 4.5

    def test_it_is_known_by_its_points(self, layout):
        found = recognise(person(layout)[None, None], None, "this")
        assert found is not None and found.name == layout

    def test_unsure_points_are_unseen(self, layout):
        limit = LAYOUTS[layout].threshold
        points = person(layout, confidence=limit * 0.9)
        assert not evaluation_points(points, LAYOUTS[layout]).any()
        assert evaluation_points(points, LAYOUTS[layout], limit / 2)[:12, 2].all()


def test_a_missing_shoulder_leaves_no_neck_for_coco():
    points = person("coco17")
    points[5, 2] = 0
    seen = evaluation_points(points, LAYOUTS["coco17"])
    assert seen[NECK, 2] == 0 and seen[EVAL_JOINTS.index("lsp_left_shoulder"), 2] == 0


def test_points_off_the_picture_are_dropped_as_in_training():
    points = evaluation_points(person("coco17"), LAYOUTS["coco17"])[None]
    points[0, :, 1] -= 10
    points[0, :, 1] *= 1.2
    shown = within(points, 200, 100)
    assert shown[0, HEAD, 2] == 0 and (shown[0, :12, 2] == [0, 1, 1, 1, 1, 0, *[1] * 6]).all()


class TestFiles:
    def openpose(self, folder: Path, frames: list[list[np.ndarray]]) -> Path:
        folder.mkdir()
        for number, people in enumerate(frames):
            content = {
                "people": [{"pose_keypoints_2d": p.ravel().tolist(), "person_id": [-1]}
                           for p in people]
            }  # fmt: skip
            name = f"clip_{number:012d}_keypoints.json"
            (folder / name).write_text(json.dumps(content))
        return folder

    def test_openpose_folder(self, tmp_path):
        one = person("openpose25")
        folder = self.openpose(tmp_path / "json", [[one], [], [one, one]])
        people = read_keypoints(folder, 3)
        assert people.shape == (3, 2, 14, 3)
        assert (people[..., 2].any(-1) == [[1, 0], [0, 0], [1, 1]]).all()
        assert people[0, 0, 0].tolist() == [*PERSON["right_ankle"], 1]

    def test_openpose_frames_are_ordered_by_number_not_by_letters(self, tmp_path):
        folder = tmp_path / "json"
        folder.mkdir()
        for number in range(11):
            one = person("openpose18")
            one[:, 0] += number
            content = {"people": [{"pose_keypoints_2d": one.ravel().tolist()}]}
            (folder / f"frame{number}.json").write_text(json.dumps(content))
        x = read_keypoints(folder)[:, 0, 0, 0]
        assert (np.diff(x) == 1).all()

    @pytest.mark.parametrize("suffix", [".npy", ".json", ".npz"])
    @pytest.mark.parametrize("people", [1, 2])
    def test_arrays(self, tmp_path, suffix, people):
        points = np.repeat(person("coco17")[None, None], people, 1).repeat(4, 0)
        points = points if people > 1 else points[:, 0]
        path = tmp_path / f"points{suffix}"
        if suffix == ".npy":
            np.save(path, points)
        elif suffix == ".json":
            path.write_text(json.dumps(points.tolist()))
        else:
            write_keypoints(path, points, "coco17")
        read = read_keypoints(path, 4)
        assert read.shape == (4, people, 14, 3)
        assert read[2, -1, 9].tolist() == [*PERSON["left_shoulder"], 1]

    @pytest.mark.parametrize("first", [0, 1])
    def test_coco_results_leave_out_empty_frames(self, tmp_path, capsys, first):
        path = tmp_path / "results.json"
        numbers = [0, 2, 2, 4]
        path.write_text(
            json.dumps(
                [{"image_id": f"{n + first:06d}.jpg", "score": 1,
                  "keypoints": person("coco17").ravel().tolist()} for n in numbers]
            )
        )  # fmt: skip
        people = read_keypoints(path, 5)
        assert people[..., 2].any(-1).sum(1).tolist() == [1, 0, 2, 0, 1]
        assert not capsys.readouterr().out
        read_keypoints(path, 7)  # frames 1 to 5 of 7, by either counting
        assert ("assumed to count from 0" in capsys.readouterr().out) == (first == 1)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (np.zeros((4, 19, 3)), "19 points"),
            (np.zeros((4, 17, 2)), "shape"),
            (np.zeros((17, 3)), "shape"),
            (np.zeros((5, 17, 3)), "5 frames, the video has 4"),
            (np.full((4, 17, 3), 0.5), "relative"),
            (np.array([["a"]]), "shape"),
        ],
    )
    def test_refused_arrays_say_why(self, tmp_path, content, message):
        np.save(tmp_path / "x.npy", content)
        with pytest.raises(BadInput, match=message):
            read_keypoints(tmp_path / "x.npy", 4)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("x.json", "{", "not JSON"),
            ("x.json", "{}", "neither"),
            ("x.json", "[[1],[2,3]]", "not an array"),
            ("x.json", "[[1, 2], [2, 3]]", r"shape \[2, 2\]"),
            ("x.json", '[{"keypoints": [1, 2]}]', "COCO results"),
            ("x.json", '[{"image_id": 1, "keypoints": []}]', "has no person"),
            (
                "x.json",
                '[{"image_id": 99999999, "keypoints": [1, 2, 3]}]',
                "which the video does not have",
            ),
            ("x.npy", "text", "cannot be read"),
            ("x.npz", "PK", "cannot be read"),
            ("x.txt", "", "must be"),
            ("absent", None, "does not exist"),
        ],
    )
    def test_refused_files_say_why(self, tmp_path, name, content, message):
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        with pytest.raises(BadInput, match=message):
            read_keypoints(path)

    def test_an_empty_or_foreign_folder_is_refused(self, tmp_path):
        with pytest.raises(BadInput, match=r"no \.json"):
            read_keypoints(tmp_path)
        (tmp_path / "0.json").write_text('{"shapes": []}')
        with pytest.raises(BadInput, match="not the output of OpenPose's --write_json"):
            read_keypoints(tmp_path)
        (tmp_path / "0.json").write_text('{"people": []}')
        with pytest.raises(BadInput, match="no person"):
            read_keypoints(tmp_path)

    def test_a_pickle_in_an_array_is_refused(self, tmp_path):
        np.save(tmp_path / "x.npy", np.array([{}], object))
        with pytest.raises(BadInput, match="cannot be read"):
            read_keypoints(tmp_path / "x.npy")


class TestTracks:
    def walkers(self) -> np.ndarray:
        """Two people who cross, listed in an order that flips every frame; the far one is half as
        tall and missing for a while."""
        body = evaluation_points(person("coco17"), LAYOUTS["coco17"])
        frames = np.zeros((60, 2, 14, 3), np.float32)
        for t in range(60):
            near, far = body.copy(), body.copy()
            near[:, 0] += 4 * t
            far[:, :2] = far[:, :2] * 0.5 + [240 - 3 * t, 150]
            if 20 <= t < 30:
                far[:] = 0
            frames[t] = (near, far) if t % 2 else (far, near)
        return frames

    def test_each_keeps_their_own_way(self):
        tracks = link(self.walkers())
        assert len(tracks) == 2
        near, far = tracks
        assert (np.diff(near[:, 0, 0]) == 4).all() and near[..., 2].all()
        seen = far[:, 0, 2] > 0
        assert (~seen).nonzero()[0].tolist() == list(range(20, 30))
        assert np.allclose(far[seen, 0, 1], 0.5 * PERSON["right_ankle"][1] + 150)

    def test_choice(self):
        tracks = link(self.walkers())
        assert list(choose(tracks, "largest", 8)) == [0]
        assert list(choose(tracks, "all", 8)) == [0, 1]
        assert list(choose(tracks, "all", 55)) == [0]
        assert list(choose(tracks, "1", 8)) == [1] and choose(tracks, "2", 8) == {}
        passer = 40 * tracks[0]  # for a moment, but close by
        passer[5:] = 0
        assert list(choose([passer, *tracks], "largest", 8)) == [1]
        assert choose([passer, *tracks], "largest", 100) == {} == choose([passer], "0", 8)

    def test_nobody(self):
        assert link(np.zeros((5, 2, 14, 3), np.float32)) == []
