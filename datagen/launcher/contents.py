"""The content of inputs: what tells a motion or a video from another of its name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datagen.common.digests import file_digests
from datagen.output import fingerprint


def contents(sources: Iterable[Any], what: str) -> dict[str, str | None]:
    """Return, by the sources' names, what changes with all that their library files are made from.

    That is every file that is read, the skeleton of an .amc too, who performs, and which part of a
    file is meant. None for an embedded source, whose assets the data set's identity names.

    what: what they are, for the progress of hashing. Raises BadInput for a file that is being
    written.
    """
    files = {source.name: _files(source) for source in sources}
    flat = [path for paths in files.values() for path in paths]
    digests = dict(zip(flat, file_digests(flat, what), strict=True))
    found: dict[str, str | None] = {}
    for source in sources:
        read = [digests[path] for path in files[source.name]]
        part = getattr(source, "part", None)
        found[source.name] = fingerprint.digest([_group(source), part, read]) if read else None
    return found


def entry(found: Sequence[Any], used: Sequence[Any], what: str, *, read: bool = True) -> str | None:
    """Return the entry of an identity for inputs; None if all of them are embedded.

    The names of all that were found decide which are drawn, and who is in which split; only the
    content of those that are used is read, or of none where `read` is not wanted.
    """
    if all(source.path is None for source in found):
        return None
    known = contents(used, what) if read else {}
    rows = [[source.name, _group(source), known.get(source.name)] for source in found]
    return f"{fingerprint.CONTENT} {fingerprint.digest(rows)}"


def _files(source: Any) -> list[Path]:
    if source.path is None:
        return []
    return list(getattr(source, "files", [Path(source.path)]))


def _group(source: Any) -> str:
    return source.subject if hasattr(source, "subject") else source.group
