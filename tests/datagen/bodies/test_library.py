"""The body library: what is written is read back, bytes repeat, labels fit pictures."""

import csv
import hashlib
import math
import pickle
import time
from dataclasses import asdict, replace

import cv2
import h5py
import numpy as np
import pytest
from scipy.sparse import csc_matrix
from toy_person import silhouette

from datagen.bodies import library
from datagen.bodies.library import build_person, clip_starts, run_starts
from datagen.bodies.motion.sources import find_motions
from datagen.bodies.options import BodiesConfig
from datagen.bodies.render.camera import project
from datagen.bodies.shapes import ScanFile
from datagen.bodies.smpl.model import load_bodies
from datagen.bodies.storage import library_file, read_person, write_clip
from datagen.common.errors import BadInput
from datagen.common.record import JOINTS, SMPL_PARENTS

CFG = BodiesConfig(stride=(6,), max_clip_frames=8)


def test_clips_are_cut_as_surreal_cuts(shared_data):
    counts = {"train": 0, "test": 0}
    with open(shared_data / "surreal" / "sequences.csv", newline="") as file:
        for row in csv.DictReader(file):
            for stride in (50, 30, 70):
                if row["split"] in counts:
                    frames = float(row["frames_30fps"])
                    counts[row["split"]] += len(clip_starts(frames, stride, 100))
    assert counts == {"train": 55_001, "test": 12_528}


def test_clips_cover_the_sequence():
    assert clip_starts(30, 50, 100) == [0]
    assert clip_starts(100, 50, 100) == [0]
    assert clip_starts(101, 50, 100) == [0, 50]
    assert clip_starts(300, 50, 100) == [0, 50, 100, 150, 200]


def test_surreals_three_runs_of_a_sequence():
    """500 frames are 9 clips at stride 50, 15 at 30 and 7 at 70 (generate_job_list.py)."""
    starts = run_starts(500, BodiesConfig(stride=(50, 30, 70)))
    assert starts == [*range(0, 450, 50), *range(0, 450, 30), *range(0, 490, 70)]
    assert run_starts(500, BodiesConfig()) == [*range(0, 450, 50)]


