"""A data set's identity as one hash, and how two identities differ."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from datagen.common.digests import file_digests
from datagen.common.files import files_below, sha256
from datagen.common.options import CODE, option

CONVENTION = ("motion_up", "motion_unit", "motion_rate")
"""Options that say how motions are to be read, and so decide the bytes of a library."""

LATER = ("motions_only", "motions_without", "labels_only", "scenes", "shapes", *CONVENTION)
"""Options that came later: left out where they are not given, so that older data sets keep their
fingerprints and libraries."""

CONTENT, BY_SIZE = "content", "folder"
"""First words of the entry of a folder of inputs: of their content, and, in releases before, of
their names and sizes alone."""

EMBEDDED = ("embedded bodies", "embedded motions", "embedded scenes")
"""Entries of an identity that name the embedded assets used; a release may bring others."""

FORMER = {"video_rate": "--video-rate stored", "shapes": "--shapes normal"}
"""What data sets without the entry of an option were made with, where that is not its absence."""

FLOW = "embedded flow"
"""Entry that names the weights of an embedded flow network."""

NO_OPTIONS = ("record", "evaluation", FLOW, *EMBEDDED)
"""Entries of an identity that are no option's."""


@cache
def assets(kind: str) -> str:
    """Return the start of the SHA-256 of what datagen/assets holds of a kind."""
    folder = Path(__file__).parents[1] / "assets" / kind
    found = files_below(folder)
    return digest([(str(path.relative_to(folder)), sha256(path)) for path in found])[:8]


def digest(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `value` as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def library_folders(identity: dict[str, Any]) -> tuple[str, str]:
    """Return the names of the folders of people and of scenes.

    Each is named by what decides its bytes, so that data sets which differ in later stages only
    share it and no option can mix two of them. Which inputs there are does not enter: each file of
    a library is made from one, whichever others there are.
    """
    bodies, backgrounds, output = (identity[name] for name in ("bodies", "backgrounds", "output"))
    people = {**bodies, "motions": None, "surreal": bodies["surreal"] is not None}
    people |= {"motion_limit": None, "seed": output["seed"]}
    people = {
        name: value
        for name, value in people.items()
        if name not in LATER or (name in CONVENTION and value is not None)
    }
    if "shapes" in bodies:  # dealt to the splits
        part = "test" if output["split"] == "val" else output["split"]
        people["shapes"] = [bodies["shapes"], part]
    people |= {entry: identity.get(entry) for entry in EMBEDDED[:2]}
    scenes = {**backgrounds, "videos": None, "videos_csv": None, "video_limit": None}
    scenes |= {"seed": output["seed"], "frames": identity["clips"]["clip_length"] + 1}
    scenes |= {"width": bodies["width"], "height": bodies["height"]}
    scenes |= {entry: identity.get(entry) for entry in EMBEDDED[2:]}
    if code := identity.get(f"{CODE}--scenes"):
        scenes["code"] = code
    return f"bodies-{digest(people)[:8]}", f"backgrounds-{digest(scenes)[:8]}"


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line "--option old → --option new" for each option in which the two differ."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b)
        elif a != b and not (key in (FLOW, *EMBEDDED) and lines):  # an option shows it already
            lines.append(f"{_typed(key, a)} → {_typed(key, b)}")
    return lines


def by_size(identity: Any) -> bool:
    """Return whether an identity is of a release that knew folders by names and sizes alone."""
    if isinstance(identity, dict):
        return any(map(by_size, identity.values()))
    if isinstance(identity, list):
        return any(map(by_size, identity))
    return isinstance(identity, str) and identity.startswith(f"{BY_SIZE} ")


def _typed(name: str, value: Any) -> str:
    """Return an entry of an identity as its option is typed."""
    if name in NO_OPTIONS or name.startswith(CODE):
        return f"{name} {value or '(older release)'}"
    if isinstance(value, bool):
        return option(name if value else f"no_{name}")
    if value is None:
        return FORMER.get(name, f"no {option(name)}")
    return " ".join([option(name), *map(str, value if isinstance(value, list) else [value])])


def content(path: Path, files: Sequence[Path] | None = None) -> str:
    """Return what tells a file or folder of inputs from others: its content, wherever it lies.

    files: those that are read, of which a folder may hold more; by default all below it.
    """
    if files is None or list(files) == [path]:
        if path.is_file():
            return f"file {file_digests([path])[0][:16]}"
        files = files_below(path)
    root = path if path.is_dir() else path.parent
    names = [Path(os.path.relpath(file, root)).as_posix() for file in files]
    return f"{CONTENT} {digest(list(zip(names, file_digests(files), strict=True)))}"
