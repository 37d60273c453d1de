"""BVH as other programs write it comes back as the motion that it was made from."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from bvh_writer import NAMES, Style, bones_along, turned, write_bvh
from motion_files import REST
from scipy.spatial.transform import Rotation

from datagen.bodies.motion import anatomy
from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.bvh import read_bvh
from datagen.bodies.motion.retarget import forward, to_world
from datagen.bodies.motion.sources import MotionSource, find_motions, load_motion
from datagen.common.errors import BadInput

MIRROR = np.diag([-1.0, 1.0, 1.0])
X_UP = np.array([[0, 1.0, 0], [-1.0, 0, 0], [0, 0, 1.0]])
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
ABOVE_HIPS = (3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)


def leaning(axis, degrees, joints=tuple(range(22))):
    return turned(Rotation.from_euler(axis, degrees, degrees=True), joints)


STYLES = {
    "lafan1": Style("lafan1", bones_along(0, REST)),
    "bones along y": Style("mixamo", bones_along(1, REST)),
    "bones along z": Style("blender", bones_along(2, REST), order="XYZ"),
    "unity": Style("unity", world=MIRROR),
    "unity along y": Style("unity", bones_along(1, REST), MIRROR),
    "unreal": Style("unreal", bones_along(0, REST, True), MIRROR @ Z_UP, above="root"),
    "character creator": Style(
        "character_creator", bones_along(1, REST), Z_UP, above="RL_BoneRoot", positions="all"
    ),
    "turned 20": Style("mixamo", leaning("y", 20)),
    "turned 60": Style("rokoko", leaning("y", 60)),
    "turned -130": Style("beat", leaning("y", -130)),
    "leans 40": Style("biped", leaning("z", 40)),
    "tilted 60": Style("beat", leaning("x", 60), positions="added"),
    "stoops 20": Style("xsens", leaning("x", 20, ABOVE_HIPS)),
    "stoops 60": Style("xsens_segments", leaning("x", 60, ABOVE_HIPS)),
    "rest frame first": Style("lafan1", bones_along(0, REST), lead=True),
    "no offsets": Style("lafan1", positions="bare"),
    "x up": Style("lafan1", bones_along(0, REST), X_UP),
    "motionless root": Style("lafan1", above="Reference"),
}
STYLES |= {f"names of {name}": Style(name) for name in NAMES}


def embedded(name, frames=150):
    source = next(s for s in find_motions(None) if s.name == name)
    motion = load_motion(source, REST)
    return motion.pose[:frames].astype(float), (motion.trans[:frames] + REST[0]).astype(float)


def turns(pose):
    return quat.from_axis_angle(pose.reshape(-1, 24, 3))


def joints(pose, pelvis):
    return forward(turns(pose), pelvis, REST)[:, :22]


def read(path):
    motion = load_motion(MotionSource("take", "take", str(path)), REST)
    return motion.pose.astype(float), (motion.trans + REST[0]).astype(float)


def gap(found, true):
    """Mean distance, metres, after the turn about y and the shift that fit best (Procrustes)."""
    a, b = (x.reshape(-1, 3) - x.reshape(-1, 3).mean(axis=0) for x in (found, true))
    flat = a[:, [2, 0]], b[:, [2, 0]]
    angle = np.arctan2(
        (flat[0][:, 0] * flat[1][:, 1] - flat[0][:, 1] * flat[1][:, 0]).sum(),
        (flat[0] * flat[1]).sum(),
    )
    turn = Rotation.from_euler("y", angle)
    return float(np.linalg.norm(turn.apply(a) - b, axis=1).mean())


@pytest.mark.parametrize("name", STYLES)
def test_a_walk_and_a_dance_come_back(name, tmp_path):
    for motion in ("walk", "dance_1"):
        pose, pelvis = embedded(motion)
        write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, STYLES[name])
        again = read(tmp_path / "take.bvh")
        count = min(len(pose), len(again[0]))  # a rest frame takes a few of the first with it
        assert count > len(pose) - 13
        true = joints(pose[-count:], pelvis[-count:])
        assert gap(joints(*(x[-count:] for x in again)), true) < 0.005


@pytest.mark.parametrize("name", ["lafan1", "unity along y", "bones along z", "stoops 60"])
def test_limbs_are_not_twisted_about_their_bones(name, tmp_path):
    """Joints alone do not show it: the mesh's knees and elbows point where they did."""
    pose, pelvis = embedded("walk")
    write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, STYLES[name])
    again, _ = read(tmp_path / "take.bvh")
    between = quat.multiply(quat.inverse(to_world(turns(pose))), to_world(turns(again)))
    degrees = np.degrees(np.linalg.norm(quat.to_axis_angle(between), axis=-1))
    assert np.median(degrees, axis=0)[:20].max() < 15


