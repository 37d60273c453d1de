"""Files of SMPL poses in another convention are refused by name, or read right when it is given."""

from pathlib import Path

import numpy as np
import pytest
from amass_files import walk, write
from bvh_writer import Style, write_bvh
from motion_files import REST
from scipy.spatial.transform import Rotation

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.convention import UNITS, UPS, Convention
from datagen.bodies.motion.retarget import forward, resample
from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.bodies.motion.tempo import speed_factor
from datagen.common.errors import BadInput
from datagen.launch import main as launch


def joints(motion):
    turns = quat.from_axis_angle(motion.pose.reshape(-1, 24, 3))
    return forward(turns, motion.trans + REST[0], REST)[:, :22]


def load(folder, **given):
    (source,) = find_motions(folder, convention=Convention(**given))
    return joints(load_motion(source, REST))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("up", UPS)
def test_what_is_given_is_read_right(up, unit, tmp_path):
    pose, pelvis = walk()
    write(tmp_path / "a_poses.npz", pose, pelvis, up, unit)
    true = forward(quat.from_axis_angle(pose.reshape(-1, 24, 3)), pelvis, REST)[:, :22]
    np.testing.assert_allclose(load(tmp_path, up=up, unit=unit), true, atol=1e-4)


@pytest.mark.parametrize("up", [up for up in UPS if up != "z"])
@pytest.mark.parametrize("name", ["walk", "dance_1", "squats_1"])
def test_another_up_axis_is_named(up, name, tmp_path):
    write(tmp_path / "a_poses.npz", *walk(name), up)
    with pytest.raises(BadInput, match=rf"a_poses.npz: .*give --motion-up={up},"):
        load(tmp_path)


@pytest.mark.parametrize("unit", ["cm", "mm"])
@pytest.mark.parametrize("name", ["walk", "talk_1"])
def test_another_unit_is_named(unit, name, tmp_path):
    write(tmp_path / "a_poses.npz", *walk(name), unit=unit)
    with pytest.raises(BadInput, match=f"give --motion-unit {unit}"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["npz", "bvh"])
@pytest.mark.parametrize("ends", ["two takes", "zeros"])
def test_a_leap_is_named_with_its_time(ends, kind, tmp_path):
    """Two takes in one file, 3 m apart; frames without a fit, which are zeros."""
    pose, pelvis = walk(frames=90)
    if ends == "two takes":
        pose = np.concatenate([pose, pose])
        pelvis = np.concatenate([pelvis, pelvis - pelvis[0] + pelvis[-1] + [3.0, 0.0, 0.0]])
    else:
        pose, pelvis = (np.concatenate([part, 0 * part[:4]]) for part in (pose, pelvis))
    if kind == "npz":
        write(tmp_path / "a.npz", pose, pelvis)
    else:
        write_bvh(tmp_path / "a.bvh", pose, pelvis, REST, Style())
    with pytest.raises(BadInput, match=rf"a.{kind}: its pelvis leaps by \d\.\d m at (3.00|2.97) s"):
        load(tmp_path)


SIDES = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
HANDED = {  # what exporters do to axis-angle vectors [N, 24, 3] by mistake
    "x mirrored, joints as they are": lambda v: v * [1, -1, -1],
    "joints exchanged, as they are": lambda v: v[:, SIDES],
    "y negated": lambda v: v * [-1, 1, -1],
    "z negated": lambda v: v * [-1, -1, 1],
    "inverted": lambda v: -v,
}
SHOWN = (*2 * ["elbows bend backwards"], "knees bend forwards", *2 * ["bend the wrong way"])


@pytest.mark.parametrize("name", ["walk", "dance_1"])
@pytest.mark.parametrize("kind, shown", list(zip(HANDED, SHOWN, strict=True)))
def test_bodies_of_another_hand_are_named(kind, shown, name, tmp_path):
    """The body's own turn stays: who stands is not seen to be wrong by where he stands."""
    pose, pelvis = walk(name)
    other = HANDED[kind](pose.reshape(-1, 24, 3)).reshape(-1, 72)
    other[:, :3] = pose[:, :3]
    write(tmp_path / "a_poses.npz", other, pelvis)
    with pytest.raises(BadInput, match=rf"a_poses.npz: its .*{shown}"):
        load(tmp_path)


def test_a_whole_mirror_image_is_a_body(tmp_path):
    """Both sides exchanged and x mirrored: somebody else, who moves as people do."""
    pose, pelvis = walk()
    mirror = HANDED["x mirrored, joints as they are"]
    other = mirror(pose.reshape(-1, 24, 3)[:, SIDES]).reshape(-1, 72)
    write(tmp_path / "a_poses.npz", other, pelvis * [-1, 1, 1])
    true = forward(quat.from_axis_angle(pose.reshape(-1, 24, 3)), pelvis, REST)[:, :22]
    np.testing.assert_allclose(load(tmp_path)[:, SIDES[:22]] * [-1, 1, 1], true, atol=1e-4)


