"""Who meets which scene: a function of seed, shard and clip, and of what is usable."""

from collections import Counter

import numpy as np
import pytest

from datagen.clips.pairing import Pairing, starts_in_view
from datagen.common.errors import BadInput
from datagen.common.splits import in_split

PEOPLE = tuple(f"motion{i}" for i in range(7))
SCENES = tuple(f"video{i}" for i in range(5))
PAIRING = Pairing(PEOPLE, SCENES, frames=32, seed=0)


def body(*frames: int) -> dict:
    clips = [{"frames": count, "in_view": [[0, count]]} for count in frames]
    return {"kind": "body", "clips": clips}


def scene(windows: int) -> dict:
    return {"kind": "background", "windows": [{}] * windows}


def resolve(pairing: Pairing, shard: int, clips: int, people: dict, scenes: dict) -> list:
    """Make what is missing, round by round, as the pipeline does."""
    known: dict = {}
    for _ in range(20):
        need = pairing.missing(shard, clips, known.get, known.get)
        names = need[0] | need[1]
        if not names:
            return [pairing.choose(shard, clip, known.get, known.get) for clip in range(clips)]
        known |= {name: (people | scenes)[name] for name in names}
    raise AssertionError("no end")


def test_a_shard_does_not_depend_on_what_was_made_before() -> None:
    people = {name: body(100, 40, 31) for name in PEOPLE}
    scenes = {name: scene(3) for name in SCENES}
    alone = resolve(PAIRING, 3, 16, people, scenes)
    everything = (people | scenes).get
    assert alone == [PAIRING.choose(3, clip, everything, everything) for clip in range(16)]


def test_only_usable_stretches_and_windows_are_chosen() -> None:
    people = {name: body(31, 33) for name in PEOPLE} | {"motion0": body(31, 20)}
    scenes = {name: scene(2) for name in SCENES} | {
        "video0": scene(0),
        "video1": {"kind": "failed"},
    }
    chosen = resolve(PAIRING, 0, 300, people, scenes)
    assert {choice.clip for choice in chosen} == {1}
    assert {choice.start for choice in chosen} == {0, 1}
    assert {choice.person for choice in chosen} == set(PEOPLE) - {"motion0"}
    assert {choice.background for choice in chosen} == {"video2", "video3", "video4"}


def test_people_and_scenes_are_drawn_independently_and_evenly() -> None:
    people = {name: body(100) for name in PEOPLE}
    scenes = {name: scene(1) for name in SCENES}
    chosen = resolve(PAIRING, 0, 3500, people, scenes)
    counts = Counter((choice.person, choice.background) for choice in chosen)
    assert len(counts) == 35 and min(counts.values()) > 60 and max(counts.values()) < 145


def test_a_stretch_shows_its_person_half_of_the_time() -> None:
    clip = {"frames": 50, "in_view": [[5, 10], [20, 30]]}
    seen = np.zeros(50)
    seen[5:10] = seen[20:30] = 1
    expected = [start for start in range(41) if seen[start : start + 10].mean() >= 0.5]
    assert starts_in_view(clip, 10).tolist() == expected
    assert len(starts_in_view({"frames": 9, "in_view": [[0, 9]]}, 10)) == 0
    assert len(starts_in_view({"frames": 50, "in_view": []}, 10)) == 0


def test_nothing_usable_names_the_option_that_helps() -> None:
    people = {name: body(10) for name in PEOPLE}
    scenes = {name: scene(1) for name in SCENES}
    with pytest.raises(
        BadInput, match=r"none of 7 motions .* 32 frames.*motion\d: has 10 frames.*--motions"
    ):
        resolve(PAIRING, 0, 1, people, scenes)


def test_splits_share_no_group_and_cover_all() -> None:
    groups = [f"g{i}" for i in range(40)]
    parts = [in_split(groups, split, "videos") for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert set.union(*parts) == set(groups) == in_split(groups, "all", "videos")
    assert in_split(["one"], "train", "videos") == {"one"}
    with pytest.raises(BadInput, match="--split test is empty: 2 videos are too few"):
        in_split(["a", "b"], "test", "videos")
