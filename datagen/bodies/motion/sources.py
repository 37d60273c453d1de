"""Finds motions in folders or the embedded set, and loads them as SMPL poses at 30 fps.

Every source (AMASS and SURREAL .npz, .bvh, .asf/.amc, DeepMimic .txt, the embedded set) gives the
same `Motion`: y up, metres; the identity orientation is SMPL's rest body, which faces +z and has
its left side at +x.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from datagen.bodies.motion import anatomy, embedded, subjects
from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.amass import (
    AMASS,
    SURREAL_RATE,
    at_origin,
    members,
    read_amass,
    read_betas,
    read_surreal,
)
from datagen.bodies.motion.asf import RATE as AMC_RATE
from datagen.bodies.motion.asf import read_amc, skeleton_of
from datagen.bodies.motion.bvh import read_bvh
from datagen.bodies.motion.convention import Convention, check_path
from datagen.bodies.motion.convention import check as check_convention
from datagen.bodies.motion.deepmimic import read_deepmimic
from datagen.bodies.motion.doubts import doubts
from datagen.bodies.motion.retarget import ground, resample, retarget
from datagen.bodies.motion.take import Take
from datagen.bodies.options import MotionPlace
from datagen.common.errors import BadInput, near
from datagen.common.files import files_below, is_own, shortened
from datagen.common.skipped import note

MONSTERS = re.compile(r"^(ung_)?(18|19)_|^(ung_)?143_21$")
"""SURREAL's sequences with broken body fits (see its README), which are never used."""

READ = (".npz", ".bvh", ".amc", ".asf", ".txt")
"""Suffixes of supported motion files."""
UNREAD = frozenset(".abc .c3d .dae .fbx .glb .gltf .htr .mot .npy .pkl .pt .trc .usd .vmd".split())
"""Suffixes of unsupported motion formats."""

LONGEST = 3600.0
"""Longest motion in seconds."""


@dataclass(frozen=True)
class MotionSource:
    """One motion that can be loaded.

    name: unique, of [A-Za-z0-9_-]; subject: the performer (splits share none); path: the file, or
    None for an embedded motion; part: the sequence within a file, or the embedded motion's original
    name if another motion has it too; convention: the file's convention from the options.
    """

    name: str
    subject: str
    path: str | None
    part: str | None = None
    convention: Convention = AMASS

    @property
    def files(self) -> list[Path]:
        """All files that the motion depends on: the take, and for an .amc its skeleton."""
        if self.path is None:
            return []
        path = Path(self.path)
        if path.suffix.lower() != ".amc":
            return [path]
        with suppress(BadInput, OSError):  # reported when the motion is loaded
            return [path, skeleton_of(path)]
        return [path]


@dataclass(frozen=True)
class Motion:
    """A performance on SMPL's joints at 30 frames per second.

    pose: [N, 72] axis-angle, radians, global orient first; trans: [N, 3] SMPL's transl, metres. y
    up; the identity orientation is SMPL's rest body facing +z with its left at +x.
    """

    name: str
    subject: str
    pose: np.ndarray
    trans: np.ndarray
    note: str = ""
    """Note for the user on the motion."""


def find_motions(*places: MotionPlace | None, convention: Convention = AMASS) -> list[MotionSource]:
    """Return the motions below folders (None or "embedded": the embedded ones), sorted by name.

    Files of other kinds are skipped, see `skipped_notes`; damaged files are found here and rejected
    by `load_motion`. A file that is in two of the folders counts as one motion. Raises BadInput for
    a folder that is missing or holds no motion.
    """
    found: list[_Found] = []
    known: set[str] = set()
    for place in dict.fromkeys(places or (None,)):
        if place is None or place == "embedded":
            found += [(name, subject, None, None) for name, subject in embedded.catalogue()]
            continue
        below = [(os.path.realpath(str(one[2])), one) for one in _below(Path(place))]
        found += [one for real, one in below if real not in known]
        known |= {real for real, _ in below}
    return [replace(source, convention=convention) for source in _unique(found)]


_Found = tuple[str, str, Path | None, str | None]
"""Preferred name, subject, file (None: embedded), sequence within a file."""


