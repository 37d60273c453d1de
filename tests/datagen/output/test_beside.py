"""Files beside the shards and in the library: damage is found, and repaired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datagen.common import checksum
from datagen.common.errors import BadInput
from datagen.common.files import sha256, write_json
from datagen.launcher.library import finished
from datagen.output import beside, check
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest

CONFIG = {
    "bodies": {"motions": None, "surreal": None, "body": None},
    "backgrounds": {"videos": None},
    "clips": {"clip_length": 3},
    "output": {"seed": 0, "split": "train"},
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A data set of nothing but a library of one person."""
    layout = Layout(tmp_path / "shards")
    folder = layout.library / "bodies-0"
    folder.mkdir(parents=True)
    (folder / "a.h5").write_bytes(b"person")
    line = {"kind": "body", "name": "a", "bytes": 6, "sha256": sha256(folder / "a.h5")}
    write_json(folder / "a.json", checksum.added({**line, "content": None}))
    monkeypatch.setattr(beside, "library_folders", lambda _: [folder])
    return layout


@pytest.mark.parametrize("name", ["a.h5", "a.json"])
def test_any_flipped_bit_of_a_library_is_found(library: Layout, name: str) -> None:
    assert beside.problems(library) == ["dataset.json is missing"]
    path = library.library / "bodies-0" / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 3, 5, 7):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            path.write_bytes(data)
            assert "bodies-0/a." in beside.problems(library)[0], data
    path.write_bytes(whole)
    assert beside.problems(library) == ["dataset.json is missing"]


def test_a_library_line_that_lost_its_checksum_with_other_parts_is_found(library: Layout) -> None:
    path = library.library / "bodies-0" / "a.json"
    whole = json.loads(path.read_text())
    line = {**checksum.removed(whole), "file": "a.h5"}
    Manifest(library.manifests / "bodies.jsonl").append(line)
    write_json(path, line)  # as an older release wrote it
    assert beside.problems(library) == ["dataset.json is missing"]
    write_json(path, {name: line[name] for name in line if name != "sha256"})
    assert "bodies-0/a.json differs from the manifest" in beside.problems(library)


def test_what_is_damaged_of_a_library_is_removed_and_made_again(library: Layout) -> None:
    folder = library.library / "bodies-0"
    assert finished(folder, {"a": None}).keys() == {"a"}
    (folder / "a.json").write_text((folder / "a.json").read_text().replace("body", "bode"))
    assert not finished(folder, {"a": None})
    beside.clean(library)
    assert not list(folder.iterdir())


def test_any_flipped_bit_of_a_manifest_is_found(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "m.jsonl")
    lines = [{"shard": 0, "name": "\u00e9", "size": 0.1}, {"shard": 1}]
    for line in lines:
        manifest.append(line)
    assert manifest.lines() == lines and not manifest.damaged()
    whole = manifest.path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 3, 5, 7):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            manifest.path.write_bytes(data)
            assert manifest.damaged(), bytes(data)
            assert all(line in lines for line in manifest.lines()) or data[place] in b"eE"
    manifest.clean()
    assert not manifest.damaged()


def test_a_part_lost_from_a_later_line_is_found_even_with_its_checksum(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "m.jsonl")
    for line in ({"shard": 0}, {"shard": 1, "bytes": 7}):
        manifest.append(line)
    whole = manifest.path.read_bytes()
    last = whole.index(b"\n") + 1
    for start in range(last, len(whole) - 1):
        for stop in range(start + 1, len(whole)):
            manifest.path.write_bytes(whole[:start] + whole[stop:])
            assert manifest.damaged(), whole[last:start] + whole[stop:]
            assert manifest.lines() == [{"shard": 0}]
    manifest.clean()
    assert not manifest.damaged()


def test_lines_of_older_releases_have_no_checksum(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "m.jsonl")
    manifest.path.write_text(json.dumps({"shard": 0}, separators=(",", ":")) + "\n")
    manifest.append({"shard": 1})
    assert [line["shard"] for line in manifest.lines()] == [0, 1] and not manifest.damaged()
    assert [line["shard"] for line in manifest.checked()] == [1]


@pytest.mark.parametrize("variety", [3, {"people": 3}, {"people": [3, None], "windows": {}}])
def test_lines_that_mean_nothing_are_no_traceback(tmp_path: Path, variety: object) -> None:
    layout = Layout(tmp_path / "shards")
    Manifest(layout.manifests / "shards.jsonl").append({"shard": 0, "variety": variety})
    assert isinstance(beside.unlisted(layout), list)


@pytest.mark.parametrize("text", [b"null", b"1", b"true", b"[]", b'"x"'])
@pytest.mark.parametrize("checked", [True, False])
def test_json_that_is_no_object_is_not_what_is_written(text, checked):
    assert not beside._canonical(text + b"\n", checked)


def test_a_data_set_without_its_number_of_shards_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="lacks its number of shards"):
        check.numbers(Layout(tmp_path / "shards"), {}, {})
