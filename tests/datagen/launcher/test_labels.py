"""--labels-only: motions as shards without pictures, whole, resumable, and true to smplx."""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.retarget import forward
from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.bodies.render.camera import View, into_camera
from datagen.bodies.smpl.model import kept_bodies
from datagen.inspect import main as inspect
from datagen.launch import main as launch
from datagen.launcher import saved_options
from datagen.output import motion_shard, shard
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest
from datagen.verify import main as verify

WALKS = (
    "--motions-only ^(walk_|jog|run|crawl|kick) --motions-without _mirrored$ --clips-per-shard 8 "
    "--split all"
).split()


def run(out: Path, *options: str) -> int:
    return launch(["--labels-only", "--out", str(out), *options])


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def records(out: Path) -> list[tuple[dict, dict[str, np.ndarray]]]:
    """Return meta.json and labels.npz of every record."""
    found = []
    for path in sorted(out.glob("shard-*.tar")):
        for members in shard.read(path).values():
            with np.load(io.BytesIO(members["labels.npz"])) as labels:
                found.append((json.loads(members["meta.json"]), dict(labels)))
    return found


def take(path: Path, frames: int, *, turn: float = 0.0, betas: np.ndarray | None = None) -> Path:
    """Write an AMASS take at 30 frames per second that walks along +x (z up) and sways."""
    rng = np.random.default_rng(frames)
    time = np.arange(frames)[:, None] / 30
    poses = 0.4 * np.sin(time * rng.uniform(1, 4, 72) + rng.uniform(0, 6, 72))
    poses[:, :3] = Rotation.from_euler("xz", [90, turn], degrees=True).as_rotvec()
    trans = np.column_stack([1.2 * time, 0 * time, 0.9 + 0 * time])
    shape = np.zeros(16) if betas is None else betas
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, poses=poses, trans=trans, mocap_framerate=30.0, betas=shape)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished set of some embedded motions; tests copy it before they harm it."""
    out = tmp_path_factory.mktemp("labels") / "x"
    assert run(out, *WALKS) == 0
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "x"))


def test_dataset_json_says_what_the_trainer_needs(made: Path) -> None:
    metadata = json.loads((made / "dataset.json").read_text())
    found = records(made)
    assert metadata["labels_only"] is True and metadata["rgb"] is False
    assert (metadata["flow"]["name"], metadata["flow"]["stride"]) == ("none", 0)
    assert metadata["bodies"] == ["body.npz", "body-female.npz", "body-male.npz"]
    assert metadata["clip_length"] == max(len(labels["pose"]) for _, labels in found)
    assert metadata["clips"] == len(found) and metadata["fps"] == 30 and metadata["version"] == 1
    assert metadata["shards"] == len(list(made.glob("*.tar"))) == -(-len(found) // 8)
    for name in metadata["bodies"]:
        with np.load(made / name) as body:
            assert {"v_template", "J_regressor", "eval_regressor", "parents"} <= {*body.files}


def test_a_record_is_of_the_contract(made: Path) -> None:
    for meta, labels in records(made):
        frames = len(labels["pose"])
        assert {name: (array.dtype.name, array.shape) for name, array in labels.items()} == {
            "pose": ("float16", (frames, 72)), "trans": ("float32", (frames, 3)),
            "betas": ("float32", (10,)), "gravity": ("float32", (3,)),
        }  # fmt: skip
        assert labels["gravity"].tolist() == [0, 1, 0]
        assert meta["frames"] == frames and (meta["piece"], meta["pieces"]) == (0, 1)
        assert meta["source"] == "embedded" and meta["fps"] == 30


def test_smplx_poses_a_record_as_the_renderer_labels_the_motion(made: Path) -> None:
    """Joints are those of the rendered clip up to its camera, to half precision."""
    view = View(yaw=0.7, depth=5.0, pitch=0.3, roll=-0.2)
    between = view.rotation @ np.diag([1, -1, -1])  # from the record's axes to that camera's
    body = kept_bodies(None, None)["neutral"]
    sources = {source.name: source for source in find_motions(None)}
    seen = 0
    for meta, labels in records(made):
        if meta["motion"] not in ("crawl", "kick", "run"):
            continue
        seen += 1
        part = slice(0, 40)
        motion = load_motion(sources[meta["motion"]], body.rest_joints())
        _, ours = body.forward(
            labels["pose"][part].astype(np.float32), labels["betas"], labels["trans"][part]
        )
        pelvis = body.rest_joints()[0]
        pose, trans = into_camera(view, motion.pose[part], motion.trans[part], pelvis)
        _, theirs = body.forward(pose, np.zeros(10), trans)
        seen_by_it = (ours - ours[0, 0]) @ between.T + [0, 0, view.depth]
        assert np.abs(seen_by_it - theirs).max() < 3e-3
    assert seen == 3


def test_gravity_points_from_the_head_of_who_stands_to_the_feet(made: Path) -> None:
    rest = kept_bodies(None, None)["neutral"].rest_joints()
    upright = []
    for meta, labels in records(made):
        if meta["motion"].startswith(("walk", "jog", "run")):
            local = quat.from_axis_angle(labels["pose"].astype(float).reshape(-1, 24, 3))
            joints = forward(local, labels["trans"] + rest[0], rest)
            down = joints[:, [7, 8]].mean(1) - joints[:, 15]
            down /= np.linalg.norm(down, axis=1, keepdims=True)
            upright.append((down @ labels["gravity"]).mean())
    assert len(upright) > 10 and min(upright) > 0.9


def test_two_runs_make_the_same_bytes_and_a_third_does_nothing(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "y", *WALKS) == 0
    assert files(tmp_path / "y") == files(made)
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    capsys.readouterr()
    assert run(made, *WALKS) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


def test_other_processes_make_the_same_bytes(made: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("datagen.launcher.labels.FEW", 1)
    assert run(tmp_path / "y", *WALKS, "--backend", "processes", "--workers", "2") == 0
    assert files(tmp_path / "y") == files(made)


def test_what_a_killed_run_lacks_is_made_to_the_same_bytes(copy: Path) -> None:
    """Killed after its first shard: no other shard, no card, no final clip_length."""
    before = files(copy)
    manifest = copy / "manifests" / "shards.jsonl"
    manifest.write_text(manifest.read_text().splitlines(keepends=True)[0])
    for path in sorted(copy.glob("shard-*.tar"))[1:]:
        path.unlink()
    (copy / ".shard-000001.tar.elsewhere.1.tmp").write_bytes(b"half")
    for name in ("croissant.json", "README.md"):
        (copy / name).unlink()
    assert run(copy, *WALKS) == 0
    after = files(copy)
    after.pop(".shard-000001.tar.elsewhere.1.tmp", None)
    assert after == before


def test_a_worker_that_is_stopped_leaves_no_half_shard(tmp_path: Path, monkeypatch) -> None:
    """Ctrl-C within the second shard: the first stays, and the next run makes the rest."""
    encode, calls = motion_shard.encode, []

    def stopping(arrays, meta):
        calls.append(meta)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return encode(arrays, meta)

    monkeypatch.setattr(motion_shard, "encode", stopping)
    assert run(tmp_path / "y", *WALKS) == 130
    assert [path.name for path in (tmp_path / "y").glob("*shard*")] == ["shard-000000.tar"]
    assert len(Manifest(Layout(tmp_path / "y").manifests / "shards.jsonl").lines()) == 1
    monkeypatch.undo()
    assert run(tmp_path / "y", *WALKS) == 0
    assert verify([str(tmp_path / "y")]) == 0


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("shard-000000.tar", _flip, "SHA-256"),
        ("shard-000001.tar", Path.unlink, "missing"),
        ("body-male.npz", Path.unlink, "body-male.npz is missing"),
        ("body-female.npz", _flip, "body-female.npz differs"),
        ("dataset.json", lambda path: path.write_text("{"), "dataset.json"),
    ],
)
def test_verify_finds_damage_and_repairs_it(copy: Path, name: str, damage, words, capsys) -> None:
    before = files(copy)
    damage(copy / name)
    assert verify([str(copy), "--repair"]) == 0
    assert words in capsys.readouterr().out
    assert files(copy) == before


def test_verify_reads_the_records_themselves(made: Path) -> None:
    metadata = json.loads((made / "dataset.json").read_text())
    ((_, members), *_) = shard.read(made / "shard-000000.tar").items()
    assert motion_shard.problem(members, metadata) == ""
    with np.load(io.BytesIO(members["labels.npz"])) as file:
        labels = dict(file)

    def wrong(**other: np.ndarray) -> str:
        changed = shard.npz({**labels, **other}, compress=True)
        return motion_shard.problem({**members, "labels.npz": changed}, metadata)

    assert "pose is float32" in wrong(pose=labels["pose"].astype(np.float32))
    assert "trans is not finite" in wrong(trans=labels["trans"] * np.nan)
    assert "(1, 3)" in wrong(trans=labels["trans"][:1])
    assert "gravity" in wrong(gravity=np.zeros(3, np.float32))
    assert "joints" in wrong(joints=np.zeros(3))
    assert "members" in motion_shard.problem({**members, "flow.npy": b""}, metadata)
    assert "more than" in motion_shard.problem(members, {**metadata, "clip_length": 2})


def test_a_copy_without_manifests_can_be_verified(copy: Path) -> None:
    shutil.rmtree(copy / "manifests")
    assert verify([str(copy)]) == 0
    _flip(copy / "shard-000001.tar")
    assert verify([str(copy)]) == 1


def test_splits_share_no_subject_and_hold_every_motion(tmp_path: Path) -> None:
    held: dict[str, set[str]] = {}
    motions: list[str] = []
    for split in ("train", "val", "test"):
        assert run(tmp_path / split, "--motions-only", "[1ae]$", "--split", split) == 0
        found = records(tmp_path / split)
        held[split] = {meta["subject"] for meta, _ in found}
        motions += [meta["motion"] for meta, _ in found]
    assert not held["train"] & held["val"] | held["train"] & held["test"]
    assert not held["val"] & held["test"]
    wanted = [source.name for source in find_motions(None)]
    assert sorted(motions) == [name for name in wanted if name[-1] in "1ae"]


def test_a_choice_of_motions_moves_no_subject_to_another_split(tmp_path: Path) -> None:
    subjects = {}
    for name, options in (("all", []), ("some", ["--motions-only", "walk|dance|jog|wash"])):
        for split in ("train", "test"):
            out = tmp_path / name / split
            if run(out, *options, "--split", split, "--motion-limit", "60") == 0:
                subjects[name, split] = {meta["subject"] for meta, _ in records(out)}
    assert not subjects["some", "train"] & subjects.get(("all", "test"), set())


def test_several_folders_and_the_embedded_ones_are_one_set(tmp_path: Path, capsys) -> None:
    """Namesakes keep apart, long takes are cut, shapes are kept, a bad file is named."""
    betas = np.linspace(-1, 1, 16)
    take(tmp_path / "a" / "walk_poses.npz", 4000, betas=betas)
    take(tmp_path / "b" / "01_02.npz", 50)
    (tmp_path / "b" / "01_03.npz").write_bytes(b"no zip")
    options = ["--motions", str(tmp_path / "a"), "embedded", str(tmp_path / "b")]
    options += ["--motions-only", "^walk$|walk_poses|01_0", "--split", "all", "--num-shards", "2"]
    out = tmp_path / "out"
    assert run(out, *options) == 0
    printed = capsys.readouterr().out
    assert "Writing 4 motions of 277" in printed and "1 motion could not be used" in printed
    (bad,) = Manifest(Layout(out).manifests / "quarantine.jsonl").lines()
    assert bad["name"] == "01_03" and "01_03.npz: not readable" in bad["reason"]
    found = {(meta["motion"], meta["piece"]): (meta, labels) for meta, labels in records(out)}
    assert sorted(found) == [("01_02", 0), ("walk", 0), *(("walk_poses", i) for i in range(3))]
    pieces = [found["walk_poses", i][0] for i in range(3)]
    assert [one["start"] for one in pieces] == [0, 1333, 2666]
    assert [one["frames"] for one in pieces] == [1333, 1333, 1334]
    assert found["walk_poses", 1][1]["betas"] == pytest.approx(betas[:10])
    assert json.loads((out / "dataset.json").read_text())["clip_length"] == 1334
    assert verify([str(out)]) == 0
    assert saved_options.read(Layout(out)).bodies.motions[1] == "embedded"
    capsys.readouterr()
    assert run(out, *options, "--motions-without", "01_02") == 2
    assert "no --motions-without → --motions-without 01_02" in capsys.readouterr().err


def test_where_a_take_is_holds_for_its_own_shape(tmp_path: Path) -> None:
    """SMPL turns a body about its own pelvis, so the pelvis is the capture's for any betas."""
    betas = np.array([2.0, -2, 1, 0, 0, 0, 0, 0, 0, 0])
    take(tmp_path / "a" / "x_01.npz", 90, turn=70.0, betas=betas)
    assert run(tmp_path / "out", "--motions", str(tmp_path / "a"), "--split", "all") == 0
    ((_, labels),) = records(tmp_path / "out")
    body = kept_bodies(None, None)["neutral"]
    _, joints = body.forward(labels["pose"].astype(np.float32), labels["betas"], labels["trans"])
    # The take walks along +x at 1.2 m/s, z up, its pelvis at 0.9 m and SMPL's rest pelvis.
    pelvis = joints[:, 0]
    assert pelvis[-1] - pelvis[0] == pytest.approx([1.2 * 89 / 30, 0, 0], abs=1e-4)
    assert pelvis[0] == pytest.approx([0.0, -(0.9 + 0.0213), -0.2406], abs=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-occluders", "--flow", "flownets"], "omit --no-occluders and --flow"),
        (["--image-size", "64"], "omit --image-size"),
        (["--videos", "clips"], "omit --videos"),
        (["--surreal", "cmu"], "omit --surreal"),
        (["--pose-noise", "3", "--plan"], "omit --pose-noise and --plan"),
        (["--shards", "3"], "omit --shards"),
        (["--no-rgb"], "omit --no-rgb"),
        (["--flow-gpus", "1"], "--flow-gpus"),
        (["--motions-only", "("], "is not a regular expression"),
        (["--motions-only", "nobody"], "--motions-only nobody matches none of"),
        (["--motions-without", "."], "matches none"),
        (["--motions-only", "^walk$", "--num-shards", "3"], "give at most 1"),
        (["--motions", "/nowhere"], "/nowhere"),
    ],
)
def test_options_without_sense_are_one_sentence(tmp_path: Path, options, words, capsys) -> None:
    assert run(tmp_path / "x", *options) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("error: ") and error.count("\n") == 1
    assert not list(tmp_path.rglob("*.tar"))


