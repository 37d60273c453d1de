"""3DPW's format, from generated folders of known truth: to records and through the metrics."""

import contextlib
import io
import json
import pickle
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from footage_world import records
from threedpw_world import HEIGHT, WIDTH, Actor, K, actor, moved, write_file, write_sequence

from datagen import ingest, verify
from datagen.bodies.motion.sources import find_motions
from datagen.bodies.smpl.model import load_bodies
from datagen.common import checksum
from datagen.common.errors import BadInput
from datagen.common.record import EVAL_JOINTS, JOINTS
from datagen.footage import dataset as shards
from datagen.footage import threedpw
from datagen.footage.options import FootageConfig
from trainer.data.dataset import DataSet, open_dataset
from trainer.data.loader import read_clips, wanted_arrays
from trainer.data.records import META
from trainer.evaluate import tally
from trainer.evaluation.metrics import summarize
from trainer.evaluation.windows import PredictedClip

FRAMES = 40
EVAL = slice(24, 38)


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> Path:
    """The open bodies as a user's folder, in place of SMPL's."""
    folder = tmp_path_factory.mktemp("body")
    with resources.as_file(resources.files("datagen") / "assets" / "bodies") as bodies:
        for path in bodies.glob("*.npz"):
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Path, dict[str, dict], list[Actor]]:
    """A root with two sequences: a man and a woman, and a woman alone; flaws in the second."""
    root = tmp_path_factory.mktemp("3dpw")
    names = [source.name for source in find_motions(None)]
    man = actor("m", names[3], FRAMES, (-0.6, 0, 0), 0.4, 1)
    woman = actor("f", names[20], FRAMES, (0.6, 0, 0.2), -0.8, 2)
    alone = actor("f", names[40], FRAMES, (0, 0, 0), 2.5, 3)
    content = {
        "street_00": write_sequence(root, "test", "street_00", [man, woman]),
        "yard_01": write_sequence(root, "test", "yard_01", [alone]),
    }
    flawed = content["yard_01"]
    flawed["campose_valid"][0][5:9] = 0
    points = flawed["poses2d"][0]
    points[12:15] = 0  # nobody detected
    points[20:22, 2, 2:8] = 0.05  # only seven left of which one is the neck
    points[25, :, 4] = (9000, -70, 0.9)  # an absurd wrist
    points[30, 2, 8:14] = 0.2  # unsure legs: HMMR counts them, VIBE does not
    write_file(root, "test", "yard_01", flawed)
    return root, content, [man, woman, alone]


@pytest.fixture(scope="module")
def made(world, body, tmp_path_factory) -> Path:
    """The data set of `world`; what the command printed lies beside it."""
    out = tmp_path_factory.mktemp("made") / "out"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert run(world[0], body, out) == 0
    (out.parent / "printed.txt").write_text(printed.getvalue())
    return out


def source(root: Path, body: Path, name: str = "yard_01") -> threedpw.SequenceSource:
    sources = threedpw.find_sources(root, "test", body, None, truth=True)
    return next(one for one in sources if one.name == name)


def run(root: Path, body: Path | None, out: Path, *more: object) -> int:
    args = ["3dpw", "--root", root, "--out", out, *(["--body", body] if body else []), *more]
    return ingest.main([str(arg) for arg in args])


class TestTruth:
    def test_joints_are_the_gendered_mesh_moved_into_the_camera(self, world, made):
        """Posed in the world and then moved as points, which is another way than the reader's."""
        tracks = {record["meta"]["track"]: record for record in records(made)}
        assert list(tracks) == ["street_00_0", "street_00_1", "yard_01_0"]
        for record, who, name in zip(
            tracks.values(), world[2], ("street_00", "street_00", "yard_01"), strict=True
        ):
            _, joints = who.surface()
            expected = moved(world[1][name]["cam_poses"], joints)
            assert np.abs(record["joints3d"] - expected).max() < 1e-4

    def test_pose_shape_and_place_give_the_joints_again(self, made):
        for record in records(made):
            one = load_bodies()[record["meta"]["gender"]]
            _, joints = one.forward(record["pose"], record["betas"], record["trans"])
            assert np.abs(joints - record["joints3d"]).max() < 1e-4

    def test_projections_are_opencvs(self, made):
        record = records(made)[0]
        for t in (0, 17, 39):
            points = record["joints3d"][t].astype(float)
            pixels = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, None)[0][:, 0]
            x, y = (record["crop"][t] @ np.c_[pixels, np.ones(38)].T).astype(np.float32)
            seen = record["joints2d"][t, :, 2] > 0
            assert seen.sum() > 30
            assert np.abs(record["joints2d"][t, seen, :2] - np.c_[x, y][seen]).max() < 0.01

    def test_people_stand_where_their_joints_are(self, world, made):
        """The person is drawn over a wall of other colours: compare with the wall's own pixels."""
        record = records(made)[2]
        size = np.ptp(record["joints2d"][0, EVAL, 1])
        assert 80 < size < 200
        t = 3
        cell = record["rgb"][t]
        hips = record["joints2d"][t, [1, 2], :2].mean(0).round().astype(int)
        patch = cell[hips[1] - 4 : hips[1] + 5, hips[0] - 4 : hips[0] + 5].reshape(-1, 3)
        assert patch.std(0).max() < 40  # cloth, not the speckled wall


