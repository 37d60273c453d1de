"""The main job from end to end on embedded input: whole, resumable, the same for all workers."""

import errno
import io
import json
import os
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.bodies.smpl.model import kept_bodies
from datagen.common import checksum
from datagen.common.temporary import machine
from datagen.inspect import main as inspect
from datagen.launch import main as launch
from datagen.output import card, shard
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest, finished_shards
from datagen.verify import main as verify

SMALL = ["--num-shards", "2", "--clips-per-shard", "3", "--clip-length", "4", "--image-size", "64"]


def run(out: Path, *options: str, backend: str = "serial") -> int:
    return launch([*SMALL, "--out", str(out), "--backend", backend, *options])


def hashes(out: Path) -> dict[int, str]:
    lines = Manifest(Layout(out).manifests / "shards.jsonl").latest("shard")
    return {index: line["sha256"] for index, line in lines.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small data set; tests copy it before they harm it."""
    out = tmp_path_factory.mktemp("made") / "x"
    assert run(out) == 0
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "x"))


def test_a_shard_holds_the_record(made: Path) -> None:
    dataset = json.loads((made / "dataset.json").read_text())
    assert (dataset["shards"], dataset["clips"]) == (2, 6)
    records = shard.read(made / "shard-000001.tar")
    assert list(records) == ["000001_0000", "000001_0001", "000001_0002"]
    assert list(records["000001_0000"]) == ["flow.npy", "labels.npz", "meta.json", "rgb.jpg"]
    assert set(np.load(made / "body.npz").files) >= {"v_template", "J_regressor", "eval_regressor"}


def test_gravity_is_the_worlds_seen_by_the_drawn_camera(tmp_path: Path) -> None:
    """The camera's rotation is what the rendered body's root has been turned by since its motion;
    people who walk have their heads where things do not fall to."""
    tilted = "--camera-pitch 10 30 --camera-roll 10 --motions-only ^walk_ --motion-limit 4 --no-rgb"
    assert run(tmp_path / "x", *tilted.split(), "--num-shards", "1") == 0
    rest = kept_bodies(None, None)["neutral"].rest_joints()
    sources = {source.name: source for source in find_motions(None)}
    found = shard.read(tmp_path / "x" / "shard-000000.tar")
    for members in found.values():
        meta, labels = json.loads(members["meta.json"]), np.load(io.BytesIO(members["labels.npz"]))
        motion = load_motion(sources[meta["people"]["motion"]], rest)
        frame = meta["people"]["start"] + meta["start"]
        world, seen = (
            Rotation.from_rotvec(root) for root in (motion.pose[frame, :3], labels["pose"][0, :3])
        )
        camera = seen * world.inv()
        assert labels["gravity"] == pytest.approx(camera.apply([0, -1, 0]), abs=1e-5)
        assert labels["gravity"][2] > np.sin(np.radians(9))  # it looks down
        up = labels["joints3d"][:, 15] - labels["joints3d"][:, [7, 8]].mean(1)
        up /= np.linalg.norm(up, axis=1, keepdims=True)
        assert (up @ labels["gravity"]).max() < -0.9
    assert len(found) == 3


def test_verify_passes_and_the_same_command_does_nothing(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    assert verify([str(made)]) == 0
    assert run(made) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


def test_a_missing_shard_is_made_again_to_the_same_bytes(copy: Path) -> None:
    before = hashes(copy)
    (copy / "shard-000001.tar").unlink()
    shutil.rmtree(copy / "library")
    assert verify([str(copy)]) == 1
    assert run(copy) == 0
    assert hashes(copy) == before
    assert verify([str(copy)]) == 0


def test_more_shards_leave_the_first_ones_alone(copy: Path) -> None:
    before = hashes(copy)
    assert run(copy, "--num-shards", "3") == 0
    after = hashes(copy)
    assert sorted(after) == [0, 1, 2] and before.items() < after.items()


def test_another_configuration_is_refused_by_name(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hashes(copy)
    assert run(copy, "--no-occluders") == 2
    error = capsys.readouterr().err
    assert "--occluders → --no-occluders" in error and "--out" in error
    assert hashes(copy) == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-512]), "bytes"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: _flip(path), "SHA-256"),
        (lambda path: path.rename(path.with_name("shard-000007.tar")), "no line"),
    ],
)
def test_verify_names_the_damaged_shard(copy: Path, damage, words: str, capsys) -> None:
    damage(copy / "shard-000000.tar")
    assert verify([str(copy)]) == 1
    out = capsys.readouterr().out
    assert words in out and "shard-00000" in out


def test_repair_makes_the_same_bytes_again(copy: Path, capsys) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    _flip(copy / "shard-000000.tar")
    (copy / "body.npz").unlink()
    (copy / "dataset.json").write_text("{")
    manifest = copy / "manifests" / "shards.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:1]))
    assert verify([str(copy), "--repair", "--backend", "serial"]) == 0
    out = capsys.readouterr().out
    assert "shard-000000.tar differs" in out and "shard-000001.tar has no line" in out
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == before


def test_repair_restores_a_damaged_dataset_json_without_a_card(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    (copy / "croissant.json").unlink()
    (copy / "dataset.json").write_text("{")
    assert verify([str(copy), "--repair"]) == 0
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == before


def test_repair_rewrites_a_card_that_a_killed_run_left_for_fewer_shards(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    layout = Layout(copy)
    lines = finished_shards(layout)
    card.write(layout, {0: lines[0]})  # as before the last shard was done
    assert (copy / "dataset.json").read_bytes() != before["dataset.json"]
    assert verify([str(copy), "--repair"]) == 0
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == before


def test_repair_removes_what_killed_writers_left(copy: Path) -> None:
    library = Layout(copy).library
    folders = [copy, copy / "manifests", *(path for path in library.iterdir() if path.is_dir())]
    left = [folder / f".name.{machine()}.{'0' * 24}.tmp" for folder in folders]
    running = copy / "manifests" / "running"
    running.mkdir()
    left += [running / left[0].name, running / f"{'0' * 24}.json"]
    for path in left:
        path.write_text(json.dumps({"machine": machine()}))
    assert verify([str(copy)]) == 0 and all(path.exists() for path in left)
    assert verify([str(copy), "--repair"]) == 0
    assert len(left) == 6 and not any(path.exists() for path in (*left, running))


def test_a_run_killed_before_its_card_writes_it_when_run_again(copy: Path) -> None:
    before = (copy / "croissant.json").read_bytes()
    (copy / "croissant.json").unlink()
    assert run(copy) == 0
    assert (copy / "croissant.json").read_bytes() == before


def test_a_relaunch_that_was_killed_leaves_no_stale_dataset_json(copy: Path, capsys) -> None:
    """A complete set lost a shard, and was killed when that was made again, not yet described."""
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    content = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(checksum.added({**content, "clips": 1})))
    leftover = copy / f".shard-000001.tar.{machine()}.{'0' * 24}.tmp"
    leftover.write_bytes(b"half")
    capsys.readouterr()
    assert run(copy) == 0
    assert "Nothing to do" in capsys.readouterr().out and not leftover.exists()
    after = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    assert after == before and verify([str(copy)]) == 0


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("backend", ["processes", "ray"])
def test_two_workers_make_the_bytes_that_one_makes(
    made: Path, tmp_path: Path, backend: str
) -> None:
    assert run(tmp_path / "x", "--workers", "2", backend=backend) == 0
    assert hashes(tmp_path / "x") == hashes(made)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--videos", "/nowhere"], "/nowhere"),
        (["--motions", "/nowhere"], "/nowhere"),
        (["--body", "/nowhere.npz"], "/nowhere.npz"),
        (["--flow", "flownets", "--flow-weights", "/nowhere.pth"], "/nowhere.pth"),
    ],
)
def test_a_missing_input_is_one_sentence(tmp_path: Path, options, words: str, capsys) -> None:
    assert run(tmp_path / "x", *options) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error and error.count("\n") == 1
    assert not list(tmp_path.rglob("*.tar"))


@pytest.mark.parametrize(
    ("name", "option", "words"),
    [
        ("short.avi", "--videos", "short.avi has 3 frames"),
        pytest.param("broken.mp4", "--videos", "broken.mp4 cannot be read", marks=pytest.mark.slow),
        ("empty.npz", "--motions", "empty.npz: not readable"),
    ],
)
def test_nothing_usable_is_one_sentence_and_can_be_repaired(
    tmp_path: Path, name: str, option: str, words: str, capsys
) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    if name == "short.avi":
        video = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
        for _ in range(3):
            video.write(np.zeros((240, 320, 3), np.uint8))
        video.release()
    else:
        (folder / name).write_bytes(b"no such thing")
    assert run(tmp_path / "x", option, str(folder)) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error and error.count("error: ") == 1
    assert not list(tmp_path.rglob("*.tar"))
    assert run(tmp_path / "x", "--num-shards", "1", "--clips-per-shard", "1") == 0


def test_a_body_of_another_layout_is_named(tmp_path: Path, capsys) -> None:
    np.savez(tmp_path / "body.npz", v_template=np.zeros((4, 3)))
    assert run(tmp_path / "x", "--body", str(tmp_path / "body.npz")) == 2
    error = capsys.readouterr().err
    assert "body.npz" in error and error.count("\n") == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--num-shards", "0"], "--num-shards must be at least 1, got 0"),
        (["--flow-actors", "1"], "--backend serial does not take --flow-actors"),
        (["--address", "auto", "--flow-gpus", "1"], "does not take --address or --flow-gpus"),
        (["--backend", "ray", "--flow", "dis", "--flow-gpus", "0.5"], "--flow dis needs no GPU"),
        (["--joint-regressor", "rows.npy"], "give --body with it"),
        (
            ["--surreal", "cmu", "--stride", "9", "--depth-std", "0"],
            "omit --stride and --depth-std",
        ),
        (["--flow", "flownets", "--raft-iterations", "9"], "omit --raft-iterations"),
        (["--flow", "dis", "--flow-dtype", "float32"], "omit --flow-dtype"),
    ],
)
def test_options_without_effect_or_sense_are_refused(
    tmp_path: Path, options, words: str, capsys
) -> None:
    assert run(tmp_path / "x", *options) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("error: ") and error.count("\n") == 1


def test_somebodys_readme_is_not_overwritten(tmp_path: Path, capsys) -> None:
    (tmp_path / "README.md").write_text("notes")
    assert run(tmp_path) == 2
    assert "README.md" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "notes"


def test_what_comes_next_can_be_pasted(copy: Path, tmp_path: Path, capsys) -> None:
    blank = copy.rename(tmp_path / "a folder")
    assert run(blank) == 0
    assert shlex.split(capsys.readouterr().out.splitlines()[-1])[-1] == str(blank)
    (blank / "shard-000001.tar").unlink()
    assert verify([str(blank)]) == 1
    assert shlex.split(capsys.readouterr().out.splitlines()[-1])[-2:] == [str(blank), "--repair"]
    assert verify([str(blank), "--repair"]) == 0
    printed = capsys.readouterr().out
    assert "Making 1 of 2 shards" in printed and "note:" not in printed


def test_one_number_of_shards_is_explained(copy: Path, capsys) -> None:
    assert run(copy, "--shards", "1") == 0
    assert "note: --shards 1 is one shard's number;" in capsys.readouterr().out
    assert run(copy, "--shards", "0-1") == 0
    assert "note:" not in capsys.readouterr().out


def test_a_missing_library_file_is_reported(copy: Path, capsys) -> None:
    for path in copy.glob("library/bodies*/*.h5"):
        path.unlink()
    assert inspect(["--out", str(copy / "look.html"), str(copy)]) == 0
    assert "the library lacks" in capsys.readouterr().out


def test_a_library_that_cannot_be_made_is_not_the_motions_fault(tmp_path: Path, capsys) -> None:
    (tmp_path / "taken").touch()
    assert run(tmp_path / "x", "--library", str(tmp_path / "taken" / "library")) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "taken") in error and "name another path" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x" / "manifests" / "quarantine.jsonl").exists()


def test_a_library_that_may_not_be_written_is_not_the_motions_fault(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    def refused(folder: Path, **_: object) -> None:
        if "library" in folder.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        os.makedirs(folder, exist_ok=True)

    monkeypatch.setattr(Path, "mkdir", refused)  # root may write everywhere
    assert run(tmp_path / "x") == 2
    error = capsys.readouterr().err
    assert "is not writable: make it writable" in error and error.count("error: ") == 1
    assert not (tmp_path / "x" / "manifests" / "quarantine.jsonl").exists()


def test_bad_videos_cost_themselves_only(tmp_path: Path, shared_data: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("opencvdoc_box.mp4", "cotracker_apple.mp4", "pips2_camel.mp4"):
        shutil.copy(shared_data / "videos" / name, videos)
    (videos / "broken.mp4").write_bytes(b"not a video")
    options = ["--videos", str(videos), "--split", "all", "--clips-per-shard", "8"]
    assert run(tmp_path / "x", *options) == 0
    lines = Manifest(tmp_path / "x" / "manifests" / "quarantine.jsonl").lines()
    assert {line["name"] for line in lines} == {"broken"}
    assert verify([str(tmp_path / "x")]) == 0
