"""Biovision hierarchies (.bvh): a skeleton of offsets, then one line of channels per frame."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datagen.bodies.motion import anatomy
from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.skeletons import require_roles
from datagen.bodies.motion.take import Take
from datagen.common.errors import BadInput
from datagen.common.sizes import checked_count

_MAX_JOINTS = 1000
MOST = 1 << 26
"""Most numbers in a take's rotations: half an hour of 75 joints at 120 fps."""
_NAME_WORDS = 8  # most words in a joint's name
_LEAD = 12  # frames searched for a rest pose before the take
_AXES = {"X": 0, "Y": 1, "Z": 2}
_FULL_TURN = 6.3  # radians; no performance stays within this many degrees of its zero pose
_STILL = 0.1  # range of all rotations of a person who does not move
_SPREAD = 0.75  # least mean cosine of the arms to a held T or A pose; lower in performances
_GAP = 3  # frames


@dataclass
class _Joint:
    name: str
    parent: int
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    channels: list[str] = field(default_factory=list)


def read_bvh(path: Path) -> Take:
    """Return the take of one file. Raises BadInput for broken files and unknown skeletons."""
    try:
        tokens = _tokens(path.read_bytes())
        joints, start = _parse_hierarchy(tokens)
        values, step = _parse_motion(tokens, start, sum(len(j.channels) for j in joints))
        rest, rotations, positions = _pose(joints, values)
    except (ValueError, IndexError, OverflowError) as why:
        raise BadInput(f"{path}: not readable as BVH ({why}); export it again") from why
    roles = require_roles(path, [joint.name for joint in joints], "joint")
    _refuse_radians(path, joints, values, roles)
    first = _first_frame(rotations[:, sorted(roles.values())])
    return Take(
        rest=rest,
        rotations=rotations[first:],
        positions=positions[first:],
        times=step * np.arange(len(values) - first),
        roles=roles,
        lead=(positions[0], rotations[0]),
    )


