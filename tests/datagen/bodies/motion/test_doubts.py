"""Probable errors of a motion that cannot be repaired are noted: motion in place, short takes."""

import re

import numpy as np
import pytest
from amass_files import walk, write
from bvh_writer import Style, write_bvh
from motion_files import REST

from datagen.bodies.motion import tempo
from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.common.errors import BadInput


def load(folder):
    (source,) = find_motions(folder)
    return load_motion(source, REST)


ON_THE_SPOT = "its people move on the spot"
LEVEL = np.array([0.0, 1.0, 0.0])


@pytest.mark.parametrize("name", ["walk", "talk_1", "sidestep_1"])
def test_a_take_without_a_path_stands_on_the_ground(name, tmp_path):
    """The pelvis is as high as in the take with its path, which stands on y = 0."""
    pose, pelvis = walk(name)
    write(tmp_path / "a_poses.npz", pose, pelvis)
    with np.load(tmp_path / "a_poses.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "a_poses.npz", **{**arrays, "trans": np.zeros((len(pose), 3))})
    found = load(tmp_path)
    assert (found.trans[:, 1] + REST[0, 1]).mean() == pytest.approx(pelvis[:, 1].mean(), abs=0.03)
    assert (ON_THE_SPOT in found.note) == (name != "talk_1")


@pytest.mark.parametrize("name, keeps", [("walk", LEVEL), ("squats_1", 0.0), ("jog_1", LEVEL)])
@pytest.mark.parametrize("suffix", [".npz", ".bvh"])
def test_who_goes_on_the_spot_is_noted(name, keeps, suffix, tmp_path):
    """Game engines' exports without root motion: the pelvis stays, or goes up and down alone."""
    pose, pelvis = walk(name)
    pelvis = pelvis[0] + keeps * (pelvis - pelvis[0])
    path = tmp_path / f"a_poses{suffix}"
    if suffix == ".npz":
        write(path, pose, pelvis)
    else:
        write_bvh(path, pose, pelvis, REST, Style())
    assert f"a_poses{suffix}: {ON_THE_SPOT}" in load(tmp_path).note


@pytest.mark.parametrize(
    "name", ["walk", "jumping_jacks_1", "box_1", "kneel_1", "sit_talk_1", "front_kicks_1"]
)
def test_who_goes_nowhere_and_moves_is_not_noted(name, tmp_path):
    write(tmp_path / "a_poses.npz", *walk(name))
    assert not load(tmp_path).note


def test_a_short_take_shows_its_axis_up_and_not_its_unit(tmp_path):
    pose, pelvis = walk("walk", 24)
    write(tmp_path / "a_poses.npz", pose, pelvis)
    assert re.search("a_poses.npz: lasts 0.8 s, too short to check", load(tmp_path).note)
    write(tmp_path / "a_poses.npz", pose, pelvis, "y")
    with pytest.raises(BadInput, match="give --motion-up=y,"):
        load(tmp_path)


@pytest.mark.parametrize("model", ["smplx", "SMPL+H", "smplh", "mano", "flame", "smal"])
def test_a_take_of_another_model_is_refused_by_its_name(model, tmp_path):
    pose, pelvis = walk("walk", 60)
    write(tmp_path / "a_poses.npz", pose, pelvis)
    with np.load(tmp_path / "a_poses.npz") as file:
        np.savez(tmp_path / "a_poses.npz", surface_model_type=model, **file)
    if model.lower().startswith("smpl"):
        assert len(load(tmp_path).pose) == 60
    else:
        with pytest.raises(BadInput, match=f"a_poses.npz: holds poses of the model '{model}'"):
            load(tmp_path)


@pytest.mark.parametrize("frames", [2, 3, 9, 19])
def test_a_short_leap_is_too_short_to_judge(frames):
    """A damaged place far away; read as slowed down, one frame would be left of a few."""
    rotations = np.zeros((frames, 24, 4))
    rotations[..., 0] = 1  # the identity, whatever the order: only the pelvis moves
    pelvis = np.zeros((frames, 3))
    pelvis[-1, 0] = 1000
    assert tempo.speed_factor(rotations, pelvis, REST) is None
