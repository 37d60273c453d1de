"""Resolves a folder, URL, brace pattern or single tar to shards of a data set."""

from __future__ import annotations

from typing import NamedTuple

from datagen.common.errors import BadInput
from datagen.output.layout import shard_number


class NamedShards(NamedTuple):
    """Shards of a data set named on the command line."""

    folder: str
    """Path or URL of the folder of shards."""
    numbers: frozenset[int] | None
    """The named shards; None for all."""

    def holds(self, number: int) -> bool:
        """Return whether a shard is one of those named."""
        return self.numbers is None or number in self.numbers


def select(text: str) -> NamedShards:
    """Return the shards that a folder, URL, `shard-{000000..000099}.tar` or single tar names.

    Raises BadInput for a command, a signed URL, a malformed pattern, or shards of several folders.
    """
    if text.startswith("pipe:") or "?" in text:
        raise BadInput(
            f"{text}: shards cannot be selected from a command or a signed URL; give a folder or a "
            "plain URL"
        )
    if "{" not in text and not text.endswith(".tar"):
        return NamedShards(text.rstrip("/") or "/", None)
    from webdataset.shardlists import expand_urls

    try:
        names = [name.rpartition("/") for name in expand_urls(text)]
    except ValueError as error:  # unbalanced
        raise BadInput(f"{text} is not a valid brace pattern ({error})") from None
    folders = {folder or slash or "." for folder, slash, _ in names}
    numbers = {shard_number(name) for _, _, name in names}
    found = frozenset(number for number in numbers if number is not None)
    if len(found) < len(numbers) or len(folders) > 1:
        raise BadInput(
            f"{text} does not name shards of one folder; give the folder, or some of its shards as "
            "FOLDER/shard-{000000..000099}.tar"
        )
    return NamedShards(folders.pop(), found)