def test_degrees_are_named(tmp_path):
    write(tmp_path / "a_poses.npz", *walk(), turn=180 / np.pi)
    with pytest.raises(BadInput, match="seem to be in degrees"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["walk", "box_1", "march_1"])
@pytest.mark.parametrize("order", ["xyz", "XYZ", "zxy", "ZYX"])
def test_euler_angles_are_named(order, name, tmp_path):
    """Whole takes as scipy's Euler angles, in radians; capitals are about the turned axes."""
    write(tmp_path / "a_poses.npz", *walk(name))
    with np.load(tmp_path / "a_poses.npz") as file:
        arrays = dict(file)
    turns = Rotation.from_rotvec(arrays["poses"].reshape(-1, 3))
    arrays["poses"] = turns.as_euler(order).reshape(arrays["poses"].shape)
    np.savez(tmp_path / "a_poses.npz", **arrays)
    with pytest.raises(BadInput, match=r"a_poses.npz: its poses seem to be Euler angles"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name", ["walk", "crawl", "getup_faceup", "sit_stand_1", "bow_1", "jog_1", "jump_up_1"]
)
def test_what_people_do_is_not_refused(name, tmp_path):
    write(tmp_path / "a_poses.npz", *walk(name, 400))
    assert len(load(tmp_path)) > 30


def test_who_lies_all_the_time_is_not_refused(tmp_path):
    """Flat on the back, breathing: the body is along a level axis in every frame."""
    pose = np.zeros((90, 72))
    pose[:, 0] = -np.pi / 2
    pose[:, 9] = 0.02 * np.sin(np.arange(90) / 8)
    write(tmp_path / "a_poses.npz", pose, np.tile([0.3, 0.12, 0.5], (90, 1)))
    assert np.ptp(load(tmp_path)[..., 1], axis=1).max() < 0.4


def test_real_takes_are_not_refused(shared_data: Path):
    sources = find_motions(shared_data / "mocap" / "cmu_smpl2")
    sources += find_motions(shared_data / "mocap" / "cmu_smpl")[::4]
    for source in sources:
        load_motion(source, REST)


def test_an_amc_recorded_at_60_a_second(tmp_path):
    """The format carries no rate: half the rate lasts twice as long, on the same path."""
    (tmp_path / "89.asf").write_text(SKELETON)
    frames = "\n".join(
        f"{k + 1}\nroot 0 17 {0.1 * k:.3f} 0 0 0\nlfemur {20 * np.sin(k / 5):.4f} 0 0"
        for k in range(121)
    )
    (tmp_path / "89_01.amc").write_text(f":FULLY-SPECIFIED\n:DEGREES\n{frames}\n")
    usual, slow = load(tmp_path), load(tmp_path, rate=60.0)
    assert (len(usual), len(slow)) == (31, 61)
    np.testing.assert_allclose(slow[::2], usual, atol=1e-3)


ACCLAIM = (
    "root lfemur rfemur lowerback ltibia rtibia upperback lfoot rfoot thorax ltoes rtoes lowerneck "
    "lclavicle rclavicle head lhumerus rhumerus lradius rradius lwrist rwrist"
).split()
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)


def write_amc(folder, pose, pelvis):
    """SMPL's poses as 89.asf and 89_01.amc: a bone to each joint, then one of no length there."""
    bones, tree = [], {"root": []}
    for joint in range(1, 22):
        name, above = ACCLAIM[joint], ACCLAIM[PARENTS[joint]]
        bone = 40 * (REST[joint] - REST[PARENTS[joint]])
        x, y, z = bone / np.linalg.norm(bone)
        bones.append(_bone(f"to{name}", f"{x:.6f} {y:.6f} {z:.6f}", f"{np.linalg.norm(bone):.6f}"))
        bones.append(_bone(name, "0 1 0", 1e-6, "dof rx ry rz\n"))
        tree.setdefault(above, []).append(f"to{name}")
        tree[f"to{name}"] = [name]
    rows = "".join(f"{above} {' '.join(below)}\n" for above, below in tree.items() if below)
    head = ":units\nangle deg\n:root\norder TX TY TZ RX RY RZ\norientation 0 0 0\n:bonedata\n"
    (folder / "89.asf").write_text(f"{head}{''.join(bones)}:hierarchy\nbegin\n{rows}end\n")
    angles = Rotation.from_rotvec(pose.reshape(-1, 3)).as_euler("xyz", degrees=True)
    lines = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame, turns in enumerate(angles.reshape(-1, 24, 3)):
        lines.append(str(frame + 1))
        for joint, name in enumerate(ACCLAIM):
            values = [*(40 * pelvis[frame] if joint == 0 else ()), *turns[joint]]
            lines.append(" ".join([name, *(f"{value:.4f}" for value in values)]))
    (folder / "89_01.amc").write_text("\n".join(lines) + "\n")