class TestRecord:
    def test_every_frame_is_kept_and_flagged(self, made):
        record = records(made)[2]
        assert len(record["valid"]) == FRAMES
        assert np.flatnonzero(record["valid"] == 0).tolist() == [5, 6, 7, 8]
        assert np.flatnonzero(record["occluded"]).tolist() == [12, 13, 14]
        wrist = JOINTS.index("lsp_right_wrist")
        assert record["joints2d"][25, wrist, 2] == 0 and record["joints2d"][24, wrist, 2] == 1
        assert verify.main([str(made)]) == 0
        metadata = json.loads((made / "dataset.json").read_text())
        assert metadata["real"] and metadata["split"] == "test" and metadata["clips"] == 3

    def test_the_counts_of_each_rule(self, made):
        printed = (made.parent / "printed.txt").read_text()
        lines = {text: None for text in threedpw.RULES}
        for line in printed.splitlines():
            number, _, text = line.strip().partition("  ")
            if text in lines:
                lines[text] = int(number)
        every = 3 * FRAMES
        hmmr, vibe, spin, own, here, counted = lines.values()
        assert hmmr == every - 3 - 2  # nobody; few arms: 5 of its 11 joints
        assert vibe == every - 3 - 2 - 1
        assert spin == every - 4
        assert own == every - 3 - 4
        assert here == every - 3 - 4
        # 7 of 13 are left without arms; off the picture they are fewer
        assert counted is not None and 0 < counted <= here

    def test_splits_do_not_mix(self, made, body):
        cfg = FootageConfig(out=made, body=body)
        with pytest.raises(BadInput, match="--split test → --split train"):
            shards.ingest([], cfg, split="train")

    def test_lines_without_counts_are_passed_over(self, world, body, made, tmp_path, capsys):
        shutil.copytree(made, tmp_path / "out")
        path = tmp_path / "out" / "manifests" / "shards.jsonl"
        first, *rest = [json.loads(line) for line in path.read_text().splitlines()]
        counted = sum(line["rules"]["counted"] for line in rest)
        del first["rules"]
        lines = (checksum.added(first), *rest)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert run(world[0], body, tmp_path / "out") == 0
        assert f"  {counted:7d}  {list(threedpw.RULES)[-1]}\n" in capsys.readouterr().out

    def test_what_the_evaluator_counts_is_what_was_printed(self, made):
        dataset = open_dataset(made)
        results = judged(dataset, lambda truth: truth)
        line = [json.loads(x) for x in (made / "manifests/shards.jsonl").read_text().splitlines()]
        counted = sum(entry["rules"]["counted"] for entry in line)
        frames = results["frames"]["frames"]
        assert counted - 6 <= frames <= counted  # the crop leaves out a joint or two


def judged(dataset: DataSet, predict) -> dict:
    """Return the evaluator's results if `predict` maps true joints float [T,38,3] to predicted."""
    clips = []
    for item in read_clips(dataset, wanted_arrays("keypoints"), frozenset({META})):
        record, arrays = item
        clip = PredictedClip(record, arrays)
        clip.prediction["joints"] = torch.from_numpy(predict(arrays["joints3d"].astype(float)))
        clips.append(clip)
    return summarize(tally(clips, dataset, [], 0))


