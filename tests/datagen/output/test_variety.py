"""What a data set's clips are made of, counted by hand."""

import json

from datagen.output.variety import Held, Variety, held


def clip(motion, person, start, first, window, subject="07"):
    """A clip's meta.json: `start` in the person's clip, which begins at frame `first`."""
    shown = {"start": first} | ({"subject": subject} if subject else {})
    return {
        "person": motion, "clip": person, "start": start, "people": shown,
        "background": window[0], "window": window[1],
    }  # fmt: skip


def shards(*parts):
    lines = []
    for part in parts:
        variety = Variety()
        for one in part:
            variety.add(one)
        lines.append(json.loads(json.dumps({"variety": variety.line()})))
    return lines


def test_each_is_counted_once():
    lines = shards(
        [
            clip("walk", 0, 10, 0, ("city", 0)),
            clip("walk", 1, 0, 50, ("city", 1)),  # frames 50 to 80 of the same motion
            clip("walk_mirrored", 0, 20, 0, ("city", 0)),  # seen in a mirror: 20 to 50
        ],
        [
            clip("walk", 0, 10, 0, ("wood", 0)),  # the first shard's first stretch
            clip("jump", 0, 0, 0, ("wood", 0), "12"),
        ],
    )
    frames = 30 + 10 + 30 + 30  # 10 to 40, 40 to 50, 50 to 80; the jump
    assert held(lines, 30) == Held(2, frames / 30 / 60, 2, 4, 3, 2)
    assert str(held(lines, 30)) == (
        "2 motions of 2 subjects or kinds, 3.3 seconds without repetition; 4 people; "
        "3 windows of 2 scenes"
    )
    assert held(lines[:1], 30) == Held(1, 70 / 30 / 60, 1, 3, 2, 1)


def test_older_shards_say_nothing():
    assert held([*shards([clip("walk", 0, 0, 0, ("city", 0))]), {"clips": 3}], 30) is None


def test_nobody_knows_who_performed():
    (line,) = shards([clip("run0_01_01", 0, 5, 0, ("city", 0), None)])
    assert str(held([line], 30)).startswith("1 motion, 1.0 seconds without repetition; 1 person;")
