"""Files of inputs' folders that look like inputs and are not read are named, and no others."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from motion_files import bvh_text

from datagen.backgrounds.sources import find_videos, skipped_note
from datagen.bodies.motion.sources import find_motions, skipped_notes
from datagen.common.errors import BadInput
from datagen.launch import main


@pytest.fixture
def mocap(tmp_path: Path) -> Path:
    folder = tmp_path / "mocap"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bvh").write_text(bvh_text())
    return folder


UNREAD = ("b.bvh.gz", "c.npz.GZ", "sub/d.zip", "e.fbx", "f.C3D", "dangling.bvh", "walk", "loop.npz")


def fill(folder: Path) -> None:
    (folder / "b.bvh.gz").write_bytes(gzip.compress(bvh_text().encode()))
    for name in ("c.npz.GZ", "sub/d.zip", "e.fbx", "f.C3D"):
        (folder / name).write_bytes(b"x")
    (folder / "dangling.bvh").symlink_to(folder / "nothing.bvh")
    (folder / "loop.npz").symlink_to(folder / "loop.npz")
    (folder / "walk").write_text(bvh_text())


def test_motions_that_are_not_read_are_named(mocap):
    fill(mocap)
    (line,) = skipped_notes(mocap, "embedded")
    assert f"{len(UNREAD)} files that are not read" in line
    for name in UNREAD:
        (mocap / name).unlink()
        (mocap / name).with_name("kept.txt").touch()
    assert skipped_notes(mocap) == []


@pytest.mark.parametrize("name", UNREAD)
def test_a_folder_of_nothing_else_is_refused_by_the_files_name(name, mocap):
    fill(mocap)
    for other in ("a.bvh", *UNREAD):
        if other != name:
            (mocap / other).unlink()
    with pytest.raises(BadInput, match=rf"1 file that is not read \({name}\): unpack"):
        find_motions(mocap)


def test_what_lies_beside_motions_is_not_named(mocap):
    for name in ("README", "LICENSE.txt", "subjects.csv", "shape.npz", ".hidden.gz", "notes.pdf"):
        (mocap / name).touch()
    out = mocap / "shards"
    out.mkdir()
    for name in ("dataset.json", "shard-000000.tar", "body.npz"):
        (out / name).touch()
    assert skipped_notes(mocap) == []


def test_videos_that_are_not_read_are_named(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("A.MP4", "b.mp4", "list.csv", "c.info.json"):
        (videos / name).touch()
    assert skipped_note(videos) == ""
    (videos / "no_suffix").write_bytes(b"\0\0\0\x20ftypisom")
    (videos / "d.m2ts").touch()
    (videos / "e.mp4.part").touch()
    assert "3 files that are not read (d.m2ts, e.mp4.part, no_suffix)" in skipped_note(videos)
    for name in ("A.MP4", "b.mp4", "d.m2ts", "e.mp4.part"):
        (videos / name).unlink()
    with pytest.raises(BadInput, match=r"not read \(no_suffix\)"):
        find_videos(videos)


def test_the_launch_prints_them(mocap, tmp_path, capsys):
    pose = np.zeros((40, 156))
    np.savez(mocap / "still.npz", poses=pose, trans=pose[:, :3], mocap_framerate=30.0)
    (mocap / "walk.npz.gz").touch()
    out = tmp_path / "out"
    assert not main(["--labels-only", "--motions", str(mocap), "--split", "all", "--out", str(out)])
    assert "has 1 file that is not read (walk.npz.gz)" in capsys.readouterr().out