class TestMetrics:
    def test_truth_as_prediction_gives_zero(self, made):
        results = judged(open_dataset(made), lambda truth: truth)
        assert len(results["per_person"]) == 3
        for group in ("persons", "frames", "every_frame"):
            for name in ("pa_mpjpe", "mpjpe", "acceleration"):
                assert results[group][name] == pytest.approx(0, abs=1e-3), (group, name)

    def test_a_similarity_costs_the_aligned_error_nothing(self, made):
        def turned(truth):
            from scipy.spatial.transform import Rotation

            rotation = Rotation.from_rotvec([0.3, -1.2, 0.5]).as_matrix()
            return 1.3 * truth @ rotation.T + [1, 2, 3]

        results = judged(open_dataset(made), turned)
        assert results["persons"]["pa_mpjpe"] == pytest.approx(0, abs=1e-3)
        assert results["persons"]["mpjpe"] > 100

    def test_a_known_perturbation_gives_the_closed_form(self, made):
        """X + D with D free of translation, rotation and scaling is aligned by scaling alone.

        The best similarity of X + D to X then is s = |X|² / (|X|² + |D|²), R = 1: the error of
        joint j is |s (X_j + D_j) − X_j|, X about its mean.
        """
        rng = np.random.default_rng(0)
        wanted: list[float] = []

        def bent(truth):
            out = truth.copy()
            for t, frame in enumerate(truth[:, EVAL]):
                x = frame - frame.mean(0)
                rules = [np.tile(axis, (14, 1)) for axis in np.eye(3)]
                rules += [np.cross(axis, x) for axis in np.eye(3)] + [x]
                rules = np.stack([rule.ravel() for rule in rules])
                d = rng.normal(0, 0.02, 42)
                d = (d - rules.T @ np.linalg.lstsq(rules.T, d, rcond=None)[0]).reshape(14, 3)
                out[t, EVAL] = frame + d
                s = (x**2).sum() / ((x**2).sum() + (d**2).sum())
                wanted.append(1000 * np.linalg.norm(s * (x + d) - x, axis=1).mean())
            return out

        dataset = open_dataset(made)
        results = judged(dataset, bent)
        counted = []
        for _, arrays in read_clips(dataset, wanted_arrays("keypoints")):
            seen = arrays["joints2d"][:, 24:37, 2].sum(1) >= 7
            counted.append(seen & (arrays["valid"] > 0) & (arrays["occluded"] == 0))
        errors, rows = np.split(np.array(wanted), [FRAMES, 2 * FRAMES]), results["per_person"]
        for row, error, keep in zip(rows.values(), errors, counted, strict=True):
            assert row["frames"] == keep.sum() > 20
            assert row["pa_mpjpe"] == pytest.approx(error[keep].mean(), abs=1e-3)

    def test_a_steady_shift_of_a_joint_costs_its_share_and_no_acceleration(self, made):
        def shifted(truth):
            out = truth.copy()
            out[:, JOINTS.index("lsp_left_wrist")] += [0.07, 0, 0]
            return out

        results = judged(open_dataset(made), shifted)
        assert results["frames"]["mpjpe"] == pytest.approx(70 / len(EVAL_JOINTS), abs=1e-3)
        assert results["frames"]["acceleration"] == pytest.approx(0, abs=1e-3)