@pytest.fixture
def written(tmp_path):
    """A file of one clip of noise, its second frame empty, and what was put in."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (6, 24, 32, 3), dtype=np.uint8)
    mask = rng.random((6, 24, 32)) < 0.3
    mask[1] = False
    rgb[~mask] = 0
    flow = rng.normal(0, 5, (6, 24, 32, 2)).astype(np.float32) * mask[..., None]
    labels = {
        "joints3d": rng.normal(size=(6, 38, 3)).astype(np.float32),
        "pose": rng.normal(size=(6, 72)).astype(np.float32),
        "betas": rng.normal(size=10).astype(np.float32),
        "trans": rng.normal(size=(6, 3)).astype(np.float32),
        "camera": np.eye(3, dtype=np.float32),
    }
    path = tmp_path / "noise.h5"
    with h5py.File(path, "w") as file:
        file.attrs["name"], file.attrs["size"] = "noise", (24, 32)
        write_clip(
            file.create_group("clip_0000"), zip(rgb, mask, flow, strict=True), labels, {"a": 1}
        )
    return path, rgb, mask, flow, labels


@pytest.mark.parametrize(("start", "frames"), [(0, 6), (1, 1), (2, 3), (5, 1)])
def test_what_is_written_is_read(written, start, frames):
    path, rgb, mask, flow, labels = written
    person = read_person(path, 0, start, frames, flow=True)
    window = slice(start, start + frames)
    np.testing.assert_array_equal(person.rgb, rgb[window])
    np.testing.assert_array_equal(person.mask, mask[window])
    np.testing.assert_allclose(person.flow, flow[window], atol=0.01)
    for name in ("joints3d", "pose", "trans"):
        np.testing.assert_array_equal(getattr(person, name), labels[name][window])
    np.testing.assert_array_equal(person.betas, labels["betas"])
    assert person.name == "noise_0000" and person.meta == {"a": 1}
    assert (person.rgb.dtype, person.mask.dtype, person.flow.dtype) == (np.uint8, bool, np.float16)


def test_surface_flow_is_read_only_when_asked_for(written):
    with h5py.File(written[0], "r+") as file:
        del file["clip_0000/flow"]
    assert read_person(written[0], 0, 0, 6).flow.shape == (0, 24, 32, 2)
    with pytest.raises(BadInput, match="noise"):
        read_person(written[0], 0, 0, 6, flow=True)


def test_nobody_in_the_picture_is_stored_too(tmp_path):
    nothing = np.zeros((2, 24, 32))
    labels = {name: np.zeros((2, 3)) for name in ("joints3d", "pose", "betas", "trans", "camera")}
    pictures = [(np.zeros((24, 32, 3), np.uint8), m > 0, np.zeros((24, 32, 2))) for m in nothing]
    with h5py.File(tmp_path / "nobody.h5", "w") as file:
        file.attrs["name"], file.attrs["size"] = "nobody", (24, 32)
        sizes = write_clip(file.create_group("clip_0000"), pictures, labels, {})
    assert not sizes.any()
    assert not read_person(tmp_path / "nobody.h5", 0, 0, 2).mask.any()


def test_damage_and_absence_are_named(written):
    path = written[0]
    for clip, start, frames in ((1, 0, 1), (0, 4, 3), (0, -1, 2)):
        with pytest.raises(BadInput, match="noise"):
            read_person(path, clip, start, frames)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match="noise"):
        read_person(path, 0, 0, 6)
    with pytest.raises(BadInput, match="nowhere"):
        read_person(path.with_name("nowhere.h5"), 0, 0, 6)


@pytest.fixture(scope="module", autouse=True)
def short_motions():
    """Two clips a motion are enough here."""
    with pytest.MonkeyPatch.context() as patch:
        whole = library.load_motion

        def short(source, rest_joints):
            motion = whole(source, rest_joints)
            return replace(motion, pose=motion.pose[:14], trans=motion.trans[:14])

        patch.setattr(library, "load_motion", short)
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    source = find_motions(None)[0]
    path = tmp_path_factory.mktemp("library") / "bodies" / f"{source.name}.h5"
    return source, path, build_person(source, CFG, 3, path)


def test_further_runs_have_other_people_and_leave_the_first_as_it_is(built, tmp_path):
    source, path, line = built
    again = build_person(source, replace(CFG, stride=(6, 8)), 3, tmp_path / "runs.h5")
    assert [clip["start"] for clip in again["clips"]] == [0, 6, 0, 8]
    assert again["clips"][:2] == line["clips"]
    assert again["clips"][2]["betas"] != line["clips"][0]["betas"]
    first, other = (read_person(file, 0, 0, 8) for file in (path, tmp_path / "runs.h5"))
    np.testing.assert_array_equal(first.rgb, other.rgb)


def test_manifest_line_tells_the_file(built):
    source, path, line = built
    data = path.read_bytes()
    assert line["kind"] == "body" and line["name"] == source.name and line["file"] == path.name
    assert line["sha256"] == hashlib.sha256(data).hexdigest() and line["bytes"] == len(data)
    assert line["frames"] == sum(clip["frames"] for clip in line["clips"])
    assert list(path.parent.iterdir()) == [path]


def test_labels_fit_the_picture(built):
    _, path, line = built
    bodies = load_bodies(None)
    for index, clip in enumerate(line["clips"][:4]):
        person = read_person(path, index, 0, clip["frames"], flow=True)
        assert person.joints3d.shape == (clip["frames"], len(JOINTS), 3)
        body = bodies[clip["gender"]]
        vertices, joints = body.forward(person.pose, person.betas, person.trans)
        np.testing.assert_allclose(joints, person.joints3d, atol=1e-4)
        np.testing.assert_allclose(project(joints[0, 0], person.camera), [160, 120], atol=1e-2)
        for t in range(clip["frames"]):
            on_image = project(vertices[t], person.camera)
            ys, xs = np.nonzero(person.mask[t])
            low, high = on_image.min(0), on_image.max(0)
            if low.min() > 1 and high[0] < 318 and high[1] < 238:  # wholly in the picture
                assert np.abs(low - (xs.min(), ys.min())).max() <= 1.5
                assert np.abs(high - (xs.max(), ys.max())).max() <= 1.5
        assert not person.rgb[~person.mask].any() and not person.flow[~person.mask].any()
        assert not person.flow[-1].any()


def test_projection_of_stored_joints_is_opencvs(built):
    _, path, _ = built
    person = read_person(path, 0, 0, 8)
    points = person.joints3d.reshape(-1, 3).astype(np.float64)
    k, none = person.camera.astype(np.float64), np.zeros(3)
    theirs = cv2.projectPoints(points, none, none, k, None)[0][:, 0]
    np.testing.assert_allclose(project(points, person.camera), theirs, atol=1e-4)


def test_flow_leads_to_the_same_colours(built):
    _, path, line = built
    x, y = np.meshgrid(np.arange(320, dtype=np.float32), np.arange(240, dtype=np.float32))
    errors, still = [], []
    for index, clip in enumerate(line["clips"]):
        person = read_person(path, index, 0, clip["frames"], flow=True)
        for t in range(clip["frames"] - 1):
            flow = person.flow[t].astype(np.float32)
            at = (x + flow[..., 0], y + flow[..., 1])
            lands = cv2.remap(person.mask[t + 1].astype(np.float32), *at, cv2.INTER_LINEAR) == 1
            inside = person.mask[t] & lands
            assert inside.sum() > 0.7 * person.mask[t].sum()
            warped = cv2.remap(person.rgb[t + 1], *at, cv2.INTER_LINEAR)
            errors.append(np.abs(warped.astype(int) - person.rgb[t])[inside].ravel())
            still.append(np.abs(person.rgb[t + 1].astype(int) - person.rgb[t])[inside].ravel())
    error = np.concatenate(errors)
    assert np.median(error) <= 2 and error.mean() < 6
    print(
        f"warp error: median {np.median(error)}, mean {error.mean():.2f}, "
        f"90% {np.quantile(error, 0.9)}; unwarped {np.concatenate(still).mean():.2f}"
    )


@pytest.fixture(scope="module")
def smpl_file(tmp_path_factory):
    """An official-looking SMPL .pkl (no UVs, no evaluation joints) made of the open body."""
    body = load_bodies(None)["male"]
    arrays = {
        "f": body.faces.astype(np.uint32),
        "v_template": body.v_template,
        "shapedirs": body.shapedirs,
        "posedirs": body.posedirs,
        "weights": body.weights,
        "J_regressor": csc_matrix(body.joint_regressor),
        "kintree_table": np.array([SMPL_PARENTS, range(24)]) % 2**32,
        "bs_style": "lbs",
    }
    path = tmp_path_factory.mktemp("smpl") / "basicModel_m_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    return path


def overlaps(path, line, bodies, count, rng):
    """Return the IoU of stored masks with OpenCV's silhouettes in `count` random frames."""
    found = []
    for _ in range(count):
        index = int(rng.integers(len(line["clips"])))
        clip = line["clips"][index]
        person = read_person(path, index, int(rng.integers(clip["frames"])), 1)
        body = bodies[clip["gender"]]
        vertices, _ = body.forward(person.pose, person.betas, person.trans)
        wanted = silhouette(vertices[0], body.faces, person.camera)
        found.append((wanted & person.mask[0]).sum() / (wanted | person.mask[0]).sum())
    return found