def _below(folder: Path) -> list[_Found]:
    if not folder.is_dir():
        lacks = "is not a folder" if folder.exists() else "no such folder"
        raise BadInput(
            f"--motions {folder}: {lacks}{near(folder)}; give a folder of motion capture, unpacked"
        )
    found: list[_Found] = []
    pairs = subjects.listed(folder)
    paths = [path for path in files_below(folder) if _is_motion(path)]
    for path in paths:
        own = subjects.named(pairs, path, folder)
        found += [
            (name, own or subject, file, part)
            for name, subject, file, part in _sources(path, folder)
        ]
    subjects.check(pairs, paths, folder)
    if not found:
        raise BadInput(
            note("--motions", folder, READ, UNREAD)
            or f"--motions {folder}: holds no motion; put AMASS .npz, .bvh, .asf with .amc or "
            "DeepMimic .txt files there"
        )
    return found


def skipped_notes(*places: MotionPlace) -> list[str]:
    """Return a sentence for each folder with files that look like motions but are not read."""
    folders = [Path(place) for place in dict.fromkeys(places) if place != "embedded"]
    return [*filter(None, (note("--motions", folder, READ, UNREAD) for folder in folders))]


def matching(
    sources: Sequence[Any], only: str | None = None, without: str | None = None
) -> list[Any]:
    """Return the sources whose names match the regular expression `only` and not `without`.

    Raises BadInput if none is left.
    """
    kept = [
        source
        for source in sources
        if (only is None or re.search(only, source.name))
        and (without is None or not re.search(without, source.name))
    ]
    if not kept:
        asked = (("--motions-only", only), ("--motions-without", without))
        options = " with ".join(f"{name} {value}" for name, value in asked if value is not None)
        some = ", ".join(source.name for source in sources[:3])
        raise BadInput(
            f"{options} matches none of {len(sources)} motions, which have names such as {some}; "
            "give another expression"
        )
    return kept


def load_motion(source: MotionSource, rest_joints: Float[np.ndarray, "24 3"]) -> Motion:
    """Return the motion for a body with rest joints `rest_joints` [24, 3], metres.

    Raises BadInput for a file that is damaged, has an unknown skeleton or less than 2 frames.
    """
    rest = np.asarray(rest_joints, dtype=np.float64)
    if source.path is None:
        rotations, pelvis = embedded.read(source.part or source.name, rest)
    else:
        rotations, pelvis = _load_file(source, Path(source.path), rest)
    pose = quat.to_axis_angle(rotations).reshape(len(rotations), 72).astype(np.float32)
    trans = (pelvis - rest[0]).astype(np.float32)
    if len(pose) < 2:
        raise BadInput(f"{source.path}: has less than 2 frames at 30 fps; remove it")
    if not (np.isfinite(pose).all() and np.isfinite(trans).all()):
        raise BadInput(f"{source.path}: gives NaN or infinite poses; remove it or export it again")
    note = ""
    if source.path is not None:
        note = doubts(
            Path(source.path), rotations, pelvis, rest, source.convention, _assumed_rate(source)
        )
    return Motion(source.name, source.subject, pose, trans, note)


def _assumed_rate(source: MotionSource) -> float | None:
    """Return the assumed frame rate, None for a file that stores its own."""
    if source.part:
        return SURREAL_RATE
    return AMC_RATE if str(source.path).lower().endswith(".amc") else None


def load_betas(source: MotionSource) -> Float32[np.ndarray, " 10"]:
    """Return the performer's betas, float32 [10]: those of an AMASS take, otherwise zeros.

    Raises BadInput for a file whose `betas` cannot be used.
    """
    if source.path is None or source.part or not source.path.lower().endswith(".npz"):
        return np.zeros(10, np.float32)
    return read_betas(Path(source.path))


