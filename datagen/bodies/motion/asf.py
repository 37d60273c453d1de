"""Acclaim motion: a skeleton (.asf) shared by a subject's takes (.amc).

A bone rotates about its own axes, whose rest directions are in its `axis` line:
local = C · M · C⁻¹, with the axes C and the frame's rotation M; both apply their angles in the
order of their letters, x first. A bone starts where its parent ends and rotates about its start, so
`lfemur` is the hip joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.skeletons import require_roles
from datagen.bodies.motion.take import Take
from datagen.common.errors import BadInput
from datagen.common.sizes import checked_count

RATE = 120.0
"""Frames per second; the format does not store it, and CMU recorded nearly all takes at 120."""

_MAX_BONES = 1000
MOST = 1 << 26
"""Most numbers in a take's rotations."""
_AXES = {"X": 0, "Y": 1, "Z": 2}


@dataclass
class _Bone:
    """One bone; dof are its rotation and translation channels ('rx', 'tz', ...), axes [4] at
    rest."""

    name: str
    parent: int = -1
    vector: np.ndarray | None = None
    axes: np.ndarray | None = None
    dof: tuple[str, ...] = ()


def skeleton_of(path: Path) -> Path:
    """Return the .asf of an .amc: named after the subject (01.asf for 01_01.amc) or the only
    one."""
    skeletons = sorted(
        p
        for p in path.parent.iterdir()
        if p.suffix.lower() == ".asf" and not p.name.startswith(".")
    )
    subject = path.stem.split("_")[0]
    for found in skeletons:
        if found.stem in (subject, path.stem):
            return found
    if len(skeletons) == 1:
        return skeletons[0]
    raise BadInput(f"{path}: its skeleton {subject}.asf is not beside it; put it there")


def read_amc(path: Path, rate: float | None = None) -> Take:
    """Return the take of one .amc, recorded at `rate` frames per second (None: CMU's 120).

    Raises BadInput for broken files and unknown skeletons.
    """
    skeleton = skeleton_of(path)
    try:
        bones, degrees = _parse_skeleton(_lines(skeleton))
        rest = _rest(bones)
    except (ValueError, IndexError, KeyError, OverflowError) as why:
        raise BadInput(f"{skeleton}: not readable as ASF ({why}); copy it again") from why
    roles = require_roles(skeleton, [bone.name for bone in bones], "bone", "CMU's")
    try:
        values = _parse_frames(_lines(path), bones)
        rotations, positions = _pose(bones, values, degrees)
    except (ValueError, IndexError, OverflowError) as why:
        raise BadInput(f"{path}: not readable as AMC ({why}); copy it again") from why
    times = np.arange(len(rotations)) / (rate or RATE)
    return Take(rest=rest, rotations=rotations, positions=positions, times=times, roles=roles)


