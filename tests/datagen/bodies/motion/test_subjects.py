"""Who performs, and what a motion is called: one person never lies in two splits."""

import unicodedata

import numpy as np
import pytest

from datagen.bodies.motion.sources import find_motions
from datagen.common.errors import BadInput
from datagen.common.splits import in_split

PEOPLE = {  # as each collection's own files are called → who performs by its documentation
    "lafan/walk1_subject1.bvh": "subject1",
    "lafan/run1_subject1.bvh": "subject1",
    "lafan/walk1_subject2.bvh": "subject2",
    "lafan/obstacles1_subject5.bvh": "subject5",
    "ACCAD/Female1Running_c3d/C1 - stand_poses.npz": "Female1",
    "ACCAD/Female1Walking_c3d/B1_poses.npz": "Female1",
    "ACCAD/Male2MartialArtsKicks_c3d/G1_stageii.npz": "Male2",
    "KIT/317/walk_poses.npz": "317",
    "CMU/07/07_01_poses.npz": "07",
    "cmu/07_12.bvh": "07",
    "beat/1_wayne_0_9_9.bvh": "wayne",
    "beat/1_wayne_1_65_65.bvh": "wayne",
    "beat/2_scott_0_1_1.bvh": "scott",
    "aist/gBR_sBM_cAll_d04_mBR0_ch01.npz": "d04",
    "aist/gBR_sFM_cAll_d04_mBR3_ch12.npz": "d04",
    "aist/gLO_sBM_cAll_d13_mLO0_ch01.npz": "d13",
    "hdm/HDM_bd_01-01_01_120.amc": "bd",
    "hdm/HDM_bk_01-01_01_120.amc": "bk",
    "own/kick_a.npz": "kick",
    # the same people's mirror images, copies and cut takes
    "lafan/walk1_subject1_mirror.bvh": "subject1",
    "lafan/walk1_subject1_M.bvh": "subject1",
    "lafan/walk1_subject1 (1).bvh": "subject1",
    "lafan/walk1_subject1_120_600.bvh": "subject1",
    "lafan/Walk1_Subject1.bvh": "subject1",
    "lafan/walk1_subject12.bvh": "subject12",
    "beat/2_scott_0_1_1_mirror.bvh": "scott",
    "aist/gBR_sBM_cAll_d04_mBR0_ch01_mirror.npz": "d04",
    "aist/gBR_sBM_cAll_d04_mBR0_ch01_poses.npz": "d04",
    "cmu/07_12_mirror.bvh": "07",
    "KIT/317/walk_poses_mirror.npz": "317",
    "own/kick_b_mirrored.npz": "kick",
    # takes of CMU as people have renamed them
    "cmu/07_01-a.bvh": "07",
    "cmu/07_01-1.bvh": "07",
    "cmu/07_01 (copy).bvh": "07",
    "cmu/07_01 - Copy (2).bvh": "07",
    "cmu/07_01_walk.bvh": "07",
    "cmu/07_01_120_600.bvh": "07",
    "cmu/07_01.fbx.bvh": "07",
    "cmu/CMU_07_01-b.bvh": "07",
    "cmu/07-02.bvh": "07",
    "own/wave - Copy.bvh": "wave",
    "own/wave-b.bvh": "wave",
    # people whom a laboratory counts, in the file's name or a folder's
    "lab/Subject 3 walk.bvh": "subject3",
    "lab/jump-subject_03.bvh": "subject3",
    "lab/actor12/takes/wave.bvh": "actor12",
    "lab/P01_take3.bvh": "p1",
    "h36m/S9/Posing 1.bvh": "s9",
    "h36m/S9_Walking.bvh": "s9",
}


