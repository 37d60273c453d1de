"""Names of results in a folder: each is one video's by one network, and keeps what it holds.

`.overlay.json` in the folder records whose each name is. The same results get the same name again;
others, which would have it too, get it with the beginning of a digest behind it.
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
    """The names of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            known = json.loads((folder / INDEX).read_text())
        except (OSError, ValueError):
            known = {}
        self.known: dict[str, Any] = known if isinstance(known, dict) else {}

    def take(self, wanted: str, identity: dict[str, Any]) -> str:
        """Return the name of what has an identity, and note it: `wanted` if it is free."""
        name = wanted
        if self.known.get(name) != identity and self._taken(name):
            name = f"{wanted}-{digest(identity)[:8]}"
        if self.known.get(name) != identity:
            self.known[name] = identity
            write_json(self.folder / INDEX, self.known)
        return name

    def _taken(self, name: str) -> bool:
        """Return whether a name is another's, or that of files of which nothing is known."""
        return name in self.known or any(
            (self.folder / f"{name}.{kind}").exists() for kind in KINDS
        )
