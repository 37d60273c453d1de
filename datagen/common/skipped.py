"""Lists files in an input folder that look like inputs but are not read: archives, other formats,
dangling links. They are reported so that users do not assume that they were used."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from datagen.common.files import folders_below

PACKED = frozenset(".7z .bz2 .gz .rar .tar .tgz .xz .zip .zst".split())
_UNFINISHED = frozenset(".crdownload .part".split())
_MAGIC = (b"HIERARCHY", b"\x1aE\xdf\xa3", b"PK\x03\x04", b"\x1f\x8b", b"Kaydara FBX", b"OggS")
"""First bytes of BVH, Matroska, zip (also .npz), gzip, FBX and Ogg files, whatever their names."""
_FEW = 3


def skipped(folder: Path, read: Collection[str], like: Collection[str]) -> list[str]:
    """Return the sorted paths below `folder` of files that look like inputs but are not read.

    read: suffixes that are read, so only their dangling links are returned; like: suffixes of
    similar formats that cannot be read.
    """
    found = []
    for parent, names in folders_below(folder):
        paths = [] if "dataset.json" in names else [Path(parent, name) for name in names]
        found += [p.relative_to(folder).as_posix() for p in paths if _looks(p, read, like)]
    return sorted(found)


def note(option: str, folder: Path, read: Collection[str], like: Collection[str]) -> str:
    """Return a sentence that names the files `skipped` finds, "" if there are none."""
    found = skipped(folder, read, like)
    if not found:
        return ""
    what = "1 file that is" if len(found) == 1 else f"{len(found):,} files that are"
    some = ", ".join(found[:_FEW]) + (", …" if len(found) > _FEW else "")
    return (
        f"{option} {folder} has {what} not read ({some}): "
        f"unpack, convert or rename them to one of {' '.join(sorted(read))}"
    )


def _looks(path: Path, read: Collection[str], like: Collection[str]) -> bool:
    suffix = path.suffix.lower()
    if suffix in read:
        return path.is_symlink() and not path.exists()
    if suffix in PACKED or suffix in _UNFINISHED or suffix in like:
        return True
    return not suffix and _is_input(path)


def _is_input(path: Path) -> bool:
    """Return whether a file without suffix begins like motion capture or a video."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return False
    return start.startswith(_MAGIC) or start[4:8] == b"ftyp"
