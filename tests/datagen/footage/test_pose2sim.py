"""The Pose2Sim demo's formats, from a made-up demo whose cameras and joints are known."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from footage_world import film, records
from scipy.spatial.transform import Rotation

from datagen import ingest, verify
from datagen.common.errors import BadInput
from datagen.common.record import JOINTS, KEYPOINTS
from datagen.footage import pose2sim
from datagen.footage.calibration import read_cameras
from trainer.data.dataset import open_dataset
from trainer.data.loader import read_clips, wanted_arrays
from trainer.data.records import META
from trainer.evaluate import table, tally
from trainer.evaluation.metrics import pa_mpjpe, summarize
from trainer.evaluation.windows import PredictedClip

LIMBS = [JOINTS.index(name) for name in KEYPOINTS]
SHIFT = np.array([9.0, -4.0])
"""Pixels by which the made-up calibration's principal points are wrong."""
NAMES = {
    "RHip": 2, "RKnee": 1, "RAnkle": 0, "RBigToe": None, "LHip": 3, "LKnee": 4, "LAnkle": 5,
    "Neck": None, "Head": None, "RShoulder": 8, "RElbow": 7, "RWrist": 6, "LShoulder": 9,
    "LElbow": 10, "LWrist": 11,
}  # fmt: skip
"""The .trc's names in its order → the place among record.KEYPOINTS."""
OPENPOSE25B = [16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9]
FRAMES = 40


def person() -> np.ndarray:
    """Return [N,12,3] metres, z up: somebody who waves, facing −y, their left at +x."""
    rest = np.array(
        [(-0.1, 0, 0.1), (-0.1, 0, 0.5), (-0.1, 0, 0.9), (0.1, 0, 0.9), (0.1, 0, 0.5),
         (0.1, 0, 0.1), (-0.45, 0, 1.0), (-0.3, 0, 1.2), (-0.2, 0, 1.45), (0.2, 0, 1.45),
         (0.3, 0, 1.2), (0.45, 0, 1.0)]
    )  # fmt: skip
    t = np.arange(FRAMES)
    points = np.repeat(rest[None], FRAMES, 0)
    for wrist, elbow, angle in ((11, 10, 1.2 * np.sin(t / 9)), (6, 7, 0.8 * np.sin(t / 12))):
        turn = Rotation.from_rotvec(np.outer(angle, [0.6, 0.8, 0])).as_matrix()
        points[:, wrist] = rest[elbow] + turn @ (rest[wrist] - rest[elbow])
    points[..., 0] += 0.004 * t[:, None]
    return points


