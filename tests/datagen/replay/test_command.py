"""The whole command, from a video to its results: times, names, folders that others use too."""

import json
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from footage_world import filmed, retime, walk
from safetensors.numpy import load_file, save_file

from datagen.overlay import main as overlay
from datagen.replay.checkpoint import shipped

pytestmark = pytest.mark.slow


def other_network(folder: Path) -> Path:
    """Return a network that is not the one that ships."""
    folder.mkdir()
    weights = load_file(shipped())
    name = max(
        (name for name in weights if name.startswith("weights.")), key=lambda n: weights[n].size
    )
    weights[name] = weights[name] * 1.2
    save_file(weights, folder / "model.safetensors")
    config = shipped().with_name("config.json").read_text()
    (folder / "config.json").write_text(config)
    return folder / "model.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    """Return the results in a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())
            if file.is_file() and file.name[0] != "."}  # fmt: skip


def times_of_mesh(path: Path) -> np.ndarray:
    """Return the times of a .glb's animation."""
    data = path.read_bytes()
    size = struct.unpack("<I", data[12:16])[0]
    head = json.loads(data[20 : 20 + size])
    accessor = head["accessors"][head["animations"][0]["samplers"][0]["input"]]
    begin = 28 + size + head["bufferViews"][accessor["bufferView"]]["byteOffset"]
    return np.frombuffer(data[begin : begin + 4 * accessor["count"]], "<f4")


def test_every_output_has_the_videos_times_and_names_are_nobody_elses(tmp_path):
    """A variable frame rate; then another network, and another video of the same name."""
    video, keypoints = filmed(tmp_path / "a", "take 1", [walk(14)])
    retime(video, [(8, 1), (6, 2)])
    expected = np.array([*range(8), *range(8, 20, 2)]) / 30
    out = tmp_path / "out"
    line = [str(video), "--keypoints", str(keypoints), "--layout", "limbs", "--out", str(out)]
    assert overlay(line) == 0
    first = contents(out)
    assert set(first) == {f"take 1.{kind}" for kind in ("mp4", "png", "glb", "npz")}
    with av.open(str(out / "take 1.mp4")) as film:
        times = [float(frame.time or 0) for frame in film.decode(video=0)]
    np.testing.assert_allclose(times, expected, atol=1e-3)
    np.testing.assert_allclose(times_of_mesh(out / "take 1.glb"), expected, atol=1e-3)
    (prediction,) = out.glob("work/predictions-*/*.npz")
    with np.load(prediction) as metadata, np.load(out / "take 1.npz") as motion:
        np.testing.assert_allclose(metadata["time"], expected, atol=1e-3)
        # AMASS's layout has one rate: 30 a second, the last frame at its time.
        assert motion["mocap_framerate"] == 30 and len(motion["poses"]) == 19
        np.testing.assert_allclose(motion["poses"][18], metadata["poses"][13], atol=0.02)
        moved, expected_move = (arrays["trans"][end] - arrays["trans"][0]
                                for arrays, end in ((motion, 18), (metadata, 13)))  # fmt: skip
        np.testing.assert_allclose(moved, expected_move, atol=0.02)

    assert overlay([*line, "--no-film", "--checkpoint", str(other_network(tmp_path / "net"))]) == 0
    other, more_keypoints = filmed(tmp_path / "b", "take 1", [walk(13, start=80)])
    assert overlay([str(other), "--keypoints", str(more_keypoints), *line[3:], "--no-film"]) == 0
    now = contents(out)
    assert {name: now[name] for name in first} == first  # nothing is lost
    motions = [name for name in now if name.endswith(".npz")]
    assert len(motions) == 3
    poses = []
    for name in motions:
        with np.load(out / name) as motion:
            poses.append(motion["poses"])
    assert sorted(len(pose) for pose in poses) == [13, 19, 19]
    same = [pose for pose in poses if len(pose) == 19]
    assert not np.allclose(same[0], same[1])


def test_pictures_and_folders_of_them(tmp_path):
    """One alone, and numbered ones, which are a video."""
    from datagen.common.frames import read_frames

    point = Path(__file__).parents[2] / "fixtures" / "detector" / "point.mp4"
    folder = tmp_path / "frames"
    folder.mkdir()
    pictures = list(read_frames(point, range(9)))
    for number, picture in enumerate(pictures):
        image = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"frame_{number + 5}.png"), image)
    cv2.imwrite(str(tmp_path / "photo.jpg"), cv2.cvtColor(pictures[0], cv2.COLOR_RGB2BGR))
    out = tmp_path / "out"
    assert overlay([str(folder), "--out", str(out), "--no-film"]) == 0
    assert (out / "frames.npz").exists()
    with np.load(next(out.glob("work/predictions-*/frames.npz"))) as motion:
        assert len(motion["pose"]) == 9
        np.testing.assert_allclose(motion["time"], np.arange(9) / 30)
        turn = motion["joints"][0] - motion["joints"][0, :1]
    assert overlay([str(tmp_path / "photo.jpg"), "--out", str(out)]) == 0
    assert not (out / "photo.mp4").exists()
    shown = cv2.imread(str(out / "photo.png"))
    assert shown is not None and shown.shape[:2] == (320, 640)
    assert (out / "photo.npz").exists()
    with np.load(next(out.glob("work/predictions-*/photo.npz"))) as motion:
        alone = motion["joints"][0] - motion["joints"][0, :1]
        assert len(motion["pose"]) == 1
    assert np.linalg.norm(alone - turn, axis=1).mean() < 0.25  # metres: the same person
