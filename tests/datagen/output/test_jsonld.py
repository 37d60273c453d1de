"""croissant.json's facts that mlcroissant checks, where that package is not at hand.

`mlcroissant validate` accepts both kinds of file, and its Dataset.records gives the members' bytes.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from datagen.output import card, jsonld, motion_card

SHARDS = ("train/shard-000000.tar", "train/shard-000001.tar")
OF_1_0 = {"samplingRate", "equivalentProperty", "recordSet", "field", "extract", "fileProperty"}
"""Keys of Croissant 1.0's context whose absence mlcroissant warns of, or that records need."""


def references(node: Any, top: bool = True) -> Iterator[str]:
    """Yield the @id of each node that only points to another one."""
    if isinstance(node, list):
        for one in node:
            yield from references(one, False)
    elif isinstance(node, dict):
        if set(node) == {"@id"} and not top:
            yield node["@id"]
        for value in node.values():
            yield from references(value, False)


def defined(node: Any) -> Iterator[str]:
    """Yield the @id of each node that has a type."""
    if isinstance(node, list):
        for one in node:
            yield from defined(one)
    elif isinstance(node, dict):
        if "@type" in node and "@id" in node:
            yield node["@id"]
        for value in node.values():
            yield from defined(value)


@pytest.mark.parametrize("members", [card.MEMBERS, motion_card.MEMBERS])
def test_all_that_is_referred_to_is_defined_once(members: dict[str, tuple[str, str]]) -> None:
    line = {"bytes": 3, "sha256": "0" * 64}
    pieces = [
        *(jsonld.file(path, line) for path in SHARDS),
        *jsonld.file_sets(members, SHARDS, "train/"),
        *jsonld.record_sets(members, "train/"),
    ]
    ids = list(defined(pieces))
    assert len(ids) == len(set(ids))
    assert set(references(pieces)) <= set(ids)
    assert set(SHARDS) <= set(references(pieces))
    for record_set in jsonld.record_sets(members, "train/"):
        assert record_set["key"]["@id"] == record_set["field"][0]["@id"]


def test_keys_are_read_from_members_names_and_pictures_are_pictures() -> None:
    assert re.search(jsonld.KEY, "000012_0034.flow.npy")[1] == "000012_0034"  # pyright: ignore
    assert re.search(jsonld.KEY, "dir.d/000012_0034.meta.json")[1] == "000012_0034"  # pyright: ignore
    kinds = {
        record_set["name"]: record_set["field"][1]["dataType"]
        for record_set in jsonld.record_sets(card.MEMBERS)
    }
    assert kinds == {name: "sc:Text" for name in ("flow", "labels", "meta")} | {
        "rgb": "sc:ImageObject"
    }


def test_the_context_has_croissants_words() -> None:
    assert jsonld.CONTEXT.keys() >= OF_1_0
    assert jsonld.CONTEXT["cr"] == "http://mlcommons.org/croissant/"


def test_without_shards_there_is_no_set() -> None:
    assert jsonld.file_sets(card.MEMBERS, []) == []
