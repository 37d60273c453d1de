"""A video as a source: known by its content, with the times of its frames."""

import cv2
import numpy as np
import pytest
from footage_world import filmed, retime, walk, write_keypoints

from datagen import verify
from datagen.common.errors import BadInput
from datagen.common.frames import read_frames
from datagen.footage.dataset import ingest
from datagen.footage.options import FootageConfig, VideoConfig
from datagen.footage.video_source import FootageVideo, named
from datagen.footage.videos import find_sources
from trainer.data.dataset import open_dataset
from trainer.data.loader import read_clips


def test_another_video_of_the_same_name_and_size_is_refused(tmp_path):
    video, keypoints = filmed(tmp_path / "a", "take", [walk(12)])
    other = tmp_path / "b" / "take.mp4"
    other.parent.mkdir()
    data = bytearray(video.read_bytes())
    data[-40] ^= 1
    other.write_bytes(data)
    cfg = FootageConfig(out=tmp_path / "out", image_size=64, keypoints_only=True)
    ingest([FootageVideo(video, "take", keypoints, layout="limbs")], cfg)
    same = ingest([FootageVideo(video, "take", keypoints, layout="limbs")], cfg)
    assert len(same) == 1
    with pytest.raises(BadInput, match="already holds another take"):
        ingest([FootageVideo(other, "take", keypoints, layout="limbs")], cfg)


def test_a_person_of_a_picture_beside_a_video_is_followed(tmp_path):
    """A person of one frame of a video is passed over; a picture has no more."""
    video, keypoints = filmed(tmp_path, "film", [walk(12)])
    photo, short = tmp_path / "photo.png", tmp_path / "short.npz"
    cv2.imwrite(str(photo), next(read_frames(video, [0]))[..., ::-1])
    write_keypoints(short, walk(12)[:1, None], "limbs")
    cfg = VideoConfig(videos=[video, photo], keypoints=[keypoints, short], layout="limbs")
    film, still = find_sources(cfg, {"film": video, "photo": photo}, tmp_path)
    assert [len(source.open().tracks[0].source) for source in (film, still)] == [12, 1]
    assert film.min_frames == 8


def test_frames_keep_their_times(tmp_path):
    """Of a variable frame rate: 8 frames at 30 a second, then 6 at 15."""
    video, keypoints = filmed(tmp_path, "vfr", [walk(14)])
    retime(video, [(8, 1), (6, 2)])
    (track,) = FootageVideo(video, "vfr", keypoints, layout="limbs").open().tracks
    expected = np.array([*range(8), *range(8, 20, 2)]) / 30
    assert track.time is not None
    np.testing.assert_allclose(track.time, expected, atol=1e-3)


def test_shards_of_keypoints_alone_are_whole(tmp_path, capsys):
    video, keypoints = filmed(tmp_path, "a", [walk(12)])
    cfg = FootageConfig(out=tmp_path / "out", image_size=64, keypoints_only=True)
    (line,) = ingest([FootageVideo(video, "a", keypoints, layout="limbs")], cfg)
    assert line["clips"] == 1 and line["statistics"]["frames"] == 12
    assert "Preparing 1 input: keypoints of whole tracks\n" in capsys.readouterr().out
    assert verify.main([str(tmp_path / "out")]) == 0
    dataset = open_dataset(tmp_path / "out", truth=False)
    wanted = frozenset({"joints2d", "time", "crop", "occluded"})
    ((_, arrays),) = read_clips(dataset, wanted)
    np.testing.assert_allclose(arrays["time"], np.arange(12) / 30, atol=1e-3)
    # Their crops are those of a set that has pictures.
    whole = ingest([FootageVideo(video, "a", keypoints, layout="limbs")],
                   FootageConfig(out=tmp_path / "more", image_size=64))  # fmt: skip
    assert whole[0]["clips"] == 1
    more = open_dataset(tmp_path / "more", truth=False)
    ((_, again),) = read_clips(more, wanted | {"flow"})
    np.testing.assert_array_equal(arrays["joints2d"], again["joints2d"])
    np.testing.assert_array_equal(arrays["crop"], again["crop"])


def test_a_long_track_of_keypoints_alone_is_cut_as_one_with_pictures(tmp_path):
    """In the same order of pieces, also with two people."""
    people = [walk(300, speed=0.2), walk(300, start=150, speed=-0.2)]
    video, keypoints = filmed(tmp_path, "a", people)
    found = {}
    for alone in (True, False):
        out = tmp_path / str(alone)
        cfg = FootageConfig(out=out, image_size=64, keypoints_only=alone, rgb=False)
        ingest([FootageVideo(video, "a", keypoints, layout="limbs", person="all")], cfg)
        clips = read_clips(
            open_dataset(out, truth=False), frozenset({"joints2d", "source", "occluded"})
        )
        found[alone] = [arrays for _, arrays in clips]
    assert len(found[True]) == len(found[False]) == 4
    for one, other in zip(found[True], found[False], strict=True):
        np.testing.assert_array_equal(one["source"], other["source"])
        np.testing.assert_array_equal(one["joints2d"], other["joints2d"])


def test_names_of_any_length_are_bounded_and_stay_apart(tmp_path):
    """A track's name is the video's, and more is added to it."""
    paths = [tmp_path / f"{'x' * 230}{end}.mp4" for end in "ab"]
    paths += [tmp_path / f"{'歩' * 80}.mp4"]
    for path in paths:
        path.write_bytes(b"")
    names = named(paths)
    assert len(names) == 3
    assert all(len(name.encode()) <= 210 for name in names)