def test_users_smpl_is_drawn_without_uvs(smpl_file, tmp_path):
    path = tmp_path / "smpl.h5"
    rows = np.round(np.random.default_rng(1).standard_normal((10, 10)), 2)
    np.savez(tmp_path / "smpl_data.npz", maleshapes=rows, femaleshapes=rows)
    scans = ScanFile(tmp_path / "smpl_data.npz", "test")
    line = build_person(find_motions(None)[0], replace(CFG, body=smpl_file), 0, path, scans)
    assert all(clip["betas"] in rows[8:].tolist() for clip in line["clips"])
    assert {clip["gender"] for clip in line["clips"]} == {"male"}
    bodies = load_bodies(smpl_file)
    assert min(overlaps(path, line, bodies, 2, np.random.default_rng(0))) > 0.98
    person = read_person(path, 0, 0, 1)
    assert person.rgb[person.mask].std() > 10  # dressed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["open", "pkl"])
def test_masks_are_silhouettes_in_100_random_frames(kind, smpl_file, tmp_path):
    cfg = CFG if kind == "open" else replace(CFG, body=smpl_file)
    bodies, rng = load_bodies(cfg.body), np.random.default_rng(0)
    sources = find_motions(None)
    for number in rng.permutation(len(sources))[:20]:
        path = tmp_path / f"{number}.h5"
        line = build_person(sources[number], cfg, 5, path)
        assert min(overlaps(path, line, bodies, 5, rng)) > 0.98