def looking(eye: np.ndarray) -> np.ndarray:
    """Return R of a camera (x right, y down, z forward) at `eye` that looks at the person."""
    forward = np.array([0, 0, 0.9]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pose2sim")
    joints = person()
    new = root / "new" / "Pose2Sim" / "Demo_SinglePerson"
    old = root / "old" / "Pose2Sim" / "Demo"
    for folder in (new / "videos", new / "calibration", old / "opensim", old / "pose"):
        folder.mkdir(parents=True)
    cameras = ""
    for number, eye in enumerate(([0.5, -4, 1.6], [-3.5, -1.5, 1.2]), 1):
        eye = np.array(eye)
        rotation = looking(eye)
        seen = (joints - eye) @ rotation.T
        k = np.array([[500.0, 0, 160], [0, 500, 120], [0, 0, 1]])
        pixels = cv2.projectPoints(seen.reshape(-1, 3), np.zeros(3), np.zeros(3), k, None)[0]
        pixels = pixels.reshape(FRAMES, 12, 2)
        folder = old / "pose" / f"cam{number}_json"
        folder.mkdir()
        for t in range(FRAMES):
            points = np.zeros((25, 3))
            points[OPENPOSE25B] = np.c_[pixels[t], np.full(12, 0.7)]
            small = points * [0.2, 0.2, 1]  # a bystander
            people = [{"pose_keypoints_2d": p.ravel().tolist()} for p in (small, points)]
            text = json.dumps({"people": people})
            (folder / f"cam0{number}.{t:04d}.json").write_text(text)
        late = np.concatenate([pixels[:1], pixels[:-1]])  # the film starts a frame earlier
        shown = np.concatenate([late, np.ones((FRAMES, 12, 1))], -1)
        film(new / "videos" / f"cam0{number}.mp4", [shown], fps=60)
        q = np.diag([1.0, -1, -1]) @ rotation
        turn = " ".join(f'r{i + 1}{j + 1}="{q[i, j]}"' for i in range(3) for j in range(3))
        place = " ".join(f'{a}="{v}"' for a, v in zip("xyz", eye * 1000, strict=True))
        u, v = (k[:2, 2] - SHIFT) * 64
        cameras += (
            f'<camera serial="cam{number}"><transform {turn} {place}/><intrinsic '
            f'centerPointU="{u}" centerPointV="{v}" focalLengthU="32000" focalLengthV="32000"/>'
            "</camera>"
        )
    text = f"<calibration><cameras>{cameras}</cameras></calibration>"
    (new / "calibration" / "Calib.qca.txt").write_text(text)
    upright = joints[..., [1, 2, 0]]  # Y, Z, X are the .trc's X, Y, Z
    rows = []
    for t in range(FRAMES):
        values = [*(upright[t, i] if i is not None else np.zeros(3) for i in NAMES.values())]
        rows.append("\t".join([str(t + 1), str(t / 60), *map(str, np.concatenate(values))]) + "\t")
    head = [
        "PathFileType\t4\t(X/Y/Z)\tx.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits",
        f"60\t60\t{FRAMES}\t{len(NAMES)}\tm",
        "Frame#\tTime\t" + "\t\t\t".join(NAMES) + "\t\t",
        "\t\t" + "\t".join(f"{a}{i}" for i in range(1, len(NAMES) + 1) for a in "XYZ"),
    ]
    (old / "opensim" / "Balancing_for_IK.trc").write_text("\n".join([*head, *rows]) + "\n")
    return root


@pytest.fixture(scope="module")
def made(demo, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    assert ingest.main(["pose2sim", "--root", str(demo), "--out", str(out)]) == 0
    return out


def test_joints_are_those_of_the_frame_before_in_the_cameras_view(made):
    joints, eye = person(), np.array([0.5, -4, 1.6])
    seen = (joints - eye) @ looking(eye).T
    even, odd = records(made)[:2]
    assert even["source"].tolist() == list(range(0, FRAMES, 2))
    assert odd["source"].tolist() == list(range(1, FRAMES, 2))
    assert np.abs(even["joints3d"][1:, LIMBS] - seen[1::2][: len(even["valid"]) - 1]).max() < 1e-5
    assert np.abs(odd["joints3d"][:, LIMBS] - seen[0::2]).max() < 1e-5
    assert even["valid"].tolist() == [0] + [1] * 19 and odd["valid"].all()
    assert even["occluded"].tolist() == [1] + [0] * 19


def test_things_fall_down_the_calibrations_z(made):
    for record, eye in zip(records(made)[::2], ([0.5, -4, 1.6], [-3.5, -1.5, 1.2]), strict=True):
        assert record["gravity"] == pytest.approx(looking(np.array(eye)) @ [0, 0, -1], abs=1e-6)
        assert record["gravity"][1] > 0.7


def test_keypoints_lie_on_the_picture(made):
    """Which they do only with the videos' frame taken for the keypoints' frame before it."""
    for record in records(made):
        for t in np.flatnonzero(record["occluded"] == 0):
            x, y, seen = record["joints2d"][t, JOINTS.index("lsp_left_wrist")]
            r, g, _ = record["rgb"][t, round(float(y)), round(float(x))].astype(int)
            assert seen and r > 140 and g < 130


def test_the_principal_point_is_corrected(made):
    for record in records(made):
        offset = record["meta"]["principal_offset"]
        assert offset == pytest.approx(SHIFT, abs=0.05)
        assert record["camera"][:2, 2] == pytest.approx([160, 120], abs=0.05)


def clips_of(made: Path) -> list[PredictedClip]:
    """Return the records as if predicted, one wrist off by 6 cm."""
    clips = []
    read = read_clips(open_dataset(made), wanted_arrays("keypoints"), frozenset({META}))
    for record, arrays in read:
        clip = PredictedClip(record, arrays)
        predicted = arrays["joints3d"].astype(float)
        predicted[:, LIMBS[11]] += [0.06, 0, 0]
        clip.prediction["joints"] = torch.from_numpy(predicted)
        clips.append(clip)
    return clips


def test_the_evaluator_scores_each_camera_on_twelve_joints(made):
    dataset = open_dataset(made)
    assert dataset.evaluation_names == KEYPOINTS
    assert verify.main([str(made)]) == 0
    results = summarize(tally(clips_of(made), dataset, [], 0))
    assert sorted(results["per_person"]) == ["cam01", "cam02"]
    for row in results["per_person"].values():
        assert row["frames"] == FRAMES - 1
        assert row["mpjpe"] == pytest.approx(5, abs=1e-3)
    assert results["every_frame"]["mpjpe"] == pytest.approx(5, abs=1e-3)  # not the frame of zeros


def test_the_refined_truth_is_named_and_its_bones_keep_their_lengths(demo, made, tmp_path, capsys):
    out = tmp_path / "refined"
    command = ["pose2sim", "--root", str(demo), "--out", str(out), "--truth", "refined"]
    assert ingest.main(command) == 0
    assert open_dataset(out).truth_source == "refined"
    assert open_dataset(made).truth_source == "trc"
    assert open_dataset(out).fingerprint != open_dataset(made).fingerprint
    eyes = [np.array([0.5, -4, 1.6])] * 2 + [np.array([-3.5, -1.5, 1.2])] * 2
    for record, same, eye in zip(records(out), records(made), eyes, strict=True):
        assert record["meta"]["truth"] == "refined" and same["meta"]["truth"] == "trc"
        known = record["valid"] > 0
        found = torch.from_numpy(record["joints3d"][known][:, LIMBS]).double()
        seen = (person() - eye) @ looking(eye).T
        source = record["source"][known] - pose2sim.LATE
        assert float(pa_mpjpe(found, torch.from_numpy(seen[source])).mean()) < 10
        thigh = (found[:, 2] - found[:, 1]).norm(dim=-1)
        assert float(thigh.std() / thigh.mean()) < 2e-3
    assert ingest.main(command[:-2]) == 2  # two truths in one folder would be averaged
    assert "--truth refined → --truth trc" in capsys.readouterr().err


def test_of_several_people_the_one_on_the_truth_is_taken():
    true = person()[..., [0, 2]] * 100
    people = np.zeros((FRAMES, 3, 14, 3), np.float32)
    people[:, 1, :12] = np.concatenate([true + 2, np.ones((*true.shape[:2], 1))], -1)
    people[:, 0, :12] = people[:, 1, :12] + [150, 0, 0]  # somebody beside
    people[10:20, 1, :6] = 0  # legs hidden
    sides = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6]
    people[5, 1, :12] = people[5, 1, sides]  # taken for his back
    people[::2] = people[::2, ::-1]  # a detector's order means nothing
    people[30] = 0
    people[31] = people[32, 2]  # only the other one
    found = pose2sim.nearest(people, true)
    for t in range(FRAMES):
        if t in (30, 31):
            assert not found[t].any()
            continue
        assert (found[t, :6, 2] > 0).all() == (t not in range(10, 20))
        order = sides if t == 5 else range(12)
        assert np.abs(found[t, 6:12, :2] - true[t, order][6:] - 2).max() < 1e-3


def test_keypoints_of_another_detector_take_the_place_of_openposes(demo, tmp_path):
    sources = pose2sim.find_sources(demo)
    camera = sources[0].open().tracks
    whole = np.zeros((FRAMES, 2, 14, 3), np.float32)
    for track in camera:
        whole[track.source, 1] = track.points
    whole[:, 1, :12, :2] += [3, -2]
    whole[:, 0] = whole[:, 1] * [0.3, 0.3, 1]  # a bystander, first in the file
    np.savez(tmp_path / "found.npz", keypoints=whole, layout="evaluation")
    source = replace(sources[0], found=tmp_path / "found.npz")
    assert source.identity() != sources[0].identity()
    for ours, theirs in zip(source.open().tracks, camera, strict=True):
        known = theirs.truth.valid
        assert np.abs(ours.points[known, :12] - theirs.points[known, :12] - [3, -2, 0]).max() < 1e-3
        assert ours.truth.joints3d == pytest.approx(theirs.truth.joints3d)
        moved = ours.truth.camera[:2, 2] - theirs.truth.camera[:2, 2]
        assert moved == pytest.approx([3, -2], abs=0.1)  # the pictures of scene multi are shifted


@pytest.mark.parametrize(
    "options", ["--scene multi", "--embedded --keypoints mediapipe", "--embedded --scene multi"]
)
def test_choices_that_do_not_exist_are_refused(options, capsys):
    assert ingest.main(["pose2sim", *options.split()]) == 2
    assert "--keypoints" in capsys.readouterr().err


def test_the_evaluator_says_which_truth_it_measured(made):
    results = summarize(tally(clips_of(made), open_dataset(made), [], 0))
    assert table({**results, "truth_source": "refined"}).endswith("truth: refined")
    assert "truth" not in table({**results, "truth_source": ""})


def test_a_demo_with_parts_missing_is_refused(demo, tmp_path):
    with pytest.raises(BadInput, match=r"pose2sim==0\.9\.8"):
        pose2sim.find_sources(tmp_path)
    (tmp_path / "Demo_SinglePerson/calibration").mkdir(parents=True)
    calibration = next(demo.rglob("*.qca.txt"))
    (tmp_path / "Demo_SinglePerson/calibration/Calib.qca.txt").write_text(calibration.read_text())
    with pytest.raises(BadInput, match=r"pose2sim==0\.4\.0"):
        pose2sim.find_sources(tmp_path)


@pytest.mark.parametrize("text", ["", "x", "<a/>", "<a><camera/></a>"])
def test_a_damaged_calibration_is_refused(tmp_path, text):
    path = tmp_path / "Calib.qca.txt"
    path.write_text(text)
    if text == "<a/>":
        assert read_cameras(path) == []
        return
    with pytest.raises(BadInput, match="not a Qualisys calibration"):
        read_cameras(path)


def test_keypoints_without_anybody_are_named(demo, tmp_path):
    nobody = {"people": [{"pose_keypoints_2d": [0] * 75}]}
    (tmp_path / "a_0.json").write_text(json.dumps(nobody))
    source = pose2sim.find_sources(demo)[0]
    recording = replace(source.recording, keypoints=(tmp_path, source.recording.keypoints[1]))
    with pytest.raises(BadInput, match="has no person"):
        replace(source, recording=recording).open()


def test_a_damaged_trc_is_refused(demo, tmp_path):
    good = next(demo.rglob("*.trc")).read_text()
    path = tmp_path / "x.trc"
    for text in ("", good[:200], good.replace("LWrist", "Nothing"), good.replace("\tm\n", "\tk\n"),
                 good[:-50]):  # fmt: skip
        path.write_text(text)
        with pytest.raises(BadInput, match=r"x\.trc"):
            pose2sim.read_trc(path)
