"""Files for other programs: one motion, whoever reads it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import trimesh
from predictions import maps_of, prediction, saved
from pybvh import read_bvh_file
from scipy.spatial.transform import Rotation

from datagen import launch
from datagen.bodies.motion import amass
from datagen.bodies.motion.bvh import read_bvh
from datagen.bodies.motion.convention import Convention
from datagen.common.record import JOINTS, SMPL_JOINTS
from datagen.replay import exports, world
from datagen.replay.opensim import MARKERS, coordinates

FRAMES = 40
RNG = np.random.default_rng(1)


def moving(fps: float = 30.0, **changes) -> dict[str, np.ndarray]:
    """Return a prediction of somebody who walks off, turning, with every joint in motion."""
    t = np.arange(FRAMES)[:, None] / fps
    pose = 0.5 * np.sin(2 * t * RNG.uniform(0.5, 2, 72) + RNG.uniform(0, 6, 72))
    pose[:, :3] = [np.pi, 0, 0]  # upright: the camera's y points down
    made = prediction(
        pose, np.tile(RNG.normal(0, 0.5, 10), (FRAMES, 1)), np.tile([0.9, 0, 0], (FRAMES, 1)),
        maps_of(np.ones(FRAMES), np.zeros((FRAMES, 2))),
    )  # fmt: skip
    orient = Rotation.from_euler("z", 60 * t, degrees=True) * Rotation.from_euler(
        "x", 90, degrees=True
    )
    made["poses"] = made["poses"].copy()
    made["poses"][:, :3] = orient.as_rotvec()
    made["trans"] = np.concatenate([3 + t, 4 + 0.2 * np.sin(5 * t), 1 + 0.1 * t], axis=1)
    return {**made, "mocap_framerate": np.array(fps), **changes}


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("p") / "x.npz", moving())


@pytest.fixture(scope="module")
def written(tmp_path_factory, motion, body) -> Path:
    path = tmp_path_factory.mktemp("out") / "clip one"
    exports.write_exports(path, motion, body, ["bvh", "trc", "mot", "json"])
    return path


@pytest.fixture(scope="module")
def places(motion, body) -> np.ndarray:
    """Joints [L,38,3], y up, as SMPL's own forward pass places them."""
    pose = np.concatenate([motion.orient, motion.pose[:, 3:]], 1)
    _, joints = body.forward(pose, motion.betas, motion.trans)
    vertices, _ = body.forward(pose[:1], motion.betas, motion.trans[:1])
    joints = joints - np.array([*joints[0, 0, :2], vertices[0, :, 2].min()])
    return np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], -1)


