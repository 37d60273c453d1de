"""A path that does not go as its feet do: in another unit, or with other axes than the poses."""

import numpy as np
import pytest
from bvh_writer import Style, write_bvh
from motion_files import REST
from scipy.spatial.transform import Rotation

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.amass import REST_PELVIS
from datagen.bodies.motion.convention import Convention
from datagen.bodies.motion.retarget import forward
from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.bodies.options import BodiesConfig
from datagen.common.errors import BadInput, BadOption

UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
"""AMASS's axes of ours."""
PATHS = {  # AMASS's axes → those of a path beside its poses
    "AMASS's": np.eye(3),
    "y up": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "y and z exchanged": [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
    "y down": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "x and y exchanged": [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
    "backwards": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
}


def motion(name, frames=150):
    source = next(s for s in find_motions(None) if s.name == name)
    found = load_motion(source, REST)
    return found.pose[:frames].astype(float), (found.trans[:frames] + REST[0]).astype(float)


def write(folder, pose, pelvis, metres=1.0, axes=PATHS["AMASS's"], above=0.0):
    """AMASS's layout, the path in units of `metres`, of other axes, `above` AMASS's zero."""
    poses = np.zeros((len(pose), 156))
    poses[:, :66] = pose[:, :66]
    world = Rotation.from_matrix(UPRIGHT)
    poses[:, :3] = (world * Rotation.from_rotvec(pose[:, :3])).as_rotvec()
    trans = (pelvis @ UPRIGHT.T - REST_PELVIS + [0, 0, above]) @ np.array(axes, float).T / metres
    np.savez(folder / "a_poses.npz", poses=poses, trans=trans, mocap_framerate=30.0)


def load(folder, **given):
    (source,) = find_motions(folder, convention=Convention(**given))
    return load_motion(source, REST)


def joints(pose, trans):
    return forward(quat.from_axis_angle(pose.reshape(-1, 24, 3)), trans + REST[0], REST)[:, :22]


@pytest.mark.parametrize("name", ["walk", "talk_1", "squats_1", "jog_1"])
@pytest.mark.parametrize(
    "metres, unit", [(0.3048, "ft"), (0.0254, "in"), (0.1, "dm"), (0.01, "cm"), (0.001, "mm")]
)
def test_any_unit_is_named_and_read(metres, unit, name, tmp_path):
    pose, pelvis = motion(name)
    write(tmp_path, pose, pelvis, metres)
    with pytest.raises(BadInput, match=f"give --motion-unit {unit},"):
        load(tmp_path)
    found = load(tmp_path, unit=unit)
    assert not found.note
    true = joints(pose, pelvis - REST[0])
    np.testing.assert_allclose(joints(found.pose, found.trans), true, atol=1e-4)


def test_a_unit_without_a_name_is_a_number(tmp_path):
    """CMU's .asf: inches times 0.45."""
    pose, pelvis = motion("walk")
    write(tmp_path, pose, pelvis, 0.0564)
    with pytest.raises(BadInput, match=r"units of 0\.0\d+ m, give --motion-unit 0\.0(5|6)"):
        load(tmp_path)
    found = load(tmp_path, unit="0.0564")
    true = joints(pose, pelvis - REST[0])
    np.testing.assert_allclose(joints(found.pose, found.trans), true, atol=1e-4)


@pytest.mark.parametrize("unit", ["feet", "0", "-1", "nan", ""])
def test_what_is_no_unit_is_refused(unit):
    with pytest.raises(BadOption, match="--motion-unit must be m, "):
        BodiesConfig(motion_unit=unit)


@pytest.mark.parametrize("name", ["walk", "talk_1"])
def test_a_place_far_above_zero_is_no_unit(name, tmp_path):
    pose, pelvis = motion(name)
    write(tmp_path, pose, pelvis, above=20.0)
    found = load(tmp_path).trans
    np.testing.assert_allclose(found, pelvis - REST[0] + [0, 20.0, 0], atol=1e-4)


@pytest.mark.parametrize("name", ["walk", "talk_1"])
def test_the_option_overrides_what_the_motion_seems_to_be(name, tmp_path):
    """It is read as asked, and what contradicts it is noted where feet go somewhere."""
    pose, pelvis = motion(name)
    write(tmp_path, pose, pelvis, 0.01)
    found = load(tmp_path, unit="m")
    np.testing.assert_allclose(
        np.diff(found.trans, axis=0), 100 * np.diff(pelvis, axis=0), atol=5e-3
    )
    if name == "walk":
        assert "slide with --motion-unit m, as if it were in cm" in found.note


def test_a_wrong_frame_rate_is_no_unit(tmp_path):
    """To and fro, twelve times too fast: the strides are of usual length."""
    pose, pelvis = (np.concatenate([part, part[::-1]] * 2) for part in motion("walk"))
    write(tmp_path, pose, pelvis)
    with np.load(tmp_path / "a_poses.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "a_poses.npz", **{**arrays, "mocap_framerate": 360.0})
    with pytest.raises(BadInput, match="strides of usual length; correct its frame rate"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["walk", "squats_1"])
@pytest.mark.parametrize("axes", list(PATHS)[1:])
def test_a_path_of_other_axes_than_the_poses_is_refused(axes, name, tmp_path):
    level = axes in ("x and y exchanged", "backwards")
    if level and name == "squats_1":
        return  # nobody goes anywhere: the vertical way is right
    write(tmp_path, *motion(name), axes=PATHS[axes])
    with pytest.raises(BadInput, match=r"a_poses.npz: its people slide: .* other axes than the"):
        load(tmp_path)


@pytest.mark.parametrize("metres", [100.0, 0.01])
def test_a_root_in_another_unit_than_its_bones_is_refused(metres, tmp_path):
    """Converters write bones in centimetres and the root's path in metres, or the other way."""
    pose, pelvis = motion("walk")
    write_bvh(tmp_path / "a.bvh", pose, pelvis / metres, REST, Style())
    with pytest.raises(BadInput, match=r"a.bvh: its people slide: .* times that of its bones"):
        load(tmp_path)


def test_a_root_of_other_axes_than_its_bones_is_refused(tmp_path):
    pose, pelvis = motion("walk")
    write_bvh(tmp_path / "a.bvh", pose, pelvis @ UPRIGHT.T, REST, Style())
    with pytest.raises(BadInput, match=r"a.bvh: its people slide: .* other axes than the poses"):
        load(tmp_path)
