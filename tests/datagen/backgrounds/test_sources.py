"""Where backgrounds come from: folders, Kinetics lists, splits."""

import itertools
from pathlib import Path

import pytest

from datagen.backgrounds.options import BackgroundsConfig
from datagen.backgrounds.sources import VideoSource, absent, find_videos, kinetics_clips
from datagen.common.errors import BadInput, BadOption
from datagen.common.files import whole
from datagen.common.splits import in_split

HEADER = "label,youtube_id,time_start,time_end,split\n"


@pytest.fixture
def kinetics(tmp_path):
    """A list of four clips, of which three are there: below labels, in the folder, not at all."""
    (tmp_path / "k400" / "riding a bike").mkdir(parents=True)
    for name in (
        "riding a bike/--07WQ2iBlw_000001_000011.mp4",
        "riding a bike/other.mp4",
        "_yz0Ty8Mx-s_000102_000112.webm",
        "_yz0Ty8Mx-s_000202_000212.webm",
        "notlisted11_000000_000010.mp4",
    ):
        (tmp_path / "k400" / name).touch()
    listed = tmp_path / "train.csv"
    listed.write_text(
        HEADER
        + "riding a bike,--07WQ2iBlw,1,11,train\n"
        + '"a, b",_yz0Ty8Mx-s,102,112,train\n'
        + "x,_yz0Ty8Mx-s,202.0,212.0,train\n"
        + "x,missing__id,000000,000010,train\n"
    )
    return tmp_path / "k400", listed


def test_a_kinetics_list_chooses_its_clips(kinetics):
    folder, listed = kinetics
    sources = find_videos(folder, listed)
    assert [source.name for source in sources] == [
        "_yz0Ty8Mx-s_000102_000112",
        "_yz0Ty8Mx-s_000202_000212",
        "riding-a-bike__--07WQ2iBlw_000001_000011",
    ]
    assert [source.group for source in sources] == ["_yz0Ty8Mx-s"] * 2 + ["--07WQ2iBlw"]
    assert absent(sources, listed) == ["missing__id_000000_000010"]
    assert len(find_videos(folder)) == 5


def test_the_test_lists_have_no_label_and_may_begin_with_a_mark(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("youtube_id,time_start,time_end,split\nabcdefghijk,7,17,test\n", "utf-8-sig")
    assert kinetics_clips(path) == {"abcdefghijk_000007_000017"}


@pytest.mark.parametrize(
    "content, rule",
    [
        (b"", "no column youtube_id, time_start, time_end"),
        (b"youtube_id,start\nx,1\n", "no column time_start, time_end"),
        (b"youtube_id,time_start,time_end\n", "lists no clip"),
        (b"youtube_id,time_start,time_end\na,1,2\nb,x,3\n", "line 3 is not valid"),
        (b"youtube_id,time_start,time_end\na,1\n", "line 2 is not valid"),
        (b"youtube_id,time_start,time_end\na,inf,1\n", "line 2 is not valid"),
        (b"youtube_id,time_start,time_end\n\xff\xfe,1,2\n", "is not valid in a Kinetics list"),
        (b"youtube_id,time_start,time_end\nzzzzzzzzzzz,1,2\n", "holds none of the clips in"),
    ],
)
def test_bad_lists_are_refused(content, rule, kinetics, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=rule):
        find_videos(kinetics[0], path)


def test_a_list_needs_a_folder(tmp_path):
    with pytest.raises(BadOption, match="--videos-csv"):
        BackgroundsConfig(videos_csv=tmp_path / "train.csv")
    with pytest.raises(BadInput, match="line 1"):
        kinetics_clips(tmp_path / "absent.csv")


def test_splits_never_share_a_video(tmp_path):
    """Clips of one YouTube video stay together, whatever their label, times or container."""
    for video, (label, start) in itertools.product(
        range(40), [("run", 3), ("run", 90), ("jump", 200)]
    ):
        (tmp_path / label).mkdir(exist_ok=True)
        for suffix in ("mp4", "mkv")[: 1 + video % 2]:
            name = f"id_-{video:07d}_{start:06d}_{start + 10:06d}.{suffix}"
            (tmp_path / label / name).touch()
    sources = find_videos(tmp_path)
    assert len({source.name for source in sources}) == len(sources) == 180
    groups = {
        split: in_split((s.group for s in sources), split, "videos")
        for split in ("train", "val", "test")
    }
    videos = {split: {g[:11] for g in found} for split, found in groups.items()}
    assert sum(len(found) for found in videos.values()) == 40 and all(videos.values())
    assert not any(a & b for a, b in itertools.combinations(videos.values(), 2))
    assert videos["train"] | videos["val"] | videos["test"] == {s.group for s in sources}


def test_scenes_of_one_panorama_stay_together():
    groups = {source.group for source in find_videos(None)}
    assert len(groups) * 4 == len(find_videos(None))
    assert VideoSource("scene_night_02", None).group == VideoSource("scene_night_00", None).group


def test_linked_folders_are_searched_and_circles_are_not_walked_twice(tmp_path: Path) -> None:
    """Users link their data sets into place."""
    (tmp_path / "disk" / "sub").mkdir(parents=True)
    (tmp_path / "disk" / "sub" / "a.mp4").touch()
    (tmp_path / "disk" / "sub" / "up").symlink_to(tmp_path / "disk")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "kinetics").symlink_to(tmp_path / "disk")
    assert [source.name for source in find_videos(tmp_path / "videos")] == ["kinetics__sub__a"]


def test_a_path_of_many_letters_gets_a_name_that_fits_a_file(tmp_path: Path) -> None:
    """A library file's name is a path below the folder, and more is added to it."""
    deep = tmp_path / ("a" * 100) / ("b" * 100) / ("c" * 100)
    deep.mkdir(parents=True)
    for name in ("one", "two"):
        (deep / f"a_video_of_thirty_characters_{name}.mp4").touch()
    (tmp_path / "short.mp4").touch()
    names = [source.name for source in find_videos(tmp_path)]
    assert len(set(names)) == 3 and "short" in names
    for name in names:
        with whole(tmp_path / f"{name}-0123456789ab.json") as unfinished:
            unfinished.write_text("{}")


def test_names_of_other_scripts_stay_when_a_video_is_added(tmp_path: Path) -> None:
    """Splits go by names: a new name would move the video from one to another."""
    (tmp_path / "歩く.mp4").write_bytes(b"")
    (first,) = find_videos(tmp_path)
    for name in ("踊る.mp4", "座る.mp4", "walk.mp4"):
        (tmp_path / name).write_bytes(b"")
    names = {str(source.path): source.name for source in find_videos(tmp_path)}
    assert names[str(first.path)] == first.name and len({*names.values()}) == 4
    assert names[str(tmp_path / "walk.mp4")] == "walk"
