"""Determines the performer of a take, from each collection's naming or from subjects.csv.

Splits share no subject, so all takes of one person must get the same name. Two people with the same
name do no harm; they only stay in one split.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from datagen.common.errors import BadInput
from datagen.common.files import files_below

LIST = "subjects.csv"
"""Beside the motions or above them: lines `file,subject`; file is a path below the list's folder,
* and ? allowed."""

_COLLECTIONS = (
    re.compile(r"_([Ss]ubject\d+)(?![^\W_])"),  # LaFAN1: walk1_subject1
    re.compile(r"^\d+_([^\W\d_]+)_\d+_\d+_\d+(?![^\W_])"),  # BEAT: 1_wayne_0_9_9
    # AIST++: dancer d04
    re.compile(r"^g[A-Z]{2}_s[A-Z]{2}_c\w+?_(d\d+)_m[A-Z]{2}\d+_ch\d+(?![^\W_])"),
    re.compile(r"^HDM_([a-z]{2})_"),  # HDM05: HDM_bd_01-01_01_120
)
_PERSON = re.compile(r"^((?:Fem|M)ale\d+)")  # ACCAD: Female1Running_c3d, Female1Walking_c3d
_WORD = re.compile(
    r"(?:^|[\W_])(sub|subj|subject|person|participant|actor|actress|performer)"
    r"[ _-]?(\d{1,4})(?!\d)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?:^|_)([SP])(\d{1,3})(?![^\W_])|^([sp])(\d{1,3})(?![^\W_])")
"""Common naming in laboratories: Subject 3 walk, actor_02; S1 Walking, P01_take3."""
_FIRST = re.compile(r"^(?:[^\W\d_]+_)?(\d{1,3})[_-](\d{1,3})(?!\d)")
"""CMU's NN_MM with any ending: 07_01-a, 07_01 (copy), 07_01_walk, 07_12_120_600, cmu_07_01.fbx"""
_LAST = re.compile(r"(?:^|_)(\d{1,3})_(\d{1,3})(?:_[a-z])?(?:_poses|_stageii)?$")
_COPY = re.compile(
    r"((?: - |[ _-])(mirror(ed)?|M|flip(ped)?|[Cc]opy|Kopie)( ?\d+)?| ?\(\d+\)| \(copy\))+$"
)
"""Suffix of a take's mirrored version or copy, which has the same performer."""
_PIECE = re.compile(r"[_-][a-z]$")
_SUFFIXES = (".npz", ".bvh", ".amc", ".txt")


def performer(path: Path, folders: Sequence[str] = ()) -> str:
    """Return the performer of the take `path`, which lies in folders with these names, innermost
    last.

    In order: the collection's own naming, AMASS's folder of a person's takes, a numbered person in
    the file's or a folder's name, CMU's NN of NN_MM, otherwise the take itself without its part
    letter.
    """
    name = path.stem if path.suffix.lower() in _SUFFIXES else path.name
    name = _COPY.sub("", name)
    for collection in _COLLECTIONS:
        if found := collection.search(name):
            return found[1].lower()
    # before the numbers, because some takes end in numbers that are not subjects
    if folders and name.endswith(("_poses", "_stageii")):
        person = _PERSON.match(folders[-1])
        return person[1] if person else folders[-1]
    for part in (name, *reversed(folders)):
        if person := _counted(part):
            return person
    numbered = _FIRST.match(name) or _LAST.search(name)
    return numbered[1] if numbered else _PIECE.sub("", name)


def _counted(name: str) -> str | None:
    """Return the numbered person in a name, None if there is none."""
    if found := _WORD.search(name) or _LETTER.search(name):
        word, number = (part for part in found.groups() if part is not None)
        return f"{word.lower()}{int(number)}"
    return None


def listed(folder: Path) -> list[tuple[str, str, Path]]:
    """Return (file below the folder, subject, list) of each line of each subjects.csv there.

    Lists of inner folders come first. Raises BadInput if a file is malformed.
    """
    lists = [path for path in files_below(folder) if path.name.lower() == LIST]
    inmost_first = sorted(lists, key=lambda path: -len(path.parts))
    lines = [line for path in inmost_first for line in _lines(path, folder)]
    files: dict[str, str] = {}
    spelt: dict[str, str] = {}
    for pattern, subject, path in lines:
        if files.setdefault(pattern, subject) != subject:
            raise BadInput(
                f"{path}: gives {pattern} to {files[pattern]} and to {subject}; omit one of them"
            )
        if spelt.setdefault(subject.lower(), subject) != subject:
            raise BadInput(
                f"{path}: writes {spelt[subject.lower()]} and {subject}, which would be two "
                "people; write one name"
            )
    return lines


def _lines(path: Path, folder: Path) -> list[tuple[str, str, Path]]:
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as why:
        raise BadInput(
            f"{path}: cannot be read ({why}); write lines of file,subject in UTF-8"
        ) from why
    below = path.parent.relative_to(folder).as_posix()
    inner = "" if below == "." else f"{escape(below)}/"
    lines = []
    for number, row in enumerate(rows, start=1):
        words = [word.strip() for word in row]
        if not any(words) or (number == 1 and words[:2] == ["file", "subject"]):
            continue
        if len(words) != 2 or not all(words):
            raise BadInput(
                f"{path}: line {number} is not of the form file,subject; correct it, or rename "
                "a list of something else"
            )
        lines.append((inner + words[0], words[1], path))
    return lines


def named(lines: list[tuple[str, str, Path]], path: Path, folder: Path) -> str | None:
    """Return the take's subject from subjects.csv, None if it has none."""
    relative = path.relative_to(folder).as_posix()
    plain = relative.removesuffix(path.suffix)
    for pattern, subject, _ in lines:
        if fnmatchcase(relative, pattern) or fnmatchcase(plain, pattern):
            return subject
    return None


def check(lines: list[tuple[str, str, Path]], paths: list[Path], folder: Path) -> None:
    """Reject a line of subjects.csv that matches no take, because it may be misspelt."""
    for line in lines:
        if not any(named([line], path, folder) for path in paths):
            raise BadInput(
                f"{line[2]}: {line[0]} is not a motion in this folder; give its path below it"
            )