def place(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def found(folder):
    return {
        str(source.path).removeprefix(f"{folder}/"): (source.name, source.subject)
        for source in find_motions(folder)
    }


def test_each_collection_says_who_performs(tmp_path):
    place(tmp_path, PEOPLE)
    assert {path: who for path, (_, who) in found(tmp_path).items()} == PEOPLE


def test_no_person_is_in_two_splits(tmp_path):
    places = [f"walk{take}_subject{who}.bvh" for take in range(6) for who in range(1, 6)]
    place(tmp_path, places)
    sources = find_motions(tmp_path)
    seen = {}
    for split in ("train", "val", "test"):
        subjects = in_split((source.subject for source in sources), split, "subjects")
        for source in sources:
            if source.subject in subjects:
                seen.setdefault(source.name.rsplit("_", 1)[1], set()).add(split)
    assert len(seen) == 5 and all(len(splits) == 1 for splits in seen.values())


def test_a_list_overrides_what_names_say(tmp_path):
    place(tmp_path, ["a/walk1_subject1.bvh", "a/jump.bvh", "b/x y.bvh", "b/z.bvh"])
    (tmp_path / "subjects.csv").write_text(
        "file,subject\na/walk1_subject1.bvh,Anna\na/jump,Anna\n\nb/*,ベン\n", "utf-8-sig"
    )
    who = {path: subject for path, (_, subject) in found(tmp_path).items()}
    assert who["a/walk1_subject1.bvh"] == who["a/jump.bvh"] == "Anna"
    assert who["b/x y.bvh"] == who["b/z.bvh"] not in ("Anna", "_")


@pytest.mark.parametrize(
    "text, rule",
    [
        ("a.bvh,Anna\nb.bvh,Ben\n", r"b.bvh is not a motion in this folder"),
        ("a.bvh;Anna\n", "line 1 is not of the form"),
        ("file,subject\na.bvh,\n", "line 2 is not of the form"),
        ("a.bvh,Anna,30\n", "line 1 is not of the form"),
    ],
)
def test_a_list_that_means_nothing_is_refused(text, rule, tmp_path):
    place(tmp_path, ["a.bvh"])
    (tmp_path / "subjects.csv").write_text(text)
    with pytest.raises(BadInput, match=rf"subjects.csv: {rule}"):
        find_motions(tmp_path)


def test_names_of_any_script_are_kept_when_a_file_is_added(tmp_path):
    place(tmp_path, ["歩く.npz", "踊る.npz", "čaj.bvh", "walk.npz", "идти 1.bvh"])
    before = found(tmp_path)
    assert len({name for name, _ in before.values()}) == 5
    assert len({who for _, who in before.values()}) == 5
    assert all(name.isascii() for pair in before.values() for name in pair)
    assert before["walk.npz"] == ("walk", "walk")
    place(tmp_path, ["座る.npz", "あ.npz", "お.bvh"])
    after = found(tmp_path)
    assert len({name for name, _ in after.values()}) == 8
    assert {path: after[path] for path in before} == before


def test_accents_written_apart_are_the_same_name(tmp_path):
    names = {}
    for form in ("NFC", "NFD"):
        place(tmp_path / form, [unicodedata.normalize(form, "tänzerin.npz")])
        names[form] = next(iter(found(tmp_path / form).values()))
    assert names["NFC"] == names["NFD"]


def test_two_forms_of_one_motion_in_another_script_differ(tmp_path):
    place(tmp_path, ["歩く.npz", "歩く.bvh"])
    names = [name for name, _ in found(tmp_path).values()]
    assert np.unique([name[:10] for name in names]).size == 1 and len(set(names)) == 2


def test_names_of_many_letters_are_bounded_and_stay_apart(tmp_path):
    """A library file's name is a path below the folder, and more is added to it."""
    deep = "/".join(letter * 80 for letter in "abc")
    place(
        tmp_path, [f"{deep}/{name}" for name in ("one.bvh", "two.bvh", "three 歩.bvh", "two.npz")]
    )
    names = [name for pair in found(tmp_path).values() for name in pair]
    assert len(set(names[::2])) == 4
    assert all(len(name) <= 210 for name in names)


def test_a_list_beside_motions_of_an_inner_folder_counts(tmp_path):
    """However its name is written; the inmost list of a take has the word."""
    place(tmp_path, ["a/walk_a.bvh", "a/run_a.bvh", "b/walk_b.bvh", "b/run_b.bvh"])
    (tmp_path / "b" / "Subjects.CSV").write_text("file,subject\nwalk_b.bvh,Anna\n")
    (tmp_path / "subjects.csv").write_text("b/*,Berta\na/*,Carla\n")
    found = {source.name: source.subject for source in find_motions(tmp_path)}
    assert found == {
        "a-walk_a": "Carla",
        "a-run_a": "Carla",
        "b-walk_b": "Anna",
        "b-run_b": "Berta",
    }


@pytest.mark.parametrize(
    "text, why",
    [
        ("walk.bvh,Anna\nwalk.bvh,Berta\n", "gives walk.bvh to Anna and to Berta"),
        ("walk.bvh,Anna\n*,anna\n", "writes Anna and anna, which would be two people"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(text, why, tmp_path):
    place(tmp_path, ["walk.bvh", "run.bvh"])
    (tmp_path / "subjects.csv").write_text(text)
    with pytest.raises(BadInput, match=f"subjects.csv: {why}"):
        find_motions(tmp_path)
