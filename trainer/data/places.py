"""Where shards are: a folder, URL, `pipe:` command, brace pattern or single tar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainer.errors import BadInput


@dataclass(frozen=True)
class Url:
    """A file or folder at a URL or of a `pipe:` command, with a part of Path's interface."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def scheme(self) -> str:
        """What is before the first colon: s3, https, pipe."""
        return self.text.partition(":")[0]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return re.split(r"[/\s]", self._path()[0])[-1]

    @property
    def parent(self) -> Url:
        """The folder."""
        path, query = self._path()
        return Url(path[: len(path) - len(self.name)].rstrip("/") + query)

    def __truediv__(self, name: str) -> Url:
        path, query = self._path()
        return Url(f"{path.rstrip('/')}/{name}{query}")

    def with_name(self, name: str) -> Url:
        """Return the file of that name beside this one."""
        path, query = self._path()
        return Url(path[: len(path) - len(self.name)] + name + query)

    def _path(self) -> tuple[str, str]:
        """Return the text before and from its question mark, which signed URLs have."""
        if self.scheme not in ("http", "https"):
            return self.text, ""
        path, mark, query = self.text.partition("?")
        return path, mark + query


Place = Path | Url


class Selection(NamedTuple):
    """A data set as named on a command line."""

    text: str
    """Without the weight."""
    described: Place
    """Its dataset.json."""
    shards: tuple[Place, ...]
    """The named shards; empty for all in the folder."""
    weight: float

    @property
    def folder(self) -> Place:
        """The folder of the shards."""
        return self.described.parent


def place(text: str) -> Place:
    """Return the path or URL that a text names."""
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    if "://" in text or text.startswith("pipe:"):
        return Url(text)
    return Path(text).expanduser()


def select(text: str | Path, option: str = "--shards") -> Selection:
    """Return what a folder, URL, brace pattern or single tar names, and its weight (`DIR::0.3`).

    Raises BadInput for an invalid pattern or weight.
    """
    words, weight = str(text), 1.0
    if found := re.fullmatch(r"(.+)::([\d.eE+-]+)", words):
        words = found[1]
        try:
            weight = float(found[2])
        except ValueError:
            weight = 0.0
        if not 0 < weight <= 1:
            raise BadInput(
                f"{option} {text}: the weight behind :: must lie in (0, 1], the share of the "
                f"data set that an epoch reads; got {found[2]}. Lower the other weights instead."
            )
    if words.startswith("pipe:") or re.search(r"\.tar($|\?)", words) or "{" in words:
        shards = tuple(place(name) for name in _expanded(words, option))
        others = {str(shard.parent) for shard in shards}
        if len(others) > 1:
            raise BadInput(
                f"{option} {text} names shards of {len(others)} folders; name each folder's "
                "by themselves."
            )
        return Selection(words, shards[0].with_name("dataset.json"), shards, weight)
    return Selection(words, place(words) / "dataset.json", (), weight)


def _expanded(pattern: str, option: str) -> list[str]:
    """Return the names that a brace pattern such as shard-{000000..000099}.tar expands to."""
    if "{" not in pattern:
        return [pattern]
    from webdataset.shardlists import expand_urls

    try:
        names = expand_urls(pattern)
    except ValueError as error:  # unbalanced
        raise BadInput(f"{option} {pattern} is no brace pattern ({error}).") from None
    if names == [pattern]:
        raise BadInput(f"{option} {pattern} is no brace pattern; write {{000000..000099}}.")
    return names
