"""Assigns names to results in a folder: each name belongs to one video and one network.

`.overlay.json` in the folder records the owner of each name. The same results get the same name
again; other results with the same wanted name get the start of a digest appended.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from datagen.common.files import write_json
from datagen.output.fingerprint import digest
from datagen.replay.options import ExportName

INDEX = ".overlay.json"
KINDS = ("mp4", "png", "glb", "npz", *get_args(ExportName))


class Names:
    """The names in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            known = json.loads((folder / INDEX).read_text())
        except (OSError, ValueError):
            known = {}
        self.known: dict[str, Any] = known if isinstance(known, dict) else {}

    def take(self, wanted: str, identity: dict[str, Any]) -> str:
        """Return and record the name for an identity: `wanted` if it is free."""
        name = wanted
        if self.known.get(name) != identity and self._taken(name):
            name = f"{wanted}-{digest(identity)[:8]}"
            print(f"note: {wanted} {self._owner(wanted, identity)}, so these results are {name}")
        if self.known.get(name) != identity:
            self.known[name] = identity
            write_json(self.folder / INDEX, self.known)
        return name

    def _owner(self, name: str, identity: dict[str, Any]) -> str:
        """Return what a taken name belongs to, if not to this identity."""
        known = self.known.get(name)
        if not isinstance(known, dict):
            return "is the name of files of unknown origin"
        parts = {"video": "another input", "network": "another network"}
        for part, words in parts.items():
            if known.get(part) != identity.get(part):
                return f"is of {words}"
        return "is of the same input with other options" if "video" in known else "is of another"

    def _taken(self, name: str) -> bool:
        """Return whether a name belongs to other results, or to files of unknown origin."""
        return name in self.known or any(
            (self.folder / f"{name}.{kind}").exists() for kind in KINDS
        )
