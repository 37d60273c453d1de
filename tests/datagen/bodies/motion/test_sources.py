"""Motion from every format: the right frame, units, rate, names, and refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from motion_files import REST, bvh_text, deepmimic_frame

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.embedded import pack, unpack
from datagen.bodies.motion.glitches import bridge
from datagen.bodies.motion.retarget import forward, sole_heights, to_world
from datagen.bodies.motion.sources import MotionSource, find_motions, load_motion
from datagen.common.errors import BadInput

L_ANKLE, R_ANKLE, L_TOE, L_WRIST, R_WRIST, HEAD = 7, 8, 10, 20, 21, 15


def local(motion):
    return quat.from_axis_angle(motion.pose.reshape(-1, 24, 3))


def joints_of(motion):
    return forward(local(motion), motion.trans + REST[0], REST)


def write_amass(path, poses, trans, rate=30.0, **more):
    np.savez(path, poses=poses, trans=trans, mocap_framerate=rate, betas=np.zeros(16), **more)


def write_deepmimic(path, frames, loop="none"):
    path.write_text(json.dumps({"Loop": loop, "Frames": np.asarray(frames).tolist()}))


def load_only(folder):
    (source,) = find_motions(folder)
    return load_motion(source, REST)


class TestEmbedded:
    def test_every_motion_loads_in_the_common_frame(self):
        sources = find_motions(None)
        names = [source.name for source in sources]
        assert names == sorted(set(names)) and len(names) >= 30
        frames = 0
        for source in sources:
            assert re.fullmatch(r"[A-Za-z0-9_-]+", source.name)
            motion = load_motion(source, REST)
            assert motion.pose.dtype == motion.trans.dtype == np.float32
            assert motion.pose.shape == (len(motion.trans), 72) and len(motion.pose) >= 32
            lowest = sole_heights(local(motion), motion.trans + REST[0], REST).min(axis=(1, 2))
            assert lowest.min() > -0.1, f"{source.name} sinks"
            assert lowest.min() < 0.05, f"{source.name} floats"
            frames += len(motion.pose)
        assert frames / 30 / 60 > 30, "minutes, mirror images counted"

    def test_a_mirror_image_swaps_sides_and_shares_the_subject(self):
        sources = {source.name: source for source in find_motions(None)}
        plain = load_motion(sources["punch"], REST)
        mirrored = load_motion(sources["punch_mirrored"], REST)
        assert plain.subject == mirrored.subject
        a, b = joints_of(plain), joints_of(mirrored)
        np.testing.assert_allclose(a[:, L_WRIST] * [-1, 1, 1], b[:, R_WRIST], atol=1e-4)

    def test_it_is_varied_enough_to_train_on(self):
        sources = find_motions(None)
        assert len({source.subject for source in sources}) >= 60
        names = {source.name for source in sources}
        assert {
            "walk_on_1", "jog_1", "walk_about_turn_1", "reach_high_1", "sit_stand_1", "squats_1",
            "jump_up_1", "dance_1", "talk_1", "getup_faceup",
        } <= names  # fmt: skip

    @pytest.mark.parametrize("name", ["walk", "walk_on_1", "stroll_2", "jog_1"])
    def test_walkers_walk_forwards(self, name):
        motion = load_motion(MotionSource(name, name, None), REST)
        joints = joints_of(motion)
        toe = joints[:, L_TOE] - joints[:, L_ANKLE]
        path = joints[-1, 0] - joints[0, 0]
        assert (toe * path).sum(axis=1).mean() > 0
        assert joints[:, HEAD, 1].min() > 1.2


class TestDeepMimic:
    def test_left_is_left_and_limbs_bend_as_ours_do(self, tmp_path):
        # left knee bent by 90 degrees, right elbow by 90 degrees, over a standing figure
        frame = deepmimic_frame(_34=-np.pi / 2, _29=np.pi / 2)
        write_deepmimic(tmp_path / "bend.txt", [frame] * 4)
        joints = joints_of(load_only(tmp_path))[0]
        assert joints[L_ANKLE, 0] > 0 > joints[R_ANKLE, 0]
        assert joints[L_ANKLE, 1] > joints[R_ANKLE, 1] + 0.3, "the left foot is lifted"
        assert joints[L_ANKLE, 2] < joints[R_ANKLE, 2] - 0.3, "a knee bends backwards"
        assert joints[R_WRIST, 2] > joints[L_WRIST, 2] + 0.2, "an elbow bends forwards"
        assert joints[R_WRIST, 1] > joints[L_WRIST, 1] + 0.2

    def test_a_wrapped_cycle_is_repeated_where_it_ended(self, tmp_path):
        frames = [deepmimic_frame(_1=0.1 * k) for k in range(11)]
        write_deepmimic(tmp_path / "slide.txt", frames, loop="wrap")
        motion = load_only(tmp_path)
        assert len(motion.pose) >= 4 * 30
        step = np.diff(motion.trans[:, 2])
        np.testing.assert_allclose(step, step[0], atol=1e-3)


class TestBvh:
    def test_rest_is_smpl_rest(self, tmp_path):
        (tmp_path / "still.bvh").write_text(bvh_text())
        world = to_world(local(load_only(tmp_path)))
        pelvis, chest, head = world[0, 0], world[0, 9], world[0, 15]
        for turn in (pelvis, chest, head):
            np.testing.assert_allclose(np.abs(turn), quat.IDENTITY, atol=1e-6)

    def test_units_are_metres_whatever_the_file_uses(self, tmp_path):
        (tmp_path / "still.bvh").write_text(bvh_text())
        joints = joints_of(load_only(tmp_path))
        assert 1.4 < joints[0, HEAD, 1] < 1.7
        soles = sole_heights(local(load_only(tmp_path)), joints[:, 0], REST)
        assert abs(soles.min()) < 0.01

    def test_a_knee_bends_backwards(self, tmp_path):
        (tmp_path / "bend.bvh").write_text(bvh_text(LeftLeg_X=60))
        joints = joints_of(load_only(tmp_path))[0]
        assert joints[L_ANKLE, 2] < joints[R_ANKLE, 2] - 0.2
        assert joints[L_ANKLE, 0] > 0 > joints[R_ANKLE, 0]

    def test_z_up_files_give_the_same_motion(self, tmp_path):
        text = bvh_text(LeftLeg_X=60, Head_X=20, RightArm_X=30)

        def turned(match):  # (x, y, z) -> (x, -z, y)
            return f"OFFSET {match[1]} {-float(match[3])} {match[2]}"

        z_up = re.sub(r"OFFSET (\S+) (\S+) (\S+)", turned, text)
        z_up = z_up.replace(" 90.000000 0.000000", " 0.000000 90.000000")
        for name, content in (("y", text), ("z", z_up)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "take.bvh").write_text(content)
        y, z = load_only(tmp_path / "y"), load_only(tmp_path / "z")
        np.testing.assert_allclose(joints_of(z), joints_of(y), atol=1e-5)

    @pytest.mark.parametrize(
        "rename",
        [
            lambda text: re.sub(r"(ROOT|JOINT) ", r"\1 mixamorig:", text),
            lambda text: text.replace("JOINT Spine2", "JOINT Thing"),
            lambda text: text.upper(),
        ],
    )
    def test_names_may_be_prefixed_shouted_or_few(self, tmp_path, rename):
        (tmp_path / "take.bvh").write_text(rename(bvh_text(RightLeg_X=60)))
        joints = joints_of(load_only(tmp_path))[0]
        assert joints[R_ANKLE, 2] < joints[L_ANKLE, 2] - 0.2

    def test_half_of_the_palm_turn_is_the_forearms(self, tmp_path):
        (tmp_path / "palm.bvh").write_text(bvh_text(LeftHand_X=80))
        pose = load_only(tmp_path).pose[0].reshape(24, 3)
        bend = np.degrees(np.linalg.norm(pose, axis=1))
        np.testing.assert_allclose(bend[[18, 20]], 40, atol=2)


class TestMending:
    def test_a_leap_away_and_back_is_bridged_and_fast_moves_are_not(self):
        times = np.arange(120) / 120
        swing = quat.about(0, 1.2 * np.sin(2 * np.pi * 2 * times))  # 15 rad/s, a hard kick
        broken = swing.copy()
        broken[60:66] = quat.multiply(quat.about(1, 1.2), swing[60:66])
        world = {2: broken, 5: swing.copy()}
        assert 6 <= bridge(world, times) <= 16
        error = np.abs(np.sum(world[2] * swing, axis=1))
        assert 2 * np.arccos(error.min().clip(0, 1)) < np.radians(8)
        np.testing.assert_array_equal(world[5], swing)

    def test_packing_loses_a_hundredth_of_a_degree(self):
        rng = np.random.default_rng(0)
        turns = quat.from_axis_angle(np.cumsum(rng.normal(0, 0.3, (50, 24, 3)), axis=0))
        again, path = unpack(*pack(turns, np.zeros((50, 3))))
        angle = 2 * np.linalg.norm(quat.multiply(quat.inverse(turns), again)[..., :3], axis=-1)
        assert np.degrees(angle.max()) < 0.02 and path.shape == (50, 3)


class TestAmass:
    def test_the_reader_changes_nothing_but_the_up_axis(self, tmp_path):
        rng = np.random.default_rng(0)
        poses = np.zeros((5, 156))
        poses[:, 3:66] = rng.normal(0, 0.4, (5, 63))
        trans = rng.normal(0, 1, (5, 3))
        write_amass(tmp_path / "a_poses.npz", poses, trans)
        motion = load_only(tmp_path)
        np.testing.assert_allclose(motion.pose[:, 3:66], poses[:, 3:66], atol=1e-6)
        np.testing.assert_allclose(motion.pose[:, :3], [[-np.pi / 2, 0, 0]] * 5, atol=1e-6)
        np.testing.assert_allclose(np.diff(motion.trans[:, 1]), np.diff(trans[:, 2]), atol=1e-6)
        np.testing.assert_allclose(np.diff(motion.trans[:, 2]), -np.diff(trans[:, 1]), atol=1e-6)

    @pytest.mark.parametrize("rate", [120.0, 60.0, 100.0, 24.0])
    def test_resampled_to_30_frames_per_second(self, tmp_path, rate):
        # a steady turn of 90 degrees per second and a walk of 1 m/s
        seconds = np.arange(int(2 * rate) + 1) / rate
        poses = np.zeros((len(seconds), 156))
        poses[:, 3 * 16 + 2] = np.pi / 2 * seconds
        trans = seconds[:, None] * [1.0, 0, 0]
        write_amass(tmp_path / "turn_poses.npz", poses, trans, rate)
        motion = load_only(tmp_path)
        assert len(motion.pose) == 61
        wanted = np.pi / 2 * np.arange(61) / 30
        np.testing.assert_allclose(motion.pose[:, 3 * 16 + 2], wanted, atol=1e-5)
        np.testing.assert_allclose(np.diff(motion.trans[:, 0]), 1 / 30, atol=1e-6)

    def test_surreal_sequences_without_the_monsters(self, tmp_path):
        arrays = {}
        for name in ("01_01", "ung_104_46", "18_03", "19_05", "143_21", "143_22"):
            arrays[f"pose_{name}"] = np.zeros((121, 72))
            arrays[f"trans_{name}"] = np.zeros((121, 3))
        np.savez(tmp_path / "smpl_data.npz", **arrays, maleshapes=np.zeros((3, 10)))
        sources = find_motions(tmp_path)
        assert [s.name for s in sources] == ["01_01", "143_22", "ung_104_46"]
        assert [s.subject for s in sources] == ["01", "143", "104"]
        assert len(load_motion(sources[0], REST).pose) == 31, "120 Hz to 30"


class TestFinding:
    def test_names_are_unique_and_subjects_are_known(self, tmp_path):
        root = tmp_path / "mocap"  # pytest's own folder ends with "subj0", a person
        still = np.zeros((4, 156))
        for name in ("CMU/07/07_01_poses.npz", "KIT/3/jump 02_poses.npz", "own/kick_a.npz",
                     "HDM05/bk/HDM_bk_01-01_01_120_poses.npz",
                     "own/kick_b.npz", "CMU/07/shape.npz"):  # fmt: skip
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            write_amass(root / name, still, still[:, :3])
        (root / "own" / "kick_a.bvh").write_text(bvh_text())
        (root / "README.txt").write_text("not a motion")
        (root / "manifest.json").write_text("{}")
        found = {source.name: source.subject for source in find_motions(root)}
        assert found == {
            "CMU-07-07_01_poses": "07",
            "HDM05-bk-HDM_bk_01-01_01_120_poses": "bk",
            "KIT-3-jump_02_poses": "3",
            "own-kick_a-bvh": "kick",
            "own-kick_a-npz": "kick",
            "own-kick_b": "kick",
        }

    def test_an_amass_take_of_smplx_is_one_and_surreals_file_is_many(self, tmp_path):
        still = np.zeros((4, 156), np.float32)
        (tmp_path / "s1").mkdir()
        write_amass(
            tmp_path / "s1" / "walk_stageii.npz", still, still[:, :3],
            pose_body=still[:, 3:66], pose_hand=still[:, 66:],
        )  # fmt: skip
        many = {f"{kind}_{name}": still[:, :3] for name in ("01_02", "18_05") for kind in
                ("pose", "trans")}  # fmt: skip
        np.savez(tmp_path / "smpl_data.npz", **many)
        found = [(source.name, source.part) for source in find_motions(tmp_path)]
        assert found == [("01_02", "01_02"), ("s1-walk_stageii", None)]  # 18_05 is broken

    def test_a_file_of_two_names_or_folders_is_one_motion(self, tmp_path):
        """Its two names could be two performers, in two splits."""
        inner = tmp_path / "mocap" / "subject1"
        inner.mkdir(parents=True)
        (inner / "walk.bvh").write_text(bvh_text())
        (tmp_path / "mocap" / "best.bvh").symlink_to(inner / "walk.bvh")
        (tmp_path / "again").symlink_to(inner)
        places = tmp_path / "mocap", inner, tmp_path / "again"
        assert [(s.name, s.subject) for s in find_motions(*places)] == [
            ("subject1-walk", "subject1")
        ]
        (tmp_path / "links").mkdir()
        (tmp_path / "links" / "only.bvh").symlink_to(inner / "walk.bvh")
        assert [source.name for source in find_motions(tmp_path / "links")] == ["only"]

    def test_missing_and_empty_folders_are_refused(self, tmp_path):
        with pytest.raises(BadInput, match="no such folder"):
            find_motions(tmp_path / "nowhere")
        (tmp_path / "motions.zip").touch()
        with pytest.raises(BadInput, match=r"motions.zip: is not a folder.*unpacked"):
            find_motions(tmp_path / "motions.zip")
        (tmp_path / "motions.zip").unlink()
        with pytest.raises(BadInput, match="holds no motion"):
            find_motions(tmp_path)


class TestShared:
    """Real files that lie beside the project."""

    def test_one_take_in_two_formats_is_one_motion(self, shared_data: Path):
        folder = shared_data / "mocap" / "cmu_amc"
        amc, bvh = (load_motion(source, REST) for source in find_motions(folder))
        assert (amc.subject, amc.name, bvh.name) == ("01", "01_01-amc", "01_01-bvh")
        assert len(amc.pose) == len(bvh.pose) == 688, "both without the exporter's rest frame"
        np.testing.assert_allclose(joints_of(amc), joints_of(bvh), atol=2e-3)

    def test_a_take_agrees_with_an_independent_retargeting(self, shared_data: Path):
        (bvh,) = (s for s in find_motions(shared_data / "mocap" / "cmu_amc") if "bvh" in s.name)
        ours = joints_of(load_motion(bvh, REST))
        theirs_source = MotionSource(
            "t", "t", str(shared_data / "mocap" / "cmu_smpl" / "cmu_bvh_01_01.npz")
        )
        theirs = joints_of(load_motion(theirs_source, REST))
        gap = (ours - ours[:, :1]) - (theirs - theirs[:, :1])
        assert np.linalg.norm(gap, axis=2).mean() < 0.01, "metres"

    def test_the_whole_folder_is_found_and_a_sample_of_each_kind_loads(self, shared_data: Path):
        sources = find_motions(shared_data / "mocap")
        assert len(sources) > 200
        assert len({source.name for source in sources}) == len(sources)
        for source in sources[:: len(sources) // 8]:
            motion = load_motion(source, REST)
            assert np.isfinite(motion.pose).all() and np.isfinite(motion.trans).all()
