"""Content digests of inputs: they distinguish motions or videos that share a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datagen.common.digests import file_digests
from datagen.output import fingerprint


def contents(sources: Iterable[Any], what: str) -> dict[str, str | None]:
    """Return each source's digest of everything that its library file is made from, by name.

    It covers every file that is read (including the skeleton of an .amc), the performer, and the
    part of the file that is used. None for an embedded source: the data set's identity names its
    assets.

    what: label of the hashing progress bar. Raises BadInput for a file that is being written.
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
    """Return the identity's entry for some inputs; None if all of them are embedded.

    The names of all inputs found decide which are drawn and which split each subject is in. Only
    the used inputs are hashed, and none if `read` is false.
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
