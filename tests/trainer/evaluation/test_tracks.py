"""Predictions as motions: AMASS files, camera geometry, the pieces of a track."""

import io
import json
import shlex
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from trainer_fixtures import npz, write_shards

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.amass import read_amass
from trainer.data.dataset import open_dataset
from trainer.data.records import decode, read_shard
from trainer.errors import BadInput
from trainer.evaluate import evaluate
from trainer.evaluation.inference import remark_on_difference, remark_on_training
from trainer.evaluation.options import EvaluateConfig, PredictConfig
from trainer.evaluation.tracks import R_WORLD_CAMERA, into_world, tracks, translation
from trainer.evaluation.windows import PredictedClip
from trainer.fit import fit
from trainer.model.body import BodyJoints, read_body
from trainer.model.checkpoint import load_checkpoint, load_model, save_checkpoint
from trainer.predict import predict
from trainer.training.options import FitConfig

SIZE = 32


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("toy"), shards=1, clips=2, frames=10, size=SIZE)


@pytest.fixture(scope="module")
def checkpoint(toy, tmp_path_factory) -> Path:
    options = FitConfig(
        shards=toy, out=tmp_path_factory.mktemp("run"), device="cpu", steps=2, batch_size=2,
        image_size=SIZE, lstm_width=16, frames=5, inputs="keypoints", backbone="small",
    )  # fmt: skip
    return fit(options) / "last.pt"


def test_perspective_and_weak_perspective_projections_agree():
    rng = np.random.default_rng(0)
    camera = np.stack([rng.uniform(0.5, 1.2, 9), *rng.uniform(-0.3, 0.3, (2, 9))], 1)
    crop = np.zeros((9, 2, 3))
    crop[:, 0, 0] = crop[:, 1, 1] = rng.uniform(0.2, 3, 9)
    crop[:, :, 2] = rng.uniform(-500, 50, (9, 2))
    k = np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]])
    trans = translation(camera, crop, k, 224)
    for s, place, map_ in zip(camera, trans, crop, strict=True):
        across = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]])  # 10 cm in the image plane
        seen = cv2.projectPoints(across + place, np.zeros(3), np.zeros(3), k, None)[0][:, 0]
        units = s[0] * (across[:, :2] + s[1:])
        pixels = ((units + 1) * 224 - 1) / 2
        expected = (pixels - map_[:, 2]) / map_[0, 0]
        np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_the_file_is_an_amass_take(toy, checkpoint, tmp_path):
    predict(PredictConfig(checkpoint=checkpoint, shards=toy, out=tmp_path, device="cpu", frames=5))
    path = tmp_path / "000000_0001.npz"
    rotations, _, rate = read_amass(path)
    result = np.load(path)
    assert rate == 30 and result["gender"] == "neutral"
    body = Rotation.from_rotvec(result["pose"].reshape(10, 24, 3)[:, 1:22].reshape(-1, 3))
    read = Rotation.from_quat(rotations[:, 1:22].reshape(-1, 4))
    assert (body.inv() * read).magnitude().max() < 1e-5
    # A hardly trained network predicts the mean person, upright in the picture and the world.
    up = quat.rotate(rotations[:, 0], np.array([0.0, 1.0, 0.0]))
    root = Rotation.from_rotvec(result["pose"][:, :3]).as_matrix()
    np.testing.assert_allclose(up[:, 1], -root[:, 1, 1], atol=1e-5)
    assert (up[:, 1] > 0.7).all()


def test_predictions_of_two_networks_are_not_mixed(toy, checkpoint, tmp_path, capsys):
    out, other = tmp_path / "two words", tmp_path / "other.pt"
    look = PredictConfig(checkpoint=checkpoint, shards=toy, out=out, device="cpu", max_clips=1)
    for _ in range(2):  # repeating the same command is allowed
        assert predict(look) == 1
    assert shlex.quote(str(out)) in capsys.readouterr().out
    save_checkpoint(other, {**load_checkpoint(checkpoint), "step": 9})
    for changes in ({"checkpoint": other}, {"mirror": True}, {"frames": 3}):
        with pytest.raises(BadInput, match="predictions of another checkpoint"):
            predict(replace(look, **changes))


def test_a_note_names_flow_of_another_kind(toy, checkpoint, capsys):
    dataset = open_dataset(toy)
    _, spec, _ = load_model(checkpoint, torch.device("cpu"))
    assert not spec.flow  # its only input is keypoints
    spec = replace(spec, inputs="flow+keypoints", flow=dataset.flow_name)
    remark_on_difference(spec, dataset, "it learned from")
    assert not capsys.readouterr().out
    remark_on_difference(replace(spec, flow="raft_small-0a1b2c3d"), dataset, "it learned from")
    assert f"learned from raft_small-0a1b2c3d at {SIZE} px" in capsys.readouterr().out
    larger = replace(dataset, person_diagonal=200.0)
    remark_on_difference(spec, larger, "it learned from")
    assert not capsys.readouterr().out  # the size of the people it was trained on is unknown
    remark_on_difference(replace(spec, person_diagonal=150.0), larger, "it learned from")
    assert "shows people of 200 px" in (result := capsys.readouterr().out) and "150 px" in result


