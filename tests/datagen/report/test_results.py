"""Films and pictures of results on the report's page."""

import base64
from pathlib import Path

import pytest

from datagen.common.errors import BadInput
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


@pytest.mark.parametrize("name, reason", [("a.txt", "is none of .mp4"), ("a.png", "No such file")])
def test_a_result_that_is_none_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=f"--results .*{name} .*{reason}"):
        results.section([tmp_path / name])
