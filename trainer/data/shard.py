"""Shards (the tars of clips that make up a data set), and how they are found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.common.cli import quoted
from trainer.data.metadata import CHECKED_SINCE, revision
from trainer.data.places import Place, Selection
from trainer.data.store import ShardFile, Store
from trainer.data.transfer import names_in
from trainer.errors import BadInput, near

NUMBERED = re.compile(r"shard-(\d{6,})\.tar")


@dataclass(frozen=True)
class Shard:
    """A tar of clips, with its data set's metadata on it."""

    place: Place
    fingerprint: str = ""
    """Of its data set."""
    size: int | None = None
    """Bytes; None if not recorded."""
    clips: int | None = None
    """Number of clips; None if not recorded."""
    checked: bool = False
    """Whether every member has a checksum."""
    store: Store = field(default_factory=Store, repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.place)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.place.name

    @property
    def number(self) -> str:
        """The digits in its name, with which its clips' keys begin; empty for other names."""
        found = NUMBERED.fullmatch(self.name)
        return found[1] if found else ""

    def open(self, ahead: Sequence[Place] = ()) -> ShardFile:
        """Return the open shard; errors as `Store.open`."""
        return self.store.open(self.place, self.fingerprint, ahead)

    def read(self, offset: int, size: int) -> bytes:
        """Return some bytes of the shard while it is not open."""
        return self.store.read(self.place, self.fingerprint, offset, size)

    def forget(self) -> None:
        """Remove the cached copy, which is damaged."""
        self.store.forget(self.place, self.fingerprint)


def list_shards(
    chosen: Selection, metadata: dict[str, Any], option: str, store: Store
) -> tuple[Shard, ...]:
    """Return the shards of a data set; BadInput if some are missing."""
    sizes = _sizes(chosen, store)
    total, clips = int(metadata.get("shards", 0)), int(metadata["clips"])
    each = int(metadata["clips_per_shard"])
    places = chosen.shards or _found(chosen, metadata, sizes)
    if not places:
        raise BadInput(
            f"{chosen.folder} ({option}) holds no shard-*.tar; finish the run that makes them."
        )
    if chosen.shards:
        lost = [p for p in places if isinstance(p, Path) and not p.is_file()]
        if lost:
            raise BadInput(f"{lost[0]} ({option}) does not exist{near(lost[0])}.")
    elif total and len(places) != total:
        raise BadInput(
            f"{chosen.folder} ({option}) holds {len(places)} of the {total} shards in its "
            f"dataset.json; make the others with `python -m datagen.verify "
            f"{quoted(str(chosen.folder))} --repair`, or name those to read, such as "
            f"'{chosen.folder}/shard-{{000000..{len(places) - 1:06d}}}.tar'."
        )
    return tuple(
        Shard(
            place=place,
            fingerprint=str(metadata["fingerprint"]),
            size=sizes.get(place.name),
            clips=each if total * each == clips and not metadata.get("real") else None,
            checked=revision(metadata) >= CHECKED_SINCE,
            store=store,
        )
        for place in places
    )


def _found(chosen: Selection, metadata: dict[str, Any], sizes: dict[str, int]) -> tuple[Place, ...]:
    """Return the shards in a folder, in order.

    If the folder cannot be listed (https), they are those in croissant.json, or else the number
    that dataset.json gives.
    """
    folder = chosen.folder
    if isinstance(folder, Path):
        return tuple(sorted(folder.glob("shard-*.tar")))
    names = names_in(folder)
    if names is None:
        total = int(metadata.get("shards", 0))
        names = sorted(sizes) or [f"shard-{number:06d}.tar" for number in range(total)]
    return tuple(folder / name for name in names if NUMBERED.fullmatch(name))


def _sizes(chosen: Selection, store: Store) -> dict[str, int]:
    """Return each shard's size in bytes from croissant.json; empty if it is missing or damaged."""
    try:
        content = json.loads(store.small_bytes(chosen.described.with_name("croissant.json")))
        return {
            file["name"]: int(file["contentSize"].split()[0])
            for file in content["distribution"]
            if NUMBERED.fullmatch(file["name"]) and "contentSize" in file
        }
    except (OSError, BadInput, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}
