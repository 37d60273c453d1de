"""The real person that comes with the program: its files agree with each other and are read."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from footage_world import records

from benchmarks import pose2sim as benchmark
from benchmarks.pose2sim import detector
from benchmarks.pose2sim import embedded as both_truths
from datagen import ingest, verify
from datagen.common.frames import frame_size, frame_times
from datagen.common.record import JOINTS, KEYPOINTS
from datagen.footage import pose2sim
from datagen.footage.embedded_clip import CLIP, CLIP_KEYPOINTS, CLIP_TRUTH, FOLDER, clip_joints
from datagen.footage.keypoint_files import read_keypoints
from datagen.footage.multiview import bone_lengths
from trainer.data.dataset import open_dataset
from trainer.evaluation.metrics import pa_mpjpe

LIMBS = [JOINTS.index(name) for name in KEYPOINTS]
WHEELS = [
    Path(os.environ.get("MOTION_HMR_SHARED_DATA", "../shared/data")) / "pose2sim",
    Path("~/.cache/motion-hmr/pose2sim").expanduser(),
]


def test_it_is_small_and_decodes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1.5e6
    times = frame_times(CLIP)
    assert len(times) == 50
    assert np.diff(times) == pytest.approx(1 / 30, abs=1e-3)
    assert frame_size(CLIP) == (540, 960)


@pytest.mark.parametrize("name", ["trc", "refined"])
def test_its_truth_lies_on_its_keypoints(name):
    points = read_keypoints(CLIP_KEYPOINTS, 50)[:, 0, :12]
    seen = points[..., 2] > 0
    assert seen.mean() > 0.99
    assert (points[seen][:, :2] > 0).all() and (points[seen][:, :2] < [540, 960]).all()
    with np.load(CLIP_TRUTH) as stored:
        joints, camera = stored[name].astype(float), stored[f"{name}_camera"].astype(float)
    pixels = cv2.projectPoints(joints.reshape(-1, 3), np.zeros(3), np.zeros(3), camera, None)[0]
    apart = np.linalg.norm(pixels.reshape(50, 12, 2) - points[..., :2], axis=-1)[seen]
    assert np.median(apart) < 6  # 1 % of the person; in the full picture twice as many


def test_refined_bones_keep_their_lengths_where_the_published_do_not():
    spread = {name: bone_lengths(clip_joints(name)).std(0) / bone_lengths(clip_joints(name)).mean(0)
              for name in ("trc", "refined")}  # fmt: skip
    assert spread["refined"][:9].max() < 0.002
    assert spread["trc"][:9].min() > 0.02


def test_what_mediapipe_finds_is_that_person():
    """PA-MPJPE as docs/accuracy.md has it: nearer than a held pose, further than the truths."""
    truths, predicted = both_truths()
    for name, error in (("trc", 81.6), ("refined", 78.7)):
        assert detector(predicted, truths[name])["clip"] == pytest.approx(error, abs=0.1)
    apart = float(pa_mpjpe(truths["refined"], truths["trc"]).mean())
    assert apart == pytest.approx(22.4, abs=0.1)


def test_the_benchmark_names_each_figure_by_whose_it_is(monkeypatch):
    """MediaPipe's error was called ours."""
    monkeypatch.setattr(benchmark, "held_mean", lambda truth: 96.0)
    truths, predicted = both_truths()
    line = benchmark.scores("trc", truths["trc"], predicted)
    assert line["mediapipe"] == pytest.approx(81.6, abs=0.1) and line["best_constant_pose"] == 96
    assert not {"ours", "baseline"} & line.keys()


@pytest.mark.parametrize("name", ["trc", "refined"])
def test_it_becomes_shards_with_truth(tmp_path, name):
    out = tmp_path / "person"
    command = ["pose2sim", "--embedded", "--truth", name, "--image-size", "64", "--out", str(out)]
    assert ingest.main(command) == 0
    assert verify.main([str(out)]) == 0
    dataset = open_dataset(out)
    assert dataset.truth_source == name and dataset.evaluation_names == KEYPOINTS
    (record,) = records(out)
    assert record["valid"].all() and record["source"].tolist() == list(range(50))
    assert record["joints3d"][:, LIMBS] == pytest.approx(clip_joints(name), abs=1e-6)
    assert record["meta"]["truth"] == name
    down = record["gravity"]  # and he is upright: his ankles lie below his shoulders
    assert np.linalg.norm(down) == pytest.approx(1, abs=1e-5)
    limbs = record["joints3d"][:, LIMBS]
    assert (limbs[:, [0, 5]].mean(1) - limbs[:, [8, 9]].mean(1)) @ down == pytest.approx(
        1.2, abs=0.3
    )
    # The detections in the crop and the truth through camera and crop are one person.
    image = record["joints3d"][:, LIMBS] @ record["camera"].T
    pixels = image[..., :2] / image[..., 2:]
    maps = record["crop"]
    crop = np.einsum("tij,tvj->tvi", maps[:, :2, :2], pixels) + maps[:, None, :2, 2]
    points = record["joints2d"][:, LIMBS]
    apart = np.linalg.norm(crop - points[..., :2], axis=-1)[points[..., 2] > 0]
    assert np.median(apart) < 1


def test_its_keypoints_are_read_like_any_others(tmp_path):
    out = tmp_path / "clip"
    command = ["video", str(CLIP), "--keypoints", str(CLIP_KEYPOINTS), "--image-size", "64"]
    assert ingest.main([*command, "--out", str(out)]) == 0
    (record,) = records(out)
    assert len(record["source"]) == 50 and not record["valid"].any()


def test_a_root_beside_it_is_refused(tmp_path, capsys):
    assert ingest.main(["pose2sim", "--embedded", "--root", str(tmp_path)]) == 2
    assert "--root" in capsys.readouterr().err


def test_it_is_what_the_program_makes_of_the_wheels():
    found = [root for root in WHEELS if list(root.rglob("Balancing_for_IK.trc"))]
    if not found:
        pytest.skip("the wheels of Pose2Sim are not at hand")
    source = pose2sim.find_sources(found[0])[0]
    for name in ("trc", "refined"):
        person = pose2sim.find_person(source.recording, name)
        seen = person.cameras[0].see(person.joints)[:100:2]
        assert np.abs(seen - clip_joints(name)).max() < 1e-3
    found = torch.from_numpy(person.joints)
    apart = pa_mpjpe(found, torch.from_numpy(pose2sim.read_trc(source.recording.trc)))
    assert float(apart.mean()) == pytest.approx(22.3, abs=0.2)