def test_nothing_usable_is_one_sentence(tmp_path: Path, capsys) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.npz").write_bytes(b"no zip")
    assert run(tmp_path / "x", "--motions", str(tmp_path / "a"), "--split", "all") == 2
    error = capsys.readouterr().err
    assert "x.npz: not readable" in error and error.count("error: ") == 1


def test_a_set_with_pictures_is_not_continued_without(tmp_path: Path, made: Path, capsys) -> None:
    assert launch(["--out", str(made), "--backend", "serial"]) == 2
    assert "--labels-only" in capsys.readouterr().err


def test_the_page_tells_of_the_motions(made: Path, tmp_path: Path, capsys) -> None:
    assert inspect([str(made), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    motions = {meta["motion"] for meta, _ in records(made)}
    assert f"{len(motions)} motions without pictures" in capsys.readouterr().out
    for words in ("Speed", "Tilt of the trunk", "Pose: knee flexion", "walk_backwards", "subjects"):
        assert words in page
    assert "px" not in page.split("<main>")[1]


def test_no_renderer_and_no_video_is_touched(tmp_path: Path, monkeypatch) -> None:
    for name in ("moderngl", "datagen.common.video", "datagen.bodies.render.renderer", "ray"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    assert run(tmp_path / "x", "--motions-only", "^walk$", "--split", "all") == 0