@pytest.mark.parametrize(
    "name, style",
    [
        ("crawl", "lafan1"), ("getup_faceup", "lafan1"), ("sit_stand_1", "lafan1"),
        ("crawl", "character creator"), ("sit_stand_1", "character creator"),
        ("getup_faceup", "character creator"), ("getup_facedown", "character creator"),
        ("getup_facedown", "x up"),
    ],
)  # fmt: skip
def test_up_is_found_of_who_lies_sits_or_crawls(name, style, tmp_path):
    pose, pelvis = embedded(name, 400)
    write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, STYLES[style])
    assert gap(joints(*read(tmp_path / "take.bvh")), joints(pose, pelvis)) < 0.005


def test_the_takes_of_a_whole_folder_agree_in_four_styles(shared_data: Path, tmp_path):
    sources = find_motions(shared_data / "mocap" / "cmu_smpl2")
    assert len(sources) == 33
    for source in sources[::4]:
        motion = load_motion(source, REST)
        pose, pelvis = motion.pose[:300].astype(float), (motion.trans[:300] + REST[0]).astype(float)
        for name in ("lafan1", "unity", "unreal", "character creator"):
            write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, STYLES[name])
            found = joints(*read(tmp_path / "take.bvh"))
            assert gap(found, joints(pose, pelvis)) < 0.005, f"{source.name} {name}"


@pytest.mark.slow
def test_all_33_takes_and_their_four_exports_are_one_motion(shared_data: Path, tmp_path):
    """Whole takes, any two of which lie within 5 mm: the original and what four programs write."""
    worst = {}
    for source in find_motions(shared_data / "mocap" / "cmu_smpl2"):
        motion = load_motion(source, REST)
        pose, pelvis = motion.pose.astype(float), (motion.trans + REST[0]).astype(float)
        found = {"original": joints(pose, pelvis)}
        for name in ("lafan1", "unity", "unreal", "character creator"):
            write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, STYLES[name])
            found[name] = joints(*read(tmp_path / "take.bvh"))
        for one, other in combinations(found, 2):
            count = min(len(found[one]), len(found[other]))
            worst[source.name, one, other] = gap(found[one][-count:], found[other][-count:])
    assert len(worst) == 33 * 10
    assert max(worst.values()) < 0.005, max(worst, key=lambda key: worst[key])


def test_a_body_in_a_mirror_is_seen_by_its_knees(tmp_path):
    pose, pelvis = embedded("walk")
    for world, mirrored in ((np.eye(3), False), (MIRROR, True)):
        write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, Style("lafan1", world=world))
        take = read_bvh(tmp_path / "take.bvh")
        assert anatomy.is_mirrored(take.positions, take.roles) == mirrored


def scrambled(text):
    """Legs that go up along the trunk in every frame."""
    return re.sub(r"(JOINT \w+Leg\n.*\n\s*OFFSET \S+) -(\d\d)", r"\1 \2", text)


def shuffled(text):
    """Arms' names on the legs of the other side."""
    swap = {"LeftArm": "RightArm", "RightArm": "LeftArm", "LeftUpLeg": "LeftUpLeg"}
    return re.sub(r"JOINT (\w+)", lambda match: f"JOINT {swap.get(match[1], match[1])}", text)


@pytest.mark.parametrize("damage", [scrambled, shuffled])
def test_what_no_posture_explains_is_refused(damage, tmp_path):
    pose, pelvis = embedded("walk")
    write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, Style())
    text = (tmp_path / "take.bvh").read_text()
    assert damage(text) != text
    (tmp_path / "take.bvh").write_text(damage(text))
    with pytest.raises(BadInput, match=r"take.bvh: shows no human posture"):
        read(tmp_path / "take.bvh")