def test_two_builds_give_equal_bytes(built, tmp_path):
    source, _, line = built
    time.sleep(1.1)  # HDF5 can write times, in seconds
    again = build_person(source, CFG, 3, tmp_path / "other.h5")
    assert again["sha256"] == line["sha256"]


def test_a_failed_build_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise BadInput("broken")

    monkeypatch.setattr("datagen.bodies.library.dress", fail)
    with pytest.raises(BadInput):
        build_person(find_motions(None)[0], CFG, 0, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_size_per_frame(built):
    _, _, line = built
    assert line["bytes"] / line["frames"] < 60_000
    assert math.isfinite(sum(line["seconds"].values()))


def test_a_drawn_posture_is_in_labels_and_picture_alike(built, tmp_path):
    source = built[0]
    path, cfg = tmp_path / "bent.h5", replace(CFG, pose_noise=15.0)
    bent = build_person(source, cfg, 3, path)
    assert min(overlaps(path, bent, load_bodies(None), 2, np.random.default_rng(0))) > 0.98
    with h5py.File(path) as ours, h5py.File(built[1]) as plain:
        for clip in plain:
            pose, posture = plain[clip]["pose"][:], ours[clip]["pose"][:]
            np.testing.assert_array_equal(posture[:, :3], pose[:, :3])
            assert np.abs(posture - pose).max() > 0.02


def test_a_flipped_byte_is_found_or_changes_nothing(tmp_path):
    """In pixels, labels, texts or HDF5's own tables: no shard is made of it."""
    rng, path, frames = np.random.default_rng(0), tmp_path / "p.h5", 4

    def pictures():
        for _ in range(frames):
            mask = np.zeros((24, 32), bool)
            mask[5:20, 8:20] = True
            colour = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            yield colour, mask, rng.normal(size=(24, 32, 2))

    shapes = {"joints3d": (frames, 38, 3), "pose": (frames, 72), "betas": (10,),
              "trans": (frames, 3), "camera": (3, 3)}  # fmt: skip
    labels = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    with library_file(path, "somebody", 24, 32) as file:
        write_clip(file.create_group("clip_0000"), pictures(), labels, {"motion": "walk" * 20})
    right, found = asdict(read_person(path, 0, 0, frames, flow=True)), 0
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), 300):
        broken = bytearray(data)
        broken[place] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            read = asdict(read_person(path, 0, 0, frames, flow=True))
        except BadInput:
            found += 1
            continue
        for name, value in read.items():
            np.testing.assert_array_equal(value, right[name])
    assert found > 200