def hastened(pose, pelvis, factor):
    """The same way in `factor` times less time, at 30 frames per second."""
    turns = quat.from_axis_angle(pose.reshape(-1, 24, 3))
    turns, pelvis = resample(turns, pelvis, np.arange(len(pelvis)) / 30 / factor)
    return quat.to_axis_angle(turns).reshape(-1, 72), pelvis


def played(name, factor):
    """What is reported of an embedded motion that is played `factor` times too fast."""
    pose, pelvis = hastened(*walk(name, 400), factor)
    return speed_factor(quat.from_axis_angle(pose.reshape(-1, 24, 3)), pelvis, REST)


@pytest.mark.parametrize("name", ["walk", "walk_briskly_1", "spinkick"])
@pytest.mark.parametrize("factor", [1.0, 2.0, 3.0, 4.0, 0.5, 1 / 3, 0.25])
def test_walking_and_falling_tell_the_frame_rate(name, factor, tmp_path):
    """Whoever is in the air falls by 9.81 m/s2, and steps are as long as their number asks."""
    found = played(name, factor)
    if factor == 1.0 or (name == "spinkick" and factor != 2.0):
        # a slow flight might hang on a rope, and a short one has too few frames
        assert found is None
    else:
        assert found == pytest.approx(factor, rel=0.25)


def test_who_does_not_walk_tells_no_rate():
    for name in ("dance_1", "crawl", "sit_stand_1", "jog_1", "box_1", "walk_backwards_1"):
        assert played(name, 1.0) is None


def test_real_takes_get_no_note(shared_data: Path):
    sources = find_motions(shared_data / "mocap" / "cmu_smpl2")
    sources += find_motions(shared_data / "mocap" / "cmu_smpl")[::4]
    assert not [source.name for source in sources if load_motion(source, REST).note]


@pytest.mark.parametrize("rate", [30, 60])
def test_a_rate_that_is_taken_for_granted_and_contradicted_is_noted(rate, tmp_path, capsys):
    """3 seconds of a walk as an .amc of so many frames per second, which has no place for it."""
    write_amc(tmp_path, *hastened(*walk("walk", 90), 30 / rate))
    (source,) = find_motions(tmp_path)
    note = load_motion(source, REST).note
    assert (
        "89_01.amc: its people move about " in note and "too fast at the assumed 120 frames" in note
    )
    assert note.endswith(f"as if recorded at {rate}; give --motion-rate")
    (given,) = find_motions(tmp_path, convention=Convention(rate=float(rate)))
    assert not load_motion(given, REST).note
    args = ["--labels-only", "--motions", str(tmp_path), "--num-shards", "1", "--split", "all"]
    assert launch([*args, "--backend", "serial", "--out", str(tmp_path / "out")]) == 0
    assert "note    " in (printed := capsys.readouterr().out) and "--motion-rate" in printed


def _bone(name, direction, length, dof=""):
    return f"begin\nname {name}\ndirection {direction}\nlength {length}\naxis 0 0 0 XYZ\n{dof}end\n"


SKELETON = (
    ":units\nangle deg\n:root\norder TX TY TZ RX RY RZ\norientation 0 0 0\n:bonedata\n"
    + _bone("lowerback", "0 1 0", 2)
    + _bone("thorax", "0 1 0", 4)
    + _bone("upperneck", "0 1 0", 1)
    + "".join(
        _bone(f"{s}hipjoint", f"{x} 0 0", 1.5)
        + _bone(f"{s}femur", "0 -1 0", 7, "dof rx ry rz\n" if s == "l" else "")
        + _bone(f"{s}tibia", "0 -1 0", 7)
        + _bone(f"{s}foot", "0 0 1", 2)
        + _bone(f"{s}clavicle", f"{x} 0 0", 3)
        + _bone(f"{s}humerus", f"{x} 0 0", 5)
        + _bone(f"{s}radius", f"{x} 0 0", 4)
        + _bone(f"{s}hand", f"{x} 0 0", 1)
        for s, x in (("l", 1), ("r", -1))
    )
    + ":hierarchy\nbegin\nroot lowerback lhipjoint rhipjoint\nlowerback thorax\n"
    + "thorax upperneck lclavicle rclavicle\n"
    + "".join(
        f"{s}hipjoint {s}femur\n{s}femur {s}tibia\n{s}tibia {s}foot\n"
        f"{s}clavicle {s}humerus\n{s}humerus {s}radius\n{s}radius {s}hand\n"
        for s in "lr"
    )
    + "end\n"
)