def kind(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


class TestPlaces:
    """Millimetres from SMPL's forward pass."""

    def test_bvh_by_our_reader(self, written, places):
        take = read_bvh(kind(written, "bvh"))
        assert np.allclose(np.diff(take.times), 1 / 30, atol=1e-6)
        order = bvh_order()
        assert np.abs(take.positions / 100 - places[:, order]).max() < 1e-3

    def test_bvh_by_pybvh(self, written, places):
        bvh = read_bvh_file(kind(written, "bvh"))
        names = [node.name for node in bvh.nodes if not node.is_end_site()]
        where = bvh.node_positions(centered="world")
        index = [bvh.node_index[name] for name in names]
        assert names == bvh_names()
        assert np.abs(where[:, index] / 100 - places[:, bvh_order()]).max() < 1e-3

    def test_trc(self, written, places):
        head, values = read_trc(kind(written, "trc"))
        assert head["Units"] == "m" and float(head["DataRate"]) == 30
        assert int(head["NumFrames"]) == FRAMES == len(values["Time"])
        for name in SMPL_JOINTS:
            assert np.abs(values[name] - places[:, JOINTS.index(name)]).max() < 1e-4
        for joint, marker in MARKERS.items():
            assert np.abs(values[marker] - places[:, JOINTS.index(joint)]).max() < 1e-4
        assert values["RKnee"][0, 1] < values["RHip"][0, 1] < values["Head"][0, 1]

    def test_npz_by_the_launchers_reader(self, written, places, body):
        """Its pelvis path is that of SMPL's own rest pelvis, so places are compared from there."""
        rotations, pelvis, rate = amass.read_amass(kind(written, "npz"), Convention())
        vectors = Rotation.from_quat(rotations.reshape(-1, 4)).as_rotvec()
        with np.load(kind(written, "npz")) as file:
            betas = file["betas"]
        _, joints = body.forward(vectors.reshape(FRAMES, 72), betas, np.zeros((FRAMES, 3)))
        mine, right = (part - part[:, :1] for part in (joints[:, :22], places[:, :22]))
        assert rate == 30 and np.abs(mine - right).max() < 1e-3
        assert np.abs((pelvis - pelvis[0]) - (places[:, 0] - places[0, 0])).max() < 1e-3

    def test_glb_by_pygltflib(self, written, places):
        file = pygltflib.GLTF2().load(kind(written, "glb"))
        joints = glb_joints(file)
        assert np.abs(joints - places[:, :24]).max() < 1e-3

    def test_glb_by_trimesh(self, written, body, motion):
        scene = trimesh.load_scene(kind(written, "glb"))
        (mesh,) = scene.geometry.values()
        assert len(mesh.vertices) == body.num_vertices
        assert np.abs(mesh.vertices - body.rest_vertices(motion.betas)).max() < 1e-3
        assert set(SMPL_JOINTS) <= set(scene.graph.nodes)

    def test_json(self, written, places, motion, body):
        content = json.loads(kind(written, "json").read_text())
        assert content["joints"] == list(JOINTS)
        assert np.abs(np.array(content["joints3d"]) - places).max() < 1e-3
        _, about = body.forward(motion.pose, motion.shapes, np.zeros((FRAMES, 3)))
        seen = (0.9 * about[..., :2] + 1) * 224 / 2 - 0.5
        assert np.abs(np.array(content["joints2d"]) - seen).max() < 0.02
        assert content["frames"] == list(range(FRAMES)) and all(content["detected"])

    def test_the_first_frame_stands_on_the_ground_at_the_origin(self, places):
        assert np.abs(places[0, 0, [0, 2]]).max() < 1e-6 and places[0, :, 1].min() > -0.01


def bvh_order() -> list[int]:
    """SMPL's joints as they stand in a hierarchy: each followed by what hangs on it."""
    from datagen.common.record import SMPL_PARENTS

    def below(joint: int) -> list[int]:
        children = [c for c, parent in enumerate(SMPL_PARENTS) if parent == joint]
        return [joint, *(x for child in children for x in below(child))]

    return below(0)


def bvh_names() -> list[str]:
    side = ("UpLeg Leg Foot ToeBase", "Shoulder Arm ForeArm Hand HandMiddle1")
    legs = [f"{s}{part}" for s in ("Left", "Right") for part in side[0].split()]
    arms = [f"{s}{part}" for s in ("Left", "Right") for part in side[1].split()]
    return ["Hips", *legs, "Spine", "Spine1", "Spine2", "Neck", "Head", *arms]


def read_trc(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Read as OpenSim's TRCFileAdapter does: names above columns of three."""
    lines = path.read_text().splitlines()
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names = [name for name in lines[3].split("\t")[2:] if name]
    assert len(names) == int(head["NumMarkers"])
    assert lines[4].split("\t")[2:] == [f"{a}{n + 1}" for n in range(len(names)) for a in "XYZ"]
    rows = np.array([line.split("\t") for line in lines[5:]], float)
    assert rows.shape[1] == 2 + 3 * len(names) and (rows[:, 0] == np.arange(1, len(rows) + 1)).all()
    found = {name: rows[:, 2 + 3 * i : 5 + 3 * i] for i, name in enumerate(names)}
    return head, {"Time": rows[:, 1], **found}


def glb_joints(file: pygltflib.GLTF2) -> np.ndarray:
    """Return the nodes' places [L,24,3] of an animated skeleton."""
    data = file.binary_blob()

    def array(number: int) -> np.ndarray:
        accessor = file.accessors[number]
        view = file.bufferViews[accessor.bufferView]
        wide = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
        values = np.frombuffer(data, "<f4", accessor.count * wide, view.byteOffset)
        return values.reshape(-1, wide)

    channels = {}
    for channel in file.animations[0].channels:
        sampler = file.animations[0].samplers[channel.sampler]
        channels[channel.target.node, channel.target.path] = array(sampler.output)
    out = np.zeros((FRAMES, 24, 3))

    def walk(node: int, turn: Rotation, place: np.ndarray) -> None:
        offset = channels.get((node, "translation"), np.array(file.nodes[node].translation))
        place = place + turn.apply(np.broadcast_to(offset, (FRAMES, 3)).copy())
        turn = turn * Rotation.from_quat(channels[node, "rotation"].copy())
        out[:, node] = place
        for child in file.nodes[node].children or []:
            walk(child, turn, place)

    walk(0, Rotation.identity(FRAMES), np.zeros((FRAMES, 3)))
    return out


class TestRates:
    @pytest.mark.parametrize("fps", [29.97, 23.976, 24.0, 25.0, 30.0])
    def test_the_npz_loads_in_blenders_add_ons(self, tmp_path, body, fps):
        """They refuse int(mocap_framerate) below the scene's 30."""
        motion = saved(tmp_path / "x.npz", moving(fps))
        exports.write_exports(tmp_path / "y", motion, body)
        with np.load(tmp_path / "y.npz") as file:
            assert int(file["mocap_framerate"]) == int(file["mocap_frame_rate"]) == 30
            assert file["poses"].shape[1:] == (156,)
            spans = (len(file["poses"]) - 1) / 30, (FRAMES - 1) / fps
            assert 0 <= spans[1] - spans[0] < 1 / 30
            middle = world.at_times(world.of_prediction(motion, body), np.array([20 / 30]))
            assert np.abs(file["trans"][20] - middle.trans[0]).max() < 1e-5

    def test_uneven_times_are_resampled_where_a_format_has_one_rate(self, tmp_path, body):
        """24 frames at 30 a second, then at 15: the 24th lies at 0.8 s in every file."""
        time = np.concatenate([np.arange(24) / 30, 0.8 + np.arange(FRAMES - 24) / 15])
        motion = saved(tmp_path / "x.npz", moving(time=time))
        exports.write_exports(tmp_path / "y", motion, body, ["bvh", "trc", "mot", "json"])
        right = world.of_prediction(motion, body).joints(body)[24, 0, [0, 2]]
        take = read_bvh(tmp_path / "y.bvh")
        _, trc = read_trc(tmp_path / "y.trc")
        content = json.loads((tmp_path / "y.json").read_text())
        assert take.times[24] == pytest.approx(0.8, abs=1e-6) and trc["Time"][24] == 0.8
        assert content["times"][24] == pytest.approx(0.8)
        for place in (take.positions[24, 0] / 100, trc["pelvis"][24], content["joints3d"][24][0]):
            assert np.abs(np.array(place)[[0, 1]] - right).max() < 1e-3


class TestSmooth:
    def test_noise_goes_and_motion_stays(self, motion, body):
        still = world.of_prediction(motion, body)
        rng = np.random.default_rng(0)
        shaken = world.WorldMotion(
            still.pose + rng.normal(0, 0.05, still.pose.shape), still.betas,
            still.trans + rng.normal(0, 0.02, still.trans.shape), still.times,
        )  # fmt: skip
        calm = world.smoothed(shaken, 4)

        def off(one):
            return np.abs(one.joints(body) - still.joints(body))[4:-4].mean()

        assert off(calm) < 0.6 * off(shaken)
        assert off(world.smoothed(still, 6)) < 0.004
        assert world.smoothed(shaken, 15) is shaken

    def test_it_is_butterworths(self, motion, body):
        """A tone at the cut-off keeps half of its amplitude (twice -3 dB), one below all."""
        times = np.arange(300) / 30
        for tone, kept in ((3.0, 0.5), (0.5, 1.0)):
            trans = np.sin(2 * np.pi * tone * times)[:, None] * [1, 0, 0]
            made = world.WorldMotion(np.zeros((300, 72)), np.zeros(10), trans, times)
            found = world.smoothed(made, 3).trans[60:-60, 0]
            assert np.sqrt(2) * found.std() == pytest.approx(kept, abs=0.02)

    def test_a_turn_all_around_stays_one(self):
        """Rotation vectors leap at 180°, the motion must not."""
        times = np.arange(60) / 30
        pose = np.zeros((60, 72))
        turns = Rotation.from_euler("y", np.linspace(0, 720, 60)[:, None], degrees=True)
        pose[:, :3] = turns.as_rotvec()
        made = world.WorldMotion(pose, np.zeros(10), np.zeros((60, 3)), times)
        found = Rotation.from_rotvec(world.smoothed(made, 6).pose[:, :3])
        assert np.degrees((found * turns.inv()).magnitude())[6:-6].max() < 0.5


class TestAngles:
    """Signs and zeros, by what OpenSim's names mean."""

    def posed(self, body, joint: str = "pelvis", euler: str = "x", degrees: float = 0.0) -> dict:
        """Return the coordinates of a T pose in which one SMPL joint is turned."""
        pose = np.zeros((1, 24, 3))
        pose[0, SMPL_JOINTS.index(joint)] = Rotation.from_euler(
            euler, degrees, degrees=True
        ).as_rotvec()
        upright = Rotation.from_euler("x", 90, degrees=True)
        pose[0, 0] = (upright * Rotation.from_rotvec(pose[0, 0])).as_rotvec()
        motion = world.WorldMotion(pose.reshape(1, 72), np.zeros(10), np.zeros((1, 3)), np.zeros(1))
        return {name: float(value[0]) for name, value in coordinates(body, motion).items()}

    def test_a_t_pose(self, body):
        """Arms out to the sides are arm_add -90, the rest is 0 but for how the body rests."""
        found = self.posed(body)
        assert found.pop("arm_add_r") == pytest.approx(-90, abs=12)
        assert found.pop("arm_add_l") == pytest.approx(-90, abs=12)
        assert found.pop("pelvis_rotation") == pytest.approx(-90)  # towards the camera's side
        places = [found.pop(f"pelvis_t{axis}") for axis in "xyz"]
        for side in "rl":  # at -90 degrees both turn about the same axis
            found.pop(f"arm_flex_{side}"), found.pop(f"arm_rot_{side}")
        assert np.abs(list(found.values())).max() < 12
        pelvis, *hips = body.rest_joints()[:3]
        height = pelvis[2] + np.mean([hip[1] - pelvis[1] for hip in hips])  # turned about it
        assert places[1] == pytest.approx(height + 0.0661, abs=1e-5)

    @pytest.mark.parametrize(
        ("joint", "euler", "degrees", "name"),
        [
            ("right_hip", "x", -40, "hip_flexion_r"),  # SMPL's x is left: the knee comes forward
            ("left_hip", "x", -40, "hip_flexion_l"),
            ("right_hip", "z", 40, "hip_adduction_r"),  # about forward: to the left
            ("left_hip", "z", -40, "hip_adduction_l"),
            ("right_hip", "y", 40, "hip_rotation_r"),  # toes to the left: inwards
            ("left_hip", "y", -40, "hip_rotation_l"),
            ("right_knee", "x", 40, "knee_angle_r"),  # heel to the back
            ("left_knee", "x", 40, "knee_angle_l"),
            ("left_ankle", "x", -40, "ankle_angle_l"),  # toes up
            ("spine2", "x", -40, "lumbar_extension"),  # chest up, to the back
            ("right_elbow", "y", 40, "elbow_flex_r"),  # of arms held out: hands come forward
            ("left_elbow", "y", -40, "elbow_flex_l"),
        ],
    )
    def test_each_joints_meaning(self, body, joint, euler, degrees, name):
        before, after = self.posed(body), self.posed(body, joint, euler, degrees)
        change = {key: after[key] - before[key] for key in after}
        assert change.pop(name) == pytest.approx(40, abs=3)
        assert max(map(abs, change.values())) < 12

    def test_the_arms_down(self, body):
        for side, sign in (("right", 1), ("left", -1)):
            after = self.posed(body, f"{side}_shoulder", "z", 90 * sign)
            for name in ("flex", "add", "rot"):
                assert after[f"arm_{name}_{side[0]}"] == pytest.approx(0, abs=15)

    def test_bones_point_where_the_joints_do(self, body, motion, places):
        """By OpenSim's own order of rotations, joint after joint."""
        angle = coordinates(body, world.of_prediction(motion, body))

        def turn(*names, sign=1.0):
            degrees = np.stack([angle[n] for n in names], 1) * [1, sign, sign]
            return Rotation.from_euler("ZXY", degrees, degrees=True)

        def hinge(name, sign):
            return Rotation.from_euler("z", sign * angle[name][:, None], degrees=True)

        pelvis = turn("pelvis_tilt", "pelvis_list", "pelvis_rotation")
        torso = pelvis * turn("lumbar_extension", "lumbar_bending", "lumbar_rotation")
        for s, sign, legs, arms in (
            ("r", 1, (2, 5, 8), (17, 19, 21)),
            ("l", -1, (1, 4, 7), (16, 18, 20)),
        ):
            hip = [f"hip_{name}_{s}" for name in ("flexion", "adduction", "rotation")]
            shoulder = [f"arm_{name}_{s}" for name in ("flex", "add", "rot")]
            thigh, arm = pelvis * turn(*hip, sign=sign), torso * turn(*shoulder, sign=sign)
            shank, forearm = thigh * hinge(f"knee_angle_{s}", -1), arm * hinge(f"elbow_flex_{s}", 1)
            for segment, (a, b), most in (
                (thigh, legs[:2], 0.05), (shank, legs[1:], 25),
                (arm, arms[:2], 0.05), (forearm, arms[1:], 25),
            ):  # fmt: skip
                bone = places[:, b] - places[:, a]
                bone /= np.linalg.norm(bone, axis=1, keepdims=True)
                along = (segment.apply([0, -1, 0]) * bone).sum(1)
                off = np.degrees(np.arccos(np.clip(along, -1, 1)))
                assert off.max() < most  # the hinges lack what SMPL's knee turns beside its axis

    def test_mot(self, written, motion):
        lines = kind(written, "mot").read_text().splitlines()
        end = lines.index("endheader")
        assert f"nRows={FRAMES}" in lines[:end] and "inDegrees=yes" in lines[:end]
        names = lines[end + 1].split("\t")
        rows = np.array([line.split("\t") for line in lines[end + 2 :]], float)
        assert f"nColumns={len(names)}" in lines[:end] and rows.shape == (FRAMES, len(names))
        assert np.allclose(rows[:, 0], motion.times, atol=1e-6)
        # The whole pelvis again, by OpenSim's own order: about z, then x, then y.
        columns = [names.index(f"pelvis_{name}") for name in ("tilt", "list", "rotation")]
        pelvis = Rotation.from_euler("ZXY", rows[:, columns], degrees=True)
        up = Rotation.from_rotvec(motion.orient)
        forward = up.apply([0, 0, 1])  # SMPL's forward, z up
        there = pelvis.apply([1, 0, 0])
        assert (
            np.abs(there - np.stack([forward[:, 0], forward[:, 2], -forward[:, 1]], -1)).max()
            < 1e-4
        )


def test_the_motions_become_training_motions(written, tmp_path, monkeypatch):
    """Our own launcher takes the .npz and the .bvh."""
    for suffix in ("npz", "bvh"):
        (tmp_path / suffix).mkdir()
        shutil.copy(kind(written, suffix), tmp_path / suffix)
    options = "--labels-only --num-shards 1 --backend serial --motions npz bvh --out shards"
    monkeypatch.chdir(tmp_path)
    assert launch.main(options.split()) == 0
    lines = (tmp_path / "manifests" / "shards.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines].count("shard") == 1
    assert not (tmp_path / "manifests" / "quarantine.jsonl").exists()
