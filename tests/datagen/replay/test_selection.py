"""Whose results are whose: by the content of the video, in folders that others use too."""

from pathlib import Path

import numpy as np
import pytest

from datagen.common.errors import BadInput
from datagen.common.video import media_sha256
from datagen.replay.checkpoint import shipped
from datagen.replay.inputs import InputVideo
from datagen.replay.names import Names
from datagen.replay.options import OverlayConfig
from datagen.replay.predict import identity_of
from datagen.replay.selection import of_this


@pytest.mark.parametrize(
    ("names", "mine"),
    [
        (["a", "b"], ["a"]),
        (["a", "a_1"], ["a"]),  # the other is a video of that name
        (["a_0", "a_1", "ab", "b_0"], ["a_0", "a_1"]),
        (["here_a", "there_a"], ["here_a"]),
        (["c", "d"], ["c", "d"]),  # it was renamed
    ],
)
def test_predictions_of_other_videos_are_left_out(names, mine, capsys):
    files = [Path(f"{name}.npz") for name in names]
    assert [file.stem for file in of_this(Path("here/a.mp4"), files)] == mine
    assert ("of other videos" in capsys.readouterr().out) == (len(mine) < len(names))


def test_a_videos_content_tells_its_predictions(tmp_path, capsys):
    """As of two videos whose names become one, or whose second person's has another's name."""
    for name in ("walk.mp4", "walk_1.mp4", "renamed.mp4"):
        (tmp_path / name).write_text(name[:-4].replace("renamed", "walk"))
    files = []
    for name, video in (("walk_0", "walk"), ("walk_1", "walk"), ("walk_1_0", "walk_1")):
        files.append(tmp_path / f"{name}.npz")
        np.savez(files[-1], content=media_sha256(tmp_path / f"{video}.mp4"))
    assert of_this(tmp_path / "walk.mp4", files) == files[:2]
    assert of_this(tmp_path / "renamed.mp4", files) == files[:2]
    assert of_this(tmp_path / "walk_1.mp4", files) == files[2:]
    assert "of other videos" in capsys.readouterr().out
    (tmp_path / "other.mp4").write_text("other")
    with pytest.raises(BadInput, match="these predictions are not of"):
        of_this(tmp_path / "other.mp4", files)


def test_results_keep_their_names_and_take_nobodys(tmp_path):
    a, b = {"video": "a", "network": "n"}, {"video": "a", "network": "m"}
    first = Names(tmp_path).take("clip", a)
    (tmp_path / "clip.mp4").write_text("a")
    second = Names(tmp_path).take("clip", b)
    assert first == "clip" and second.startswith("clip-") and second != first
    assert Names(tmp_path).take("clip", a) == first  # the same command again
    assert Names(tmp_path).take("clip", b) == second
    for kind in ("mp4", "png", "glb", "npz", "bvh", "trc", "mot", "json"):
        (tmp_path / f"{kind}s.{kind}").write_text("of somebody else")
        assert Names(tmp_path).take(f"{kind}s", a) != f"{kind}s"
    (tmp_path / ".overlay.json").write_text("no JSON")
    assert Names(tmp_path).take("clip", a) != "clip"  # nothing is known of clip.mp4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": "q"}, "is of the same input with other options"),
        ({"video": "b"}, "is of another input"),
        ({"network": "m"}, "is of another network"),
        (None, "is the name of files of unknown origin"),
    ],
)
def test_why_a_name_gets_a_suffix_is_said(tmp_path, capsys, change, words):
    mine = {"video": "a", "network": "n", "options": "o"}
    if change is None:
        (tmp_path / "clip.glb").touch()
    else:
        assert Names(tmp_path).take("clip", mine | change) == "clip"
    assert not capsys.readouterr().out
    name = Names(tmp_path).take("clip", mine)
    assert capsys.readouterr().out == f"note: clip {words}, so these results are {name}\n"


def test_a_person_asked_for_by_rank_is_the_one_among_all(tmp_path):
    """The same results, so they keep their name; those of another option do not."""
    clip, found = InputVideo(tmp_path / "clip.mp4", "c"), Path("clip_1.npz")

    def identity(person, file=found, **options):
        cfg = OverlayConfig(inputs=[clip.path], person=person, **options)
        return identity_of(clip, shipped(), cfg, file)

    assert identity("all") == identity("1", Path("clip.npz"))
    assert identity("all") != identity("all", min_frames=20)
    assert identity("largest", Path("clip.npz")) != identity("0", Path("clip.npz"))
