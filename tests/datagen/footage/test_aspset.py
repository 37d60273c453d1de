"""ASPset-510's layout, from stand-ins written as its own tools write it (ezc3d)."""

import json
from pathlib import Path

import cv2
import ezc3d
import numpy as np
import pytest
from footage_world import film, records
from scipy.spatial.transform import Rotation

from benchmarks import aspset as benchmark
from datagen import ingest, verify
from datagen.common.errors import BadInput
from datagen.common.record import EVAL_JOINTS, JOINTS, KEYPOINTS
from datagen.footage import aspset
from trainer.data.dataset import open_dataset

FRAMES = 40
COCO = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow"
    " left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
STANDING = {
    "right_ankle": (-90, 880, 0), "right_knee": (-90, 460, 0), "right_hip": (-100, 40, 0),
    "right_wrist": (-260, 30, 0), "right_elbow": (-230, -210, 0), "right_shoulder": (-180, -470, 0),
    "left_ankle": (90, 880, 0), "left_knee": (90, 460, 0), "left_hip": (100, 40, 0),
    "left_wrist": (260, 30, 0), "left_elbow": (230, -210, 0), "left_shoulder": (180, -470, 0),
    "head_top": (0, -790, 0), "head": (0, -640, 0), "neck": (0, -500, 0), "spine": (0, -230, 0),
    "pelvis": (0, 0, 0),
}  # fmt: skip
"""Millimetres, y down, to the camera; its order is the .c3d's."""
INTRINSIC = np.array([[400.0, 0, 160, 0], [0, 400, 120, 0], [0, 0, 1, 0]])


def person() -> np.ndarray:
    """Return [N,17,3] mm of somebody who walks by and swings the arms."""
    t = np.arange(FRAMES)
    joints = np.repeat(np.array(list(STANDING.values()), float)[None], FRAMES, 0)
    names = list(STANDING)
    for side, sign in (("left", 1), ("right", -1)):
        joints[:, names.index(f"{side}_wrist"), 2] += sign * 200 * np.sin(t / 4)
        joints[:, names.index(f"{side}_ankle"), 2] -= sign * 250 * np.sin(t / 4)
    joints[..., 0] += 20 * t[:, None] - 400
    return joints


def extrinsic(degrees: float) -> np.ndarray:
    """Return a camera's [4,4]: 5 m away, turned about the vertical and tilted."""
    turn, _ = cv2.Rodrigues(np.array([0.1, np.radians(degrees), 0]))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, [30, -20, 5000]
    return matrix


CAMERAS = {"left": extrinsic(-40), "mid": extrinsic(0), "right": extrinsic(35)}


def seen_by(camera: str) -> np.ndarray:
    """Return the joints [N,17,3] mm in a camera's axes, by its extrinsic matrix."""
    matrix = CAMERAS[camera]
    return person() @ matrix[:3, :3].T + matrix[:3, 3]


def pixels(camera: str) -> np.ndarray:
    """Return [N,17,2] by OpenCV."""
    turn, shift = cv2.Rodrigues(CAMERAS[camera][:3, :3])[0], CAMERAS[camera][:3, 3]
    found, _ = cv2.projectPoints(person().reshape(-1, 3), turn, shift, INTRINSIC[:, :3], None)
    return found.reshape(FRAMES, 17, 2)


