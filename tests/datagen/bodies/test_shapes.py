"""SURREAL's real-scan shapes: found beside its motions, dealt to the splits, in the identity."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datagen.bodies import shapes
from datagen.bodies.options import BodiesConfig
from datagen.bodies.shapes import ScanFile, find_scans, load
from datagen.common.errors import BadInput, BadOption
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import identity
from datagen.output import fingerprint
from datagen.output.options import OutputConfig


def write(path: Path, men: int = 10, women: int = 15) -> None:
    """SURREAL's arrays: every scan's first coefficient is its number, women's from 100."""
    rows = {"maleshapes": np.arange(men), "femaleshapes": 100 + np.arange(women)}
    scans = {name: np.tile(first[:, None] / 10, (1, 10)) for name, first in rows.items()}
    np.savez(path, pose_01_01=np.zeros((9, 72)), trans_01_01=np.zeros((9, 3)), **scans)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of motions that holds SURREAL's file, and a body beside it."""
    (tmp_path / "mocap" / "cmu").mkdir(parents=True)
    write(tmp_path / "mocap" / "cmu" / "smpl_data.npz")
    (tmp_path / "SMPL_MALE.pkl").write_bytes(b"1")
    return tmp_path


@pytest.mark.parametrize(
    ("part", "men", "women"),
    [("train", range(8), range(12)), ("test", range(8, 10), range(12, 15))],
)
def test_the_first_four_fifths_train(folder, part, men, women):
    """main_part1.py: 80 % of 1,700 and of 2,103 rows, in the file's order."""
    scans = load(ScanFile(folder / "mocap" / "cmu" / "smpl_data.npz", part))
    for gender, numbers in (("male", men), ("female", [100 + n for n in women])):
        np.testing.assert_allclose(10 * scans[gender][:, 0], list(numbers), rtol=1e-6)
        rng = np.random.default_rng(0)
        drawn = {round(10 * float(shapes.draw(scans, gender, rng)[3])) for _ in range(200)}
        assert drawn == set(numbers)


def test_they_are_used_where_there_is_smpl_and_not_refused(folder):
    body, mocap = folder / "SMPL_MALE.pkl", folder / "mocap"
    cfg = BodiesConfig(body=body, motions=(mocap, "embedded"))
    path = mocap / "cmu" / "smpl_data.npz"
    assert find_scans(cfg, "train") == ScanFile(path, "train")
    assert find_scans(cfg, "val") == find_scans(cfg, "test") == ScanFile(path, "test")
    assert find_scans(replace(cfg, shapes="normal"), "train") is None
    assert find_scans(BodiesConfig(motions=(mocap,)), "train") is None  # another body's betas
    assert find_scans(BodiesConfig(body=body, shapes=path), "all") == ScanFile(path, "all")
    with pytest.raises(BadOption, match="--shapes are betas of SMPL"):
        BodiesConfig(shapes=path)
    rng, again = (np.random.default_rng(3) for _ in range(2))
    expected = np.clip(again.standard_normal(10), -3, 3)
    np.testing.assert_allclose(shapes.draw({}, "male", rng), expected, rtol=1e-6)


def test_they_are_part_of_the_identity(folder):
    bodies = BodiesConfig(body=folder / "SMPL_MALE.pkl", motions=(folder / "mocap", "embedded"))
    cfg = LaunchConfig(bodies=bodies)
    normal = LaunchConfig(bodies=replace(bodies, shapes="normal"))
    found, without = identity(cfg), identity(normal)
    assert "shapes" not in without["bodies"]  # as data sets had it before there was the option
    (line,) = fingerprint.differences(without, found)
    assert line.startswith("--shapes normal → --shapes scans ")
    people = {
        split: fingerprint.library_folders(identity(replace(cfg, output=OutputConfig(split=split))))
        for split in ("train", "val", "test", "all")
    }
    assert people["val"] == people["test"] and len(set(people.values())) == 3
    write(folder / "mocap" / "cmu" / "smpl_data.npz", men=11)
    assert identity(cfg)["bodies"]["shapes"] != found["bodies"]["shapes"]


@pytest.mark.parametrize(
    ("arrays", "rule"),
    [
        ({"maleshapes": np.zeros((5, 10))}, "has no array femaleshapes"),
        ({"maleshapes": np.zeros((5, 4)), "femaleshapes": np.zeros((5, 10))}, r"shape \[5, 4\]"),
        (
            {"maleshapes": np.full((5, 10), np.nan), "femaleshapes": np.zeros((5, 10))},
            "maleshapes has NaN",
        ),
    ],
)
def test_other_files_are_refused(arrays, rule, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(BadInput, match=rule):
        load(ScanFile(tmp_path / "x.npz"))
    with pytest.raises(BadInput, match="no such file"):
        load(ScanFile(tmp_path / "y.npz"))
