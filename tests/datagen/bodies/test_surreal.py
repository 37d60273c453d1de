"""SURREAL's reader, on its one real annotation (beside the repository) and on a made-up clip."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from datagen.bodies.options import BodiesConfig
from datagen.bodies.render.camera import project
from datagen.bodies.smpl import model
from datagen.bodies.smpl.model import kept_bodies, load_bodies
from datagen.bodies.storage import read_person
from datagen.bodies.surreal import (
    CAMERA,
    SWAP,
    build_surreal,
    find_surreal,
    mirror_pose,
    read_labels,
)
from datagen.common.errors import BadInput
from datagen.common.record import SMPL_JOINTS, SMPL_PARENTS
from datagen.launch import main as launch
from datagen.launcher import tasks
from datagen.launcher.contents import contents
from datagen.launcher.library import finished, stem
from datagen.output.manifest import Manifest
from datagen.verify import main as verify

PELVIS, NECK = SMPL_JOINTS.index("pelvis"), SMPL_JOINTS.index("neck")


@pytest.fixture(scope="module")
def sample(shared_data):
    return shared_data / "surreal" / "01_01_c0001_info.mat"


def handedness(joints):
    """(left hip - right hip) · (up × forward): positive for a body as bodies are, [T]."""

    def at(name):
        return joints[:, SMPL_JOINTS.index(name)]

    across = at("left_hip") - at("right_hip")
    up = at("neck") - at("pelvis")
    forward = at("left_foot") - at("left_ankle")
    return (across * np.cross(up, forward)).sum(-1)


def test_projection_equals_the_pixels_surreal_wrote(sample):
    labels = read_labels(sample)
    assert labels.valid.all() and labels.gender in ("female", "male")
    seen = project(labels.joints3d.astype(np.float64), CAMERA.astype(np.float64))
    np.testing.assert_array_equal(np.rint(seen), labels.joints2d)


def test_the_mirror_is_undone(sample):
    labels = read_labels(sample)
    assert (handedness(labels.joints3d) > 0).all()
    assert (handedness(labels.joints3d[:, SWAP]) < 0).all()  # as SURREAL labels it


def test_pose_and_joints_tell_the_same_body(sample):
    labels = read_labels(sample)
    # Our body's bones are not SMPL's, but they point the same way.
    body = load_bodies(None)[labels.gender]
    frames = slice(None, None, 10)
    pose = labels.pose[frames]
    _, joints = body.forward(pose, np.zeros(10, np.float32), np.zeros((len(pose), 3), np.float32))
    limbs = [i for i, name in enumerate(SMPL_JOINTS) if name.endswith(("knee", "ankle", "elbow"))]
    parents = [SMPL_PARENTS[i] for i in limbs]

    def directions(points):
        bones = points[:, limbs] - points[:, parents]
        return bones / np.linalg.norm(bones, axis=-1, keepdims=True)

    cosine = (directions(joints) * directions(labels.joints3d[frames])).sum(-1)
    assert cosine.min() > 0.9 and cosine.mean() > 0.97


def test_mirroring_a_pose_mirrors_the_chain():
    """The mirrored pose, walked along a symmetric skeleton, is the picture of the original."""
    rng = np.random.default_rng(0)
    offsets = rng.normal(size=(24, 3))
    offsets = (offsets + offsets[SWAP] * [-1, 1, 1]) / 2  # left and right alike
    pose, yaw = rng.normal(0, 1, (5, 72)), rng.uniform(0, 6, 5)

    def chain(turns, offsets):
        world, places = [None] * 24, np.zeros((24, 3))
        for j, parent in enumerate(SMPL_PARENTS):
            world[j] = turns[j] if parent < 0 else world[parent] @ turns[j]
            if parent >= 0:
                places[j] = places[parent] + world[parent] @ offsets[j]
        return places

    picture = np.array([[0, 0, -1], [0, 1, 0], [-1, 0, 0]])
    for t, mirrored in enumerate(mirror_pose(pose, yaw)):
        turns = Rotation.from_rotvec(pose[t].reshape(24, 3)).as_matrix()
        turns[0] = (
            Rotation.from_euler("x", 90, degrees=True)
            * Rotation.from_euler("z", yaw[t])
            * Rotation.from_matrix(turns[0])
        ).as_matrix()
        shown = (chain(turns, offsets) @ picture.T)[SWAP]
        ours = chain(Rotation.from_rotvec(mirrored.reshape(24, 3)).as_matrix(), offsets)
        np.testing.assert_allclose(ours, shown, atol=1e-9)


@pytest.fixture
def clip_folder(tmp_path):
    """A made-up clip of 5 frames in SURREAL's layout, its third frame failed, and one of 1."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "cmu" / "train" / "run0" / "01_01"
    folder.mkdir(parents=True)
    for number, frames in ((1, 5), (2, 1)):
        stem = str(folder / f"01_01_c{number:04d}")
        joints3d = rng.normal(0, 0.5, (3, 24, frames)).astype(np.float32)
        joints2d = np.full((2, 24, frames), 100, np.float32)
        if frames > 2:
            joints3d[..., 1], joints2d[..., 1] = 0, 0
        info = {
            "joints2D": joints2d, "joints3D": joints3d,
            "pose": rng.normal(0, 0.3, (72, frames)), "shape": np.ones((10, frames)),
            "zrot": np.full((frames, 1), 0.3), "camLoc": np.array([[7.0], [0], [0]]),
            "gender": np.ones((frames, 1), np.uint8), "bg": np.array(["a"] * frames, object),
        }  # fmt: skip
        if frames == 1:
            info["joints2D"], info["joints3D"] = joints2d[..., 0], joints3d[..., 0]
        savemat(f"{stem}_info.mat", info)
        masks = {}
        video = cv2.VideoWriter(f"{stem}.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 30, (320, 240))
        for t in range(frames):
            part = np.zeros((240, 320), np.uint8)
            part[60:200, 100 + 10 * t : 150 + 10 * t] = 3
            masks[f"segm_{t + 1}"] = part
            video.write(np.where(part[..., None] > 0, np.uint8((20, 60, 220)), np.uint8(90)))
        video.release()
        savemat(f"{stem}_segm.mat", masks, do_compression=True)
    return tmp_path


def test_clips_become_a_library_file(clip_folder, tmp_path):
    (source,) = find_surreal(clip_folder)
    assert (source.name, source.subject, len(source.clips)) == ("run0_01_01", "01", 2)
    place = source.clips[0].parent
    again = Path(str(place).replace("train", "val"))
    assert again != place
    again.mkdir(parents=True)
    for other in (again / "01_01_c0001_info.mat", place / "18_05_c0001_info.mat"):
        other.touch()  # repeated in another split; broken according to SURREAL's README
    assert find_surreal(clip_folder) == [source]
    path = tmp_path / "library" / "run0_01_01.h5"
    line = build_surreal(source, load_bodies(None), path)
    assert line["kind"] == "body" and [clip["frames"] for clip in line["clips"]] == [3]
    assert list(line["rejected"]) == ["01_01_c0002"]  # one frame is not a clip
    person = read_person(path, 0, 0, 3, flow=True)
    assert person.mask[0, 100, 125] and not person.mask[0, 100, 115]  # frame 3 of the video
    assert person.rgb[0, 120, 140, 0] > 180 > person.rgb[0, 120, 140, 2]  # red, not blue
    assert not person.rgb[~person.mask].any() and not person.flow.any()
    assert person.joints3d.shape == (3, 38, 3)


def test_the_launcher_takes_surreals_people(clip_folder, tmp_path, capsys):
    out = tmp_path / "x"
    options = "--clip-length 2 --image-size 64 --num-shards 1 --clips-per-shard 2 --video-limit 1"
    options += (
        f" --windows-per-video 1 --backend serial --surreal {clip_folder / 'cmu'} --out {out}"
    )
    assert launch(options.split()) == 0
    (line,) = Manifest(out / "manifests" / "bodies.jsonl").lines()
    assert line["name"] == "run0_01_01" and line["clips"][0]["in_view"]
    assert verify([str(out)]) == 0
    assert launch([*options.split(), "--width", "640"]) == 2
    assert "--surreal has pictures of 320x240" in capsys.readouterr().err


def test_bodies_are_read_once_and_a_fetched_file_makes_the_library_anew(clip_folder, monkeypatch):
    (source,) = find_surreal(clip_folder)
    video = source.clips[0].with_name("01_01_c0001.mp4")
    video.rename(video.with_suffix(".later"))
    loads = []
    monkeypatch.setattr(model, "load_bodies", lambda *_: loads.append(_) or load_bodies())
    kept_bodies.cache_clear()
    folder = clip_folder / "library"

    def task() -> dict[str, Any]:
        known = contents([source], "people")[source.name]
        path = folder / f"{stem(source.name, known)}.h5"
        return tasks.BodyTask(source, BodiesConfig(), 0, path, content=known)()

    with pytest.raises(BadInput, match="c0001"):
        task()
    video.with_suffix(".later").rename(video)
    task()
    assert len(loads) == 1
    assert list(finished(folder, contents([source], "people"))) == [source.name]
    other = source.clips[1].with_name("01_01_c0002_segm.mat")
    other.write_bytes(other.read_bytes()[:-1] + b" ")  # as many bytes as before
    assert not finished(folder, contents([source], "people"))


def test_one_frame_keeps_its_axis(clip_folder):
    (source,) = find_surreal(clip_folder)
    labels = read_labels(source.clips[1].with_name("01_01_c0002_info.mat"))
    assert labels.joints3d.shape == (1, 24, 3) and labels.pose.shape == (1, 72)


def test_absent_and_damaged_files_are_named(clip_folder, tmp_path):
    with pytest.raises(BadInput, match="no SURREAL"):
        find_surreal(tmp_path / "library")
    (source,) = find_surreal(clip_folder)
    segm = source.clips[0].with_name("01_01_c0001_segm.mat")
    segm.write_bytes(segm.read_bytes()[:1000])
    with pytest.raises(BadInput, match="run0_01_01"):
        build_surreal(source, load_bodies(None), tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()


def test_mutated_labels_are_read_or_refused(sample, tmp_path):
    rng = np.random.default_rng(0)
    data = np.frombuffer(sample.read_bytes(), np.uint8)
    refused = 0
    for _ in range(200):
        broken = data.copy()
        places = rng.integers(0, len(data), 12)
        places[:4] = rng.integers(0, 4000, 4)
        broken[places] = rng.integers(0, 256, 12)
        path = tmp_path / "mutated_info.mat"
        path.write_bytes(broken[: len(data) if rng.random() < 0.7 else rng.integers(1, len(data))])
        try:
            read_labels(path)
        except BadInput as error:
            refused += 1
            assert "mutated_info.mat" in str(error)
    assert refused > 50


def test_names_of_any_length_and_script_are_bounded_and_stay_apart(tmp_path: Path) -> None:
    """A library file's name is the sequence's, and more is added to it."""
    stems = [*(f"{'walk' * 55}{end}" for end in "ab"), "歩く", "踊る"]
    for stem_ in stems:
        (tmp_path / f"{stem_}_c0001_info.mat").write_bytes(b"")
    names = [source.name for source in find_surreal(tmp_path)]
    assert len(set(names)) == 4
    assert all(name.isascii() and len(name) <= 210 for name in names)