def _tokens(content: bytes) -> list[str]:
    """Return the tokens of a file in UTF-8 or UTF-16, with or without a byte order mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", errors="replace")
    elif content[1:2] == b"\0" or content[:1] == b"\0":
        text = content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be", "replace")
    else:
        text = content.decode("utf-8-sig", errors="replace")
    text = text.replace("{", " { ").replace("}", " } ")  # braces may be attached to a name
    return re.sub(r"(?i)\b(frames|frame\s+time)\s*:", r"\1: ", text).split()


def _first_frame(rotations: np.ndarray) -> int:
    """Return the first frame of the take itself.

    CMU's exporters put the rest pose before the take, and some interpolate from it to the first
    real frames. This appears as a jump of more than 20 degrees at once, which no body can do; the
    following frames belong to it while they move at more than four times the take's usual speed.
    """
    if len(rotations) < 2 * _LEAD:
        return 0
    start = rotations[: 6 * _LEAD]
    cosine = np.abs(np.sum(start[1:] * start[:-1], axis=-1)).clip(0.0, 1.0)
    steps = np.degrees(2.0 * np.arccos(cosine).max(axis=1))
    usual = max(1.5, float(np.median(steps[_LEAD:])))
    if steps[0] < max(20.0, 5.0 * usual):
        return 0
    return 1 + int(np.flatnonzero(steps[:_LEAD] > 4.0 * usual).max(initial=0))


def _parse_hierarchy(tokens: list[str]) -> tuple[list[_Joint], int]:
    """Return the joints (parents before children) and the index of the token after MOTION."""
    if not tokens or tokens[0].upper() != "HIERARCHY":
        raise ValueError("it does not begin with HIERARCHY")
    joints: list[_Joint] = []
    open_joints: list[int] = []  # -1 for an end site
    at = 1
    while True:
        word = tokens[at].upper()
        if word == "MOTION":
            break
        if word in ("ROOT", "JOINT"):
            if len(joints) >= _MAX_JOINTS:
                raise ValueError(f"it has more than {_MAX_JOINTS} joints")
            if (word == "ROOT") != (not joints):
                raise ValueError("it needs exactly one ROOT, before every JOINT")
            parent = open_joints[-1] if open_joints else -1
            if joints and parent < 0:
                raise ValueError(f"joint {tokens[at + 1]} has no parent")
            brace = tokens.index("{", at + 1, at + 2 + _NAME_WORDS)
            joints.append(_Joint(" ".join(tokens[at + 1 : brace]), parent))
            open_joints.append(len(joints) - 1)
            at = brace
        elif word == "END":
            open_joints.append(-1)
            at += 2
        elif word == "OFFSET":
            x, y, z = (float(token) for token in tokens[at + 1 : at + 4])
            if not max(abs(x), abs(y), abs(z)) < 1e6:
                raise ValueError("it has NaN, infinite or absurd offsets")
            if open_joints[-1] >= 0:
                joints[open_joints[-1]].offset = (x, y, z)
            at += 4
        elif word == "CHANNELS":
            count = int(tokens[at + 1])
            if not 0 <= count <= 6:
                raise ValueError(f"a joint cannot have {count} channels")
            joints[open_joints[-1]].channels = tokens[at + 2 : at + 2 + count]
            at += 2 + count
        elif word == "{":
            at += 1
        elif word == "}":
            open_joints.pop()
            at += 1
        else:
            raise ValueError(f"unexpected word {tokens[at][:40]!r}")
    if not joints:
        raise ValueError("it has no joints")
    return joints, at + 1


def _parse_motion(tokens: list[str], at: int, channels: int) -> tuple[np.ndarray, float]:
    """Return channel values [N, channels] and the frame time, seconds."""
    words = " ".join(tokens[at : at + 5]).upper().split()
    if words[0] != "FRAMES:" or words[2:4] != ["FRAME", "TIME:"]:
        raise ValueError("MOTION must be followed by 'Frames: N' and 'Frame Time: s'")
    count, step = int(tokens[at + 1]), float(tokens[at + 4])
    if count < 2:
        raise ValueError(f"it has {count} frames, at least 2 are needed")
    if not 1e-4 <= step <= 1.0:
        raise ValueError(f"its frame time is {step} s")
    if not channels:
        raise ValueError("none of its joints has a channel")
    numbers = tokens[at + 5 :]
    if len(numbers) != count * channels:
        raise ValueError(
            f"{count} frames of {channels} channels need {count * channels} numbers, "
            f"it has {len(numbers)}"
        )
    values = np.array(numbers, dtype=np.float64).reshape(count, channels)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > 1e6:
        raise ValueError("it has NaN, infinite or absurd numbers")
    return values, step


def _refuse_radians(
    path: Path, joints: list[_Joint], values: np.ndarray, roles: dict[int, int]
) -> None:
    """Raise BadInput if the rotations [N, channels] seem to be in radians.

    They are small, and converted from radians they show plausible motion: neither a person who
    keeps the arms of the zero pose, nor one whose root stays while the feet move.
    """
    channels = [name[1:].lower() for joint in joints for name in joint.channels]
    turns = np.array([kind == "rotation" for kind in channels])
    moves = np.ptp(values[:, turns], axis=0).max(initial=0.0) > _STILL
    if not moves or np.abs(values[:, turns]).max() > _FULL_TURN:
        return
    rest, _, points = _pose(joints, np.where(turns, np.degrees(values), values))
    if anatomy.is_spread(rest, roles) and all(
        _along(points, roles, *arm) @ _along(rest[None], roles, *arm) > _SPREAD
        for arm in ((16, 18), (17, 19))
    ):
        return
    root = points[:, roles[0]]
    up = _along(rest[None], roles, 7, 9)
    feet = points[:, [roles[7], roles[8]]] - root[:, None]
    low = np.maximum(feet[_GAP:] @ up, feet[:-_GAP] @ up).argmin(axis=1)
    by_feet = (feet[:-_GAP] - feet[_GAP:])[np.arange(len(low)), low]
    by_root = root[_GAP:] - root[:-_GAP]
    if 0.0 < np.sum(by_root**2) < 0.25 * np.sum(by_feet**2):  # at least 0.54 in performances
        return
    raise BadInput(
        f"{path}: its rotations seem to be in radians, BVH has degrees; export it again, in degrees"
    )


def _along(points: np.ndarray, roles: dict[int, int], first: int, last: int) -> np.ndarray:
    """Return the mean direction [3] from one joint of points [N, K, 3] to another."""
    return anatomy.unit(points[:, roles[last]] - points[:, roles[first]]).mean(axis=0)


def _pose(joints: list[_Joint], values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rest joints [K, 3], world orientations [N, K, 4] and joint positions [N, K, 3]."""
    count = len(values)
    checked_count("its motion", (count, len(joints), 4), MOST)
    rest = np.zeros((len(joints), 3))
    rotations = np.empty((count, len(joints), 4))
    positions = np.empty((count, len(joints), 3))
    column = 0
    for index, joint in enumerate(joints):
        width = len(joint.channels)
        local, place = _local(joint, values[:, column : column + width])
        column += width
        if joint.parent < 0:
            rotations[:, index], positions[:, index] = local, place
            continue
        above = joint.parent
        # a skeleton with only position channels has no offsets
        offset = np.array(joint.offset) if any(joint.offset) else np.median(place, axis=0)
        rest[index] = rest[above] + offset
        rotations[:, index] = quat.multiply(rotations[:, above], local)
        positions[:, index] = positions[:, above] + quat.rotate(rotations[:, above], place)
    return rest, rotations, positions


def _local(joint: _Joint, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a joint's rotation [N, 4] and position [N, 3] relative to its parent from its
    channels.

    Position channels replace the offset. Below the root, some exporters write values that are added
    to the offset, which are recognised by being closer to zero than to the offset.
    """
    count, offset = len(values), np.array(joint.offset)
    turn = np.broadcast_to(quat.IDENTITY, (count, 4))
    place, moved = np.tile(offset, (count, 1)), []
    for name, column in zip(joint.channels, values.T, strict=True):
        axis, kind = _AXES.get(name[:1].upper()), name[1:].lower()
        if axis is None or kind not in ("rotation", "position"):
            raise ValueError(f"joint {joint.name} has an unknown channel {name[:40]!r}")
        if kind == "rotation":
            turn = quat.multiply(turn, quat.about(axis, np.radians(column)))
        else:
            place[:, axis] = column
            moved.append(axis)
    if joint.parent >= 0 and moved:
        given, own = place[:, moved], offset[moved]
        if np.abs(given).sum() < np.abs(given - own).sum():
            place[:, moved] = given + own
    return turn, place
