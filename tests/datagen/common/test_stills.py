"""Pictures as videos: in the order of their numbers, at the rate that their folder names."""

import cv2
import numpy as np
import pytest

from datagen.common.errors import BadInput
from datagen.common.frames import frame_size, frame_times, read_frames
from datagen.common.stills import pictures_in
from datagen.common.video import media_sha256
from datagen.replay.inputs import find_clips, is_sequence


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "frames"
    out.mkdir()
    for number in range(8, 13):
        cv2.imwrite(
            str(out / f"f{number}.png"), np.full((20, 30, 3), (0, 0, 20 * number), np.uint8)
        )
    return out


def test_frames_come_by_number_in_rgb_at_their_rate(folder):
    assert [path.name for path in pictures_in(folder)] == [f"f{n}.png" for n in range(8, 13)]
    np.testing.assert_allclose(frame_times(folder), np.arange(5) / 30)
    (folder / "fps.txt").write_text("12.5\n")
    np.testing.assert_allclose(frame_times(folder), np.arange(5) / 12.5)
    assert frame_size(folder) == (30, 20)
    assert [frame[0, 0].tolist() for frame in read_frames(folder, [0, 2, 4])] == [
        [160, 0, 0], [200, 0, 0], [240, 0, 0]
    ]  # fmt: skip
    (folder / "fps.txt").write_text("soon")
    with pytest.raises(BadInput, match=r"fps\.txt must hold a number"):
        next(read_frames(folder, [0]))


def test_numbered_pictures_of_one_size_are_a_video(folder, capsys):
    assert is_sequence(pictures_in(folder))
    (clip,) = find_clips([folder])
    assert clip.path == folder and clip.stem == "frames" and "a video" in capsys.readouterr().out
    (folder / "f10.png").unlink()
    assert not is_sequence(pictures_in(folder))  # one is missing
    assert len(find_clips([folder])) == 4
    cv2.imwrite(str(folder / "f10.png"), np.zeros((40, 30, 3), np.uint8))
    assert not is_sequence(pictures_in(folder))  # one is larger


def test_contents_tell_folders_and_files_apart(folder, tmp_path):
    before = media_sha256(folder)
    image = cv2.imread(str(folder / "f9.png"))
    assert image is not None
    cv2.imwrite(str(folder / "f9.png"), image + np.uint8(1))
    assert media_sha256(folder) != before
    copy = tmp_path / "copy.png"
    copy.write_bytes((folder / "f8.png").read_bytes())
    assert len(find_clips([folder / "f8.png", copy])) == 1  # the same picture once
