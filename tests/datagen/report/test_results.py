"""Films and pictures of results on the report's page."""

import base64
from pathlib import Path

import pytest

from datagen.common.errors import BadInput
from datagen.replay.names import INDEX
from datagen.report import results


def test_results_are_part_of_the_page(tmp_path: Path) -> None:
    picture, film = tmp_path / "run" / "loss.png", tmp_path / "person" / "him.mp4"
    for path, content in ((picture, b"picture"), (film, b"film")):
        path.parent.mkdir()
        path.write_bytes(content)
    html = results.section([film, picture])
    assert f"data:video/mp4;base64,{base64.b64encode(b'film').decode()}" in html
    assert f"data:image/png;base64,{base64.b64encode(b'picture').decode()}" in html
    assert "person/him.mp4" in html and results.CAPTIONS["loss"] in html
    assert html.index("video") < html.index("image/png")
    assert results.section([]) == ""
    assert html.count('class="wide"') == html.count('<div class="scroll"><img class="wide"') == 1


@pytest.mark.parametrize("name, reason", [("a.txt", "must be one of"), ("a.png", "No such file")])
def test_a_result_that_is_none_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=f"--results .*{name} .*{reason}"):
        results.section([tmp_path / name])


def test_results_of_an_overlay_say_what_they_show(tmp_path: Path) -> None:
    for name in ("clip.mp4", "clip.png", INDEX):
        (tmp_path / name).write_bytes(b"x")
    html = results.section([tmp_path / "clip.mp4", tmp_path / "clip.png"])
    assert all(text in html for text in results.OF_AN_OVERLAY.values())