def test_a_note_says_that_a_network_is_measured_on_what_it_was_trained_on(
    toy, checkpoint, tmp_path, capsys
):
    evaluate(EvaluateConfig(checkpoint=checkpoint, shards=toy, device="cpu", out=tmp_path))
    assert "is trained on" in capsys.readouterr().out
    dataset = open_dataset(toy)
    for trained in ("other", f"{dataset.fingerprint}0", ""):
        remark_on_training(dataset, trained, Path("a.pt"))
    assert not capsys.readouterr().out
    remark_on_training(dataset, f"other+{dataset.fingerprint}", Path("a.pt"))
    assert "a.pt is trained on" in capsys.readouterr().out


def test_the_world_motion_is_the_rotated_camera_motion():
    rng = np.random.default_rng(1)
    pose, trans = rng.normal(0, 1, (4, 72)), rng.normal(0, 3, (4, 3))
    pelvis = np.tile(rng.normal(0, 0.2, (1, 3)), (4, 1))
    points = rng.normal(0, 0.5, (20, 3))
    turned, place = into_world(pose, pelvis, trans)
    for t in range(4):
        root, moved = (Rotation.from_rotvec(p[t, :3]) for p in (pose, turned))
        seen = root.apply(points - pelvis[t]) + pelvis[t] + trans[t]
        np.testing.assert_allclose(
            moved.apply(points - pelvis[t]) + place[t], seen @ R_WORLD_CAMERA.T, atol=1e-9
        )


def test_pieces_of_a_track_are_joined(toy):
    dataset = open_dataset(toy)
    record = next(read_shard(dataset.shards[0]))
    wanted = frozenset({"occluded", "joints2d", "crop", "camera", "source"})
    arrays = decode(record.load(frozenset({"labels.npz", "meta.json"})), wanted, dataset)

    def predicted(first: int, last: int) -> PredictedClip:
        cut = {
            name: value if name == "camera" else value[first:last] for name, value in arrays.items()
        }
        numbers = torch.arange(first, last, dtype=torch.float32)
        joints = numbers[:, None, None].expand(-1, 38, 3)
        return PredictedClip(record, cut, {"joints": joints})

    def piece(first: int, last: int, keep: tuple[int, int], person: str) -> PredictedClip:
        meta = {"person": person, "keep": keep, "track_frames": 10, "fps": 25.0, "size": (64, 48)}
        whole = predicted(first, last)
        other = type(record)(record.shard, record.key, members={"meta.json": json.dumps(meta)})
        return PredictedClip(other, whole.arrays, whole.prediction)

    clips = [
        piece(0, 7, (0, 5), "a b/c"),
        piece(0, 7, (0, 5), "other"),
        piece(3, 10, (2, 7), "a b/c"),
        predicted(0, 10),
    ]
    joined = dict(tracks(iter(clips), dataset, BodyJoints(read_body(dataset.body))))
    assert list(joined) == ["a_b_c", "000000_0000", "other"]
    track = joined["a_b_c"]
    assert track["joints"][:, 0, 0].tolist() == track["source"].tolist() == list(range(10))
    assert track["mocap_framerate"] == 25 and track["size"].tolist() == [64, 48]
    assert track["place"].tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]
    assert len(joined["other"]["joints"]) == 5  # its second piece is missing


def test_records_with_sources_are_read(tmp_path, checkpoint):
    """Footage's labels have `source`, and pieces of any length."""
    folder = write_shards(tmp_path / "shards", shards=1, clips=1, frames=10, size=SIZE)
    path = folder / "shard-000000.tar"
    with tarfile.open(path) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    labels = dict(np.load(io.BytesIO(members["000000_0000.labels.npz"])))
    labels["source"] = np.arange(10, dtype=np.int32) * 2 + 7
    members["000000_0000.labels.npz"] = npz(labels)
    meta = {"person": "walker", "keep": [1, 9], "track_frames": 8, "fps": 29.97, "size": [320, 240]}
    members["000000_0000.meta.json"] = json.dumps(meta).encode()
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out = tmp_path / "result"
    assert predict(PredictConfig(checkpoint=checkpoint, shards=folder, out=out, device="cpu")) == 1
    result = np.load(out / "walker.npz")
    assert result["source"].tolist() == list(range(9, 25, 2)) and result["pose"].shape == (8, 72)