def _load_file(source: MotionSource, path: Path, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return local rotations [N, 24, 4] and the pelvis [N, 3] at 30 frames per second."""
    try:
        if path.suffix.lower() == ".npz":
            if source.part:
                rotations, pelvis, rate = read_surreal(path, source.part, source.convention)
            else:
                rotations, pelvis, rate = read_amass(path, source.convention)
                check_convention(path, rotations, pelvis, rate, rest, source.convention)
            times = np.arange(len(pelvis)) / rate
            _check_length(times, path)
            rotations, pelvis = resample(rotations, pelvis, times)
            lacks_path = np.allclose(pelvis, at_origin(source.convention))
            return rotations, ground(rotations, pelvis, rest) if lacks_path else pelvis
        if path.suffix.lower() == ".amc":
            take = read_amc(path, source.convention.rate)
        else:
            take = _READERS[path.suffix.lower()](path)
    except OSError as why:
        raise BadInput(f"{path}: cannot be read ({why.strerror}); repair or remove it") from why
    _check_length(take.times, path)
    _check_limbs(take, path)
    why = anatomy.fault(take.positions, take.roles)
    if why:
        raise BadInput(f"{path}: shows no human posture, {why}; check its joints' names and axes")
    rotations, pelvis = resample(*retarget(take, rest), take.times)
    pelvis = ground(rotations, pelvis, rest)
    check_path(path, rotations, pelvis, rest)
    return rotations, pelvis


_READERS = {".bvh": read_bvh, ".amc": read_amc, ".txt": read_deepmimic}


def _check_length(times: np.ndarray, path: Path) -> None:
    """Reject motions longer than any take, from a wrong frame rate or a malicious file."""
    if times[-1] - times[0] > LONGEST:
        raise BadInput(f"{path}: lasts {times[-1] / 3600:.1f} h; correct its frame rate or cut it")


def _check_limbs(take: Take, path: Path) -> None:
    """Reject skeletons with limbs of zero length."""
    for joint, tip in ((1, 4), (2, 5), (4, 7), (5, 8), (16, 18), (17, 19), (18, 20), (19, 21)):
        bone = np.linalg.norm(take.rest[take.roles[tip]] - take.rest[take.roles[joint]])
        if not 1e-6 < bone < 1e6:
            raise BadInput(f"{path}: its skeleton has a limb of length {bone:g}; export it again")


def _is_motion(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".npz":  # AMASS has shape fits beside its takes
        fit = path.stem == "shape" or path.stem.endswith(("_stagei", "_shape"))
        return not fit and not is_own(path)
    if suffix == ".txt":  # a motion is JSON, unlike notes and licences
        try:
            with path.open("rb") as file:
                return file.read(64).lstrip().startswith(b"{")
        except OSError:
            return False
    return suffix in _READERS


def _sources(path: Path, folder: Path) -> list[_Found]:
    relative = path.relative_to(folder).with_suffix("")
    name = "-".join(relative.parts)
    if path.suffix.lower() == ".npz":
        held = set(members(path))
        parts = [m.removeprefix("pose_") for m in held if m.startswith("pose_")]
        # SURREAL's smpl_data.npz has a trans_ per sequence; AMASS's pose_* belong to one take
        parts = [part for part in parts if f"trans_{part}" in held]
        if parts:
            kept = (part for part in sorted(parts) if not MONSTERS.match(part))
            return [(part, subjects.performer(Path(part)), path, part) for part in kept]
    # the given folder may be that of one person
    folders = (folder.name, *relative.parts[:-1])
    return [(name, subjects.performer(path, folders), path, None)]


def _unique(found: list[_Found]) -> list[MotionSource]:
    """Return sources with unique names: duplicates get their suffix, then a number."""
    namesakes = Counter(plain_name(name) for name, *_ in found)
    used: Counter[str] = Counter()
    sources = []
    for wish, subject, path, part in found:
        name = plain_name(wish)
        if namesakes[name] > 1:
            name = f"{name}-{path.suffix.lower()[1:] if path else 'embedded'}"
        used[name] += 1
        if used[name] > 1:
            name = f"{name}-{used[name]}"
        if path is None:
            own = wish if name != wish else None
            sources.append(MotionSource(name, plain_name(subject), None, own))
        else:
            sources.append(MotionSource(name, plain_name(subject), str(path), part))
    return sorted(sources, key=lambda source: source.name)


def plain_name(name: str) -> str:
    """Return a name of [A-Za-z0-9_-] with bounded length; other letters are represented by a hash
    of the name."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name) or "_"
    if name.isascii():
        return shortened(plain)
    whole = unicodedata.normalize("NFC", name)  # macOS stores accents separately from letters
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", whole)
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return shortened(f"{plain}-{digest}")