class TestBadInput:
    @pytest.fixture
    def copy(self, world, tmp_path) -> Path:
        return Path(shutil.copytree(world[0], tmp_path / "3dpw"))

    def spoil(self, copy: Path, content: dict, **changes) -> None:
        write_file(copy, "test", "yard_01", {**content["yard_01"], **changes})

    @pytest.mark.parametrize(
        ("what", "message"),
        [
            ("folder", "40 of 40 images"),
            ("image", "image_00017.jpg"),
            ("broken", "image_00003.jpg is not a readable image"),
            ("size", "image_00030.jpg is 20x10"),
        ],
    )
    def test_images(self, copy, body, what, message):
        images = copy / "imageFiles" / "yard_01"
        if what == "folder":
            shutil.rmtree(images)
        elif what == "image":
            (images / "image_00017.jpg").unlink()
        elif what == "broken":
            (images / "image_00003.jpg").write_bytes(b"\xff\xd8 no picture")
        else:
            cv2.imwrite(str(images / "image_00030.jpg"), np.zeros((10, 20, 3), np.uint8))
        with pytest.raises(BadInput, match=message):
            list(source(copy, body).open().frames)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda c: {"poses": [c["poses"][0][:30]]}, r"poses is float64 \[30, 72\]"),
            (lambda c: {"poses2d": [c["poses2d"][0].transpose(0, 2, 1)]}, "expected 40 x 3 x 18"),
            (lambda c: {"cam_poses": c["cam_poses"][:, :3]}, "cam_poses"),
            (lambda c: {"betas": []}, "different numbers of people"),
            (lambda c: {"betas": [np.zeros(4)]}, "fewer than 10 betas"),
            (lambda c: {"genders": ["x"]}, "no gender"),
            (lambda c: {"trans": [np.full((40, 3), np.nan)]}, "trans"),
            (lambda c: {"trans": None}, "trans"),
            (lambda c: {"poses2d": [0 * c["poses2d"][0]]}, "no person is detected"),
            (lambda c: {"betas": [c["betas"][0] + 2]}, "mm from those"),
        ],
    )
    def test_sequence_files(self, copy, world, body, change, message):
        self.spoil(copy, world[1], **change(world[1]["yard_01"]))
        with pytest.raises(BadInput, match=message) as refused:
            source(copy, body).open()
        assert "yard_01" in str(refused.value)

    def test_a_bad_sequence_costs_itself_only(self, copy, body, tmp_path, capsys):
        (copy / "imageFiles" / "yard_01" / "image_00017.jpg").unlink()
        assert run(copy, body, tmp_path / "out") == 0
        assert "skipped:" in capsys.readouterr().out
        assert [r["meta"]["track"] for r in records(tmp_path / "out")] == [
            "street_00_0", "street_00_1"
        ]  # fmt: skip
        line = json.loads((tmp_path / "out/manifests/quarantine.jsonl").read_text())
        assert line["name"] == "yard_01" and not line["traceback"]
        assert verify.main([str(tmp_path / "out")]) == 0

    def test_a_hostile_file_runs_nothing(self, copy, body, tmp_path):
        class Evil:
            def __reduce__(self):
                return (Path(tmp_path / "ran").touch, ())

        path = copy / "sequenceFiles/test/yard_01.pkl"
        path.write_bytes(pickle.dumps({"poses": Evil()}, protocol=2))
        with pytest.raises(BadInput, match="was rejected as a sequence of 3DPW"):
            source(copy, body).open()
        assert not (tmp_path / "ran").exists()

    def test_random_damage_never_escapes(self, copy, body):
        """Flipped bytes and cuts anywhere: read the same, or refused by name."""
        path = copy / "sequenceFiles/test/yard_01.pkl"
        good, rng = path.read_bytes(), np.random.default_rng(0)
        for _ in range(60):
            data = bytearray(good)
            for place in rng.integers(0, min(len(data), 4000), 3):
                data[place] = rng.integers(256)
            path.write_bytes(data[: rng.integers(len(data))] if rng.random() < 0.3 else data)
            with contextlib.suppress(BadInput):
                threedpw.read_sequence(path)

    @pytest.mark.parametrize("missing", ["sequenceFiles", "imageFiles"])
    def test_roots(self, copy, body, tmp_path, capsys, missing):
        shutil.rmtree(copy / missing)
        assert run(copy, body, tmp_path / "out") == 2
        assert f"lacks {missing}" in capsys.readouterr().err

    def test_a_body_of_one_gender_is_not_enough(self, copy, body, tmp_path):
        shutil.copytree(body, tmp_path / "male")
        (tmp_path / "male" / "female.npz").unlink()
        with pytest.raises(BadInput, match="has no female model"):
            source(copy, tmp_path / "male").open()

    def test_truth_needs_a_body_and_unlabelled_clips_do_not(self, copy, tmp_path, capsys):
        assert run(copy, None, tmp_path / "out") == 2
        assert "give --body" in capsys.readouterr().err
        assert run(copy, None, tmp_path / "out", "--unlabelled", 31) == 0
        clips = records(tmp_path / "out")
        assert len(clips) == 3 and not any(clip["valid"].any() for clip in clips)


def test_a_camera_that_turns_moves_the_root_only(world):
    """The same person seen by a turned camera: body pose and shape stay, joints turn."""
    root, _, _ = world
    sequence = threedpw.read_sequence(root / "sequenceFiles/test/yard_01.pkl")
    person = sequence.people[0]
    one = load_bodies()[person.gender]
    plain = threedpw.truth_of(one, sequence, person)
    turn = np.eye(4)
    turn[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    turned = threedpw.truth_of(one, replace(sequence, cameras=turn @ sequence.cameras), person)
    assert plain.pose is not None and turned.pose is not None
    assert (plain.pose[:, 3:] == turned.pose[:, 3:]).all()
    assert np.abs(turned.joints3d - plain.joints3d @ turn[:3, :3].T).max() < 1e-4
    assert (WIDTH, HEIGHT) == (320, 240)


def test_images_keep_their_stored_turn(tmp_path):
    """3DPW's cameras are calibrated for the pixels as stored, whatever their EXIF flag."""
    from PIL import Image

    image = Image.new("RGB", (20, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "image_00000.jpg", exif=exif)
    assert threedpw.read_image(tmp_path / "image_00000.jpg").shape == (10, 20, 3)
    with pytest.raises(BadInput):
        threedpw.find_images(tmp_path, 2)