def _lines(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    rows = (line.split("#")[0].split() for line in text.splitlines())
    return [row for row in rows if row]


def _parse_skeleton(lines: list[list[str]]) -> tuple[list[_Bone], bool]:
    """Return the bones (root first, parents before children) and whether angles are in degrees."""
    root = _Bone("root", vector=np.zeros(3), axes=quat.IDENTITY)
    bones = {"root": root}
    angles: dict[str, tuple[list[float], str]] = {}
    children: list[list[str]] = []
    section, degrees, bone = "", True, root
    for words in lines:
        key = words[0].lower()
        if key.startswith(":"):
            section = key
        elif section == ":units" and key == "angle":
            degrees = words[1].lower().startswith("deg")
        elif section == ":root" and key == "order":
            root.dof = tuple(word.lower() for word in words[1:7])
        elif section == ":root" and key == "orientation":
            angles["root"] = (_numbers(words[1:4]), "XYZ")
        elif section == ":bonedata":
            if key == "begin":
                bone = _Bone("")
            elif key == "name":
                bone.name = words[1]
                bones[bone.name] = bone
            elif key == "direction":
                bone.vector = np.array(_numbers(words[1:4]))
            elif key == "length":
                if bone.vector is None:
                    raise ValueError(f"bone {bone.name} has a length before its direction")
                bone.vector = bone.vector * _numbers(words[1:2])[0]
            elif key == "axis":
                angles[bone.name] = (_numbers(words[1:4]), words[4] if len(words) > 4 else "XYZ")
            elif key == "dof":
                bone.dof = tuple(word.lower() for word in words[1:])
        elif section == ":hierarchy" and key not in ("begin", "end"):
            children.append(words)
        if len(bones) > _MAX_BONES:
            raise ValueError(f"it has more than {_MAX_BONES} bones")
    for name, (values, order) in angles.items():
        unit = np.radians(values) if degrees else np.array(values)
        bones[name].axes = _euler(unit, order)
    return _ordered(bones, children), degrees


def _ordered(bones: dict[str, _Bone], children: list[list[str]]) -> list[_Bone]:
    """Return the root and all bones below it, parents first."""
    ordered = [bones["root"]]
    places = {"root": 0}
    for parent, *names in children:
        if parent not in places:
            raise ValueError(f"bone {parent[:40]} of the hierarchy has no parent")
        for name in names:
            bone = bones.get(name)
            if bone is None or bone.vector is None or bone.axes is None or name in places:
                raise ValueError(f"bone {name[:40]} is undefined, incomplete or used twice")
            bone.parent = places[parent]
            places[name] = len(ordered)
            ordered.append(bone)
    for bone in ordered:
        if any(word not in _CHANNELS for word in bone.dof):
            raise ValueError(f"bone {bone.name[:40]} has an unknown degree of freedom")
    if not ordered[0].dof:
        raise ValueError("its root has no order")
    return ordered


_CHANNELS = ("rx", "ry", "rz", "tx", "ty", "tz", "l")


def _rest(bones: list[_Bone]) -> np.ndarray:
    """Return the rest positions of the bones' starts [K, 3]."""
    rest = np.zeros((len(bones), 3))
    for index, bone in enumerate(bones[1:], start=1):
        above = bones[bone.parent]
        assert above.vector is not None
        rest[index] = rest[bone.parent] + above.vector
    if np.abs(rest).max() > 1e6:
        raise ValueError("its bones are absurdly long")
    return rest


def _parse_frames(lines: list[list[str]], bones: list[_Bone]) -> list[np.ndarray]:
    """Return each bone's channel values [N, degrees of freedom]."""
    index = {bone.name: place for place, bone in enumerate(bones)}
    rows: list[dict[int, list[float]]] = []
    for words in lines:
        if words[0].startswith(":"):
            continue
        if len(words) == 1 and words[0].isdigit():
            rows.append({})
            continue
        place = index.get(words[0])
        if not rows or place is None:
            raise ValueError(f"unexpected line {' '.join(words)[:40]!r}")
        rows[-1][place] = _numbers(words[1:])
    if len(rows) < 2:
        raise ValueError(f"it has {len(rows)} frames, at least 2 are needed")
    values = []
    for place, bone in enumerate(bones):
        for number, row in enumerate(rows):
            if len(row.get(place, ())) != len(bone.dof):
                raise ValueError(
                    f"frame {number + 1} gives bone {bone.name} "
                    f"{len(row.get(place, ()))} numbers, {len(bone.dof)} are needed"
                )
        columns = np.array([row.get(place, []) for row in rows], dtype=np.float64)
        values.append(columns.reshape(len(rows), len(bone.dof)))
    return values


def _pose(
    bones: list[_Bone], values: list[np.ndarray], degrees: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return world orientations [N, K, 4] and bone starts [N, K, 3]."""
    count = len(values[0])
    checked_count("its motion", (count, len(bones), 4), MOST)
    rotations = np.empty((count, len(bones), 4))
    positions = np.empty((count, len(bones), 3))
    for index, bone in enumerate(bones):
        assert bone.axes is not None
        turn = np.broadcast_to(quat.IDENTITY, (count, 4))
        place = np.zeros((count, 3))
        for column, word in enumerate(bone.dof):
            channel = values[index][:, column]
            if word[0] == "r":
                angle = np.radians(channel) if degrees else channel
                turn = quat.multiply(quat.about(_AXES[word[1].upper()], angle), turn)
            elif word[0] == "t":
                place[:, _AXES[word[1].upper()]] = channel
        turn = quat.multiply(quat.multiply(bone.axes, turn), quat.inverse(bone.axes))
        if index == 0:
            rotations[:, 0], positions[:, 0] = turn, place
            continue
        above = bones[bone.parent].vector
        assert above is not None
        rotations[:, index] = quat.multiply(rotations[:, bone.parent], turn)
        along = quat.rotate(rotations[:, bone.parent], above)
        positions[:, index] = positions[:, bone.parent] + along
    return rotations, positions


def _euler(angles: np.ndarray, order: str) -> np.ndarray:
    """Return the rotation by angles[0] about the order's first axis, then the second, then the
    third."""
    turn = quat.IDENTITY
    for angle, letter in zip(angles, order.upper(), strict=True):
        if letter not in _AXES:
            raise ValueError(f"unknown axis order {order[:10]!r}")
        turn = quat.multiply(quat.about(_AXES[letter], angle), turn)
    return turn


def _numbers(words: list[str]) -> list[float]:
    numbers = [float(word) for word in words]
    if not all(abs(number) < 1e6 for number in numbers):  # false for NaN too
        raise ValueError("it has NaN, infinite or absurd numbers")
    return numbers
