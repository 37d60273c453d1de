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
"""Options on how to read motions, which therefore affect the bytes of a library."""

LATER = ("motions_only", "motions_without", "labels_only", "scenes", "shapes", *CONVENTION)
"""Options added later: omitted from the identity unless given, so that older data sets keep their
fingerprints and libraries."""

CONTENT, BY_SIZE = "content", "folder"
"""First word of an input folder's entry: identified by its content or, in older releases, only by
file names and sizes."""

EMBEDDED = ("embedded bodies", "embedded motions", "embedded scenes")
"""Entries of an identity that name the embedded assets used; they may change between releases."""

FORMER = {"video_rate": "--video-rate stored", "shapes": "--shapes normal"}
"""Values implied by a missing entry, for options where it does not mean "not given"."""

FLOW = "embedded flow"
"""Entry that identifies the weights of an embedded flow network."""

NO_OPTIONS = ("record", "evaluation", FLOW, *EMBEDDED)
"""Entries of an identity that are not options."""


@cache
def assets(kind: str) -> str:
    """Return the first 8 digits of the SHA-256 of all files in datagen/assets/`kind`."""
    folder = Path(__file__).parents[1] / "assets" / kind
    found = files_below(folder)
    return digest([(str(path.relative_to(folder)), sha256(path)) for path in found])[:8]


def digest(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `value` as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def library_folders(identity: dict[str, Any]) -> tuple[str, str]:
    """Return the names of the folders of people and of scenes.

    The names depend on everything that decides the files' bytes, so data sets that differ only in
    later stages share a library and no option can mix two. The list of inputs does not enter: each
    library file is made from a single input, independent of the others.
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
    """Return a line "--option old → --option new" for each option that differs."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b)
        elif key == FLOW and None in (a, b) and old.get("flow") != new.get("flow"):
            lines.append(f"{FLOW} {a or 'none'} → {FLOW} {b or 'none'}")
        elif a != b and not (key in (FLOW, *EMBEDDED) and lines):  # an option already shows it
            lines.append(f"{_typed(key, a)} → {_typed(key, b)}")
    return lines


def by_size(identity: Any) -> bool:
    """Return whether an identity is from a release that knew folders only by names and sizes."""
    if isinstance(identity, dict):
        return any(map(by_size, identity.values()))
    if isinstance(identity, list):
        return any(map(by_size, identity))
    return isinstance(identity, str) and identity.startswith(f"{BY_SIZE} ")


def _typed(name: str, value: Any) -> str:
    """Return an identity's entry as it is typed on the command line."""
    if name in NO_OPTIONS or name.startswith(CODE):
        return f"{name} {value or '(older release)'}"
    if isinstance(value, bool):
        return option(name if value else f"no_{name}")
    if value is None:
        return FORMER.get(name, f"no {option(name)}")
    return " ".join([option(name), *map(str, value if isinstance(value, list) else [value])])


def content(path: Path, files: Sequence[Path] | None = None) -> str:
    """Return a digest of the content of an input file or folder, independent of its location.

    files: the files that are read, if not all below the folder.
    """
    if files is None or list(files) == [path]:
        if path.is_file():
            return f"file {file_digests([path])[0][:16]}"
        files = files_below(path)
    root = path if path.is_dir() else path.parent
    names = [Path(os.path.relpath(file, root)).as_posix() for file in files]
    return f"{CONTENT} {digest(list(zip(names, file_digests(files), strict=True)))}"