@pytest.mark.parametrize(
    "write",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.replace("Frames: ", "Frames:").replace("Time: ", "Time:").encode(),
        lambda text: re.sub(r"\s+\{", "{", text).encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
)
def test_harmless_spellings_change_nothing(write, tmp_path):
    pose, pelvis = embedded("walk", 20)
    write_bvh(tmp_path / "a.bvh", pose, pelvis, REST, Style())
    (tmp_path / "b.bvh").write_bytes(write((tmp_path / "a.bvh").read_text()))
    for a, b in zip(read(tmp_path / "a.bvh"), read(tmp_path / "b.bvh"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("positions", ["hips", "all", "added"])
def test_hips_below_a_motionless_root_travel(positions, tmp_path):
    pose, pelvis = embedded("walk")
    style = Style(above="Reference", positions=positions)
    write_bvh(tmp_path / "take.bvh", pose, pelvis, REST, style)
    found = joints(*read(tmp_path / "take.bvh"))[:, 0]
    np.testing.assert_allclose(found - found[0], pelvis - pelvis[0], atol=2e-3)


STRAIGHT = np.where([True, True, False], REST, [0.0, 0.0, 0.0])
STRAIGHT[[10, 11], 2] = 0.12
"""A rest figure along the axes, whose axes are taken for the motion's."""


def write_turned(path, name, axis, degrees, style):
    """Write a motion whose root is turned, above an unturned zero pose."""
    pose, pelvis = embedded(name, 400)
    turn = Rotation.from_euler(axis, degrees, degrees=True)
    pose[:, :3] = (turn * Rotation.from_rotvec(pose[:, :3])).as_rotvec()
    pelvis = turn.apply(pelvis)
    write_bvh(path, pose, pelvis, STRAIGHT, style)


@pytest.mark.parametrize("name", ["walk", "dance_1", "sit_stand_1"])
@pytest.mark.parametrize("axis, degrees", [("x", 90), ("x", 180), ("z", -90)])
def test_a_take_with_another_axis_up_than_its_zero_pose_is_refused(name, axis, degrees, tmp_path):
    write_turned(tmp_path / "take.bvh", name, axis, degrees, Style())
    (source,) = find_motions(tmp_path)
    with pytest.raises(BadInput, match="another axis up than its zero pose"):
        load_motion(source, REST)


@pytest.mark.parametrize("name", ["crawl", "crawl_quick", "crawl_slow", "getup_faceup"])
@pytest.mark.parametrize("yaw", [0, 90])
def test_who_crawls_with_a_zero_pose_along_the_axes_is_not_refused(name, yaw, tmp_path):
    write_turned(tmp_path / "take.bvh", name, "y", yaw, Style())
    (source,) = find_motions(tmp_path)
    load_motion(source, REST)


@pytest.mark.parametrize("name", ["crawl", "crawl_quick", "crawl_slow"])
@pytest.mark.parametrize("yaw", [0, 90, 180, -90])
@pytest.mark.parametrize("up", [1, 2])
def test_a_floor_shows_up_to_who_crawls_any_way(name, yaw, up):
    pose, pelvis = embedded(name, 400)
    turn = Rotation.from_euler("y", yaw, degrees=True)
    if up == 2:
        turn = Rotation.from_euler("x", 90, degrees=True) * turn
    found = joints(pose, pelvis)[:, :22]
    points = turn.apply(found.reshape(-1, 3)).reshape(found.shape)
    assert (anatomy.up_axis(points, {j: j for j in range(22)}) == np.eye(3)[up]).all()


UPS = {"x": ("z", -90), "y": ("y", 0), "z": ("x", 90), "-x": ("z", 90), "-y": ("x", 180),
       "-z": ("x", -90)}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "walk_briskly_1", "sprint_1", "sit_talk_1", "type_seated_1", "sit_floor_1", "kneel_1",
        "crawl", "getup_faceup", "getup_facedown", "roll", "cartwheel", "backflip", "kick", "spin",
    ],
)  # fmt: skip
def test_up_is_found_whatever_people_do_and_wherever_they_face(name):
    pose, pelvis = embedded(name, 400)
    points = joints(pose, pelvis)[:, :22]
    for axis, (about, degrees) in UPS.items():
        for yaw in (0, 37, 90, 180, -90):
            turn = Rotation.from_euler(about, degrees, degrees=True)
            turn = turn * Rotation.from_euler("y", yaw, degrees=True)
            found = anatomy.up_axis(
                turn.apply(points.reshape(-1, 3)).reshape(points.shape), {j: j for j in range(22)}
            )
            up = turn.apply([0.0, 1.0, 0.0])
            np.testing.assert_allclose(found, up, atol=1e-9, err_msg=f"{axis} {yaw}")


def test_swapped_names_of_sides_come_back_as_the_mirror_image(tmp_path):
    """No joint shows whether the names or the coordinates are of the other hand."""
    pose, pelvis = embedded("dance_1")
    path = tmp_path / "take.bvh"
    write_bvh(path, pose, pelvis, REST, Style())
    other = {"Left": "Right", "Right": "Left"}
    path.write_text(re.sub("Left|Right", lambda match: other[match[0]], path.read_text()))
    sides = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20]
    true = joints(pose, pelvis)[:, sides] * [-1, 1, 1]
    assert gap(joints(*read(path)), true) < 0.001


@pytest.mark.parametrize("degrees", [0.5, 1.0, 2.0, 4.0])
def test_who_stands_still_in_a_t_pose_is_not_taken_for_radians(degrees, tmp_path):
    """Within a few degrees of the zero pose for the whole take, as in a calibration."""
    pose, pelvis = embedded("talk_1")
    sway = pose - pose.mean(axis=0)
    share = np.radians(degrees) / np.abs(sway).max()
    pelvis = pelvis[0] + share * (pelvis - pelvis[0])
    write_bvh(tmp_path / "take.bvh", share * sway, pelvis, REST, Style())
    assert gap(joints(*read(tmp_path / "take.bvh")), joints(share * sway, pelvis)) < 0.005


@pytest.mark.parametrize("name", ["walk", "sit_stand_1", "idle_1", "box_1", "crawl"])
def test_rotations_in_radians_are_refused(name, tmp_path):
    pose, pelvis = embedded(name)
    path = tmp_path / "take.bvh"
    write_bvh(path, pose, pelvis, REST, Style())
    head, motion = path.read_text().split("Frame Time:")
    first, *rows = motion.strip().splitlines()
    values = np.array([row.split() for row in rows], float)
    values[:, 3:] = np.radians(values[:, 3:])
    text = "\n".join(" ".join(f"{x:.5f}" for x in row) for row in values)
    path.write_text(f"{head}Frame Time: {first}\n{text}\n")
    with pytest.raises(BadInput, match="in radians"):
        read_bvh(path)