def write_c3d(path: Path, joints: np.ndarray, names=tuple(STANDING), units: str = "mm") -> None:
    """Write joints [N,J,3] as posekit, the data set's library, does."""
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [50.0]
    file["parameters"]["POINT"]["UNITS"]["value"] = [units]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(names)
    file.add_parameter("POINT", "SKEL", ["aspset_17j"])
    file["data"]["points"] = joints.transpose(2, 1, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.write(str(path))


def write_clip(root: Path, part: str, subject: str, clip: str, cameras) -> None:
    folder = root / part
    write_c3d(folder / "joints_3d" / subject / f"{subject}-{clip}.c3d", person())
    names = list(STANDING)
    for camera in cameras:
        stored = {"intrinsic_matrix": INTRINSIC.ravel().tolist(),
                  "extrinsic_matrix": CAMERAS[camera].ravel().tolist()}  # fmt: skip
        path = folder / "cameras" / subject / f"{subject}-{camera}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(stored))
        seen = np.concatenate([pixels(camera), np.ones((FRAMES, 17, 1))], -1)
        limbs = seen[:, [names.index(limb.removeprefix("lsp_")) for limb in KEYPOINTS]]
        video = folder / "videos" / subject / f"{subject}-{clip}-{camera}.mkv"
        video.parent.mkdir(parents=True, exist_ok=True)
        film(video, [limbs], fps=50)
        points = np.zeros((FRAMES, 2, 17, 3))
        for place, name in enumerate(COCO):
            if name in names:
                points[:, 1, place] = seen[:, names.index(name)]
        points[:, 0] = points[:, 1] * [0.3, 0.3, 1]  # a bystander, first
        (root / "found").mkdir(exist_ok=True)
        np.save(root / "found" / f"{video.stem}.npy", points)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("aspset")
    write_clip(root, "test", "04ac", "0026", ["mid"])
    write_clip(root, "trainval", "1e28", "0001", CAMERAS)
    (root / "splits.csv").write_text(
        "subject_id,clip_id,split,camera_id\n04ac,0026,test,mid\n1e28,0001,train,all\n"
    )
    return root


@pytest.fixture(scope="module")
def made(root, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    line = ["aspset", "--root", root, "--keypoints", root / "found", "--out", out]
    assert ingest.main([*map(str, line), "--image-size", "64"]) == 0
    return out


EVAL = [JOINTS.index(name) for name in EVAL_JOINTS]
PLACES = [list(STANDING).index(name.removeprefix("lsp_")) for name in EVAL_JOINTS]


class TestRecords:
    def test_even_and_odd_frames_have_the_truth_in_the_cameras_axes(self, made):
        even, odd = records(made)
        right = seen_by("mid")[:, PLACES] / 1000
        for record, phase in ((even, 0), (odd, 1)):
            assert record["source"].tolist() == list(range(phase, FRAMES, 2))
            assert np.abs(record["joints3d"][:, EVAL] - right[phase::2]).max() < 1e-5
            assert record["valid"].all() and record["meta"]["person"] == "04ac"
            assert record["meta"]["track"] == f"04ac-0026-mid_{phase}"
            assert record["meta"]["fps"] == 25

    def test_its_keypoints_are_the_detected_ones_of_the_person(self, made):
        even, _ = records(made)
        maps = even["crop"].astype(float)
        limbs = even["joints2d"][:, [JOINTS.index(name) for name in KEYPOINTS]]
        back = (limbs[..., :2] - maps[:, None, :, 2]) / maps[:, [0, 1], [0, 1]][:, None]
        assert (limbs[..., 2] == 1).mean() > 0.9
        off = np.abs(back - pixels("mid")[::2, PLACES[:12]])[limbs[..., 2] > 0]
        assert off.max() < 0.01

    def test_camera_and_gravity(self, made):
        even, _ = records(made)
        assert np.allclose(even["camera"], INTRINSIC[:, :3])
        assert np.allclose(even["gravity"], CAMERAS["mid"][:3, :3] @ [0, 1, 0], atol=1e-6)

    def test_it_is_a_data_set_to_evaluate_on(self, made):
        assert verify.main([str(made)]) == 0
        dataset = open_dataset(made)
        assert dataset.evaluation_names == EVAL_JOINTS

    def test_the_other_splits_have_three_cameras(self, root):
        found = aspset.find_sources(root, "train")
        assert [source.name for source in found] == [f"1e28-0001-{c}" for c in CAMERAS]
        assert {source.part for source in found} == {"trainval"}


def test_a_camera_projects_as_opencv(root):
    camera = aspset.read_camera(root / "trainval" / "cameras" / "1e28" / "1e28-right.json")
    assert np.abs(camera.project(person() / 1000) - pixels("right")).max() < 1e-6


class TestBadInput:
    def test_a_folder_without_splits(self, tmp_path):
        with pytest.raises(BadInput, match=r"no splits\.csv"):
            aspset.find_sources(tmp_path, "test")

    def test_other_columns_and_empty_splits(self, tmp_path):
        (tmp_path / "splits.csv").write_text("a,b\n")
        with pytest.raises(BadInput, match="not ASPset-510's"):
            aspset.find_sources(tmp_path, "test")
        (tmp_path / "splits.csv").write_text("04ac,0026,test,mid\n")
        with pytest.raises(BadInput, match="no clips of the split val"):
            aspset.find_sources(tmp_path, "val")
        with pytest.raises(BadInput, match="none of the split's files"):
            aspset.find_sources(tmp_path, "test")

    def test_a_missing_clip_is_left_out_by_name(self, root, tmp_path, capsys):
        (tmp_path / "test").symlink_to(root / "test")
        (tmp_path / "splits.csv").write_text("04ac,0026,test,mid\n04ac,0027,test,mid\n")
        assert [one.clip for one in aspset.find_sources(tmp_path, "test")] == ["0026"]
        assert "04ac-0027-mid.mkv is missing" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("names", "units", "message"),
        [
            ([f"x{i}" for i in range(17)], "mm", r"17 points \(x0, x1, x2 …\) in mm"),
            (tuple(STANDING), "furlong", "in furlong"),
        ],
    )
    def test_another_c3d(self, tmp_path, names, units, message):
        write_c3d(tmp_path / "x.c3d", person(), names, units)
        with pytest.raises(BadInput, match=message):
            aspset.read_joints(tmp_path / "x.c3d")

    @pytest.mark.parametrize("number", [np.nan, np.inf, 1e30])
    def test_absurd_joints_of_a_c3d(self, tmp_path, number):
        write_c3d(tmp_path / "x.c3d", np.full_like(person(), number))
        with pytest.raises(BadInput, match=r"x\.c3d"):
            aspset.read_joints(tmp_path / "x.c3d")

    @pytest.mark.parametrize("content", [b"", b"PK", bytes(600)])
    def test_a_damaged_c3d_or_camera(self, tmp_path, content):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(BadInput, match=r"not a readable \.c3d"):
            aspset.read_joints(tmp_path / "x")
        with pytest.raises(BadInput, match="not a camera"):
            aspset.read_camera(tmp_path / "x")


def procrustes(points: np.ndarray, target: np.ndarray) -> float:
    """Return the mean distance after the best rotation, scale and shift, by SciPy."""
    a, b = points - points.mean(0), target - target.mean(0)
    turn, _ = Rotation.align_vectors(b, a)
    turned = turn.apply(a)
    scale = (turned * b).sum() / (a**2).sum()
    return float(np.linalg.norm(scale * turned - b, axis=1).mean())


class TestProtocol:
    def predictions(self, folder: Path, joints: np.ndarray) -> Path:
        """Write joints [N,17,3] mm as trainer.predict's files of the two tracks."""
        folder.mkdir()
        for phase in (0, 1):
            out = np.zeros((len(joints[phase::2]), len(JOINTS), 3), np.float32)
            for name, place in benchmark.PLACES.items():
                out[:, JOINTS.index(place)] = joints[phase::2, list(STANDING).index(name)] / 1000
            np.savez(
                folder / f"04ac-0026-mid_{phase}.npz", joints=out, names=np.array(JOINTS),
                source=np.arange(phase, FRAMES, 2), pose=np.zeros((len(out), 72)),
                trans=np.zeros((len(out), 3)),
            )  # fmt: skip
        return folder

    def test_the_truth_has_no_error(self, root, tmp_path):
        found = benchmark.measure(root, self.predictions(tmp_path / "p", seen_by("mid")), "test")
        assert found["frames"] == FRAMES // 5
        assert found["rr_mpjpe"] < 1e-2 and found["pa_mpjpe"] < 1e-2
        assert found["rr_pck"] == found["pa_pck"] == 1

    def test_each_metric_means_what_it_says(self, root, tmp_path):
        """A doubled skeleton is only wrong before alignment; one wrist 200 mm off is one of 17."""
        joints = seen_by("mid")
        pelvis = joints[:, 16:]
        doubled = benchmark.measure(
            root, self.predictions(tmp_path / "a", pelvis + 2 * (joints - pelvis)), "test"
        )
        mean = np.linalg.norm((joints - pelvis)[::5], axis=-1).mean()
        assert doubled["rr_mpjpe"] == pytest.approx(mean, rel=1e-3) and doubled["pa_mpjpe"] < 1e-2
        off = joints.copy()
        off[:, 3, 0] += 200
        one = benchmark.measure(root, self.predictions(tmp_path / "b", off), "test")
        assert one["rr_mpjpe"] == pytest.approx(200 / 17, rel=1e-3)
        assert one["rr_pck"] == pytest.approx(16 / 17)
        assert one["pa_mpjpe"] == pytest.approx(np.mean([*map(procrustes, off[::5], joints[::5])]))

    def test_missing_predictions_are_named(self, root, tmp_path):
        folder = self.predictions(tmp_path / "p", seen_by("mid"))
        (folder / "04ac-0026-mid_1.npz").unlink()
        with pytest.raises(BadInput, match="04ac-0026-mid_1"):
            benchmark.measure(root, folder, "test")
