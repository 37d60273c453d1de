"""Conventions that a file of SMPL poses does not state: its up axis, unit and frame rate.

AMASS has z up, metres and radians. Other collections use its layout with y up (AIST++, HumanML3D),
with y down as in a camera, in centimetres, feet or degrees, or with `trans` in other axes than the
poses. Such files can be read without an error, but people then lie, fly, spin or slide. This module
detects it from the whole take.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import anatomy
from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.contacts import Ways, compare
from datagen.bodies.motion.euler import refuse_euler
from datagen.bodies.motion.retarget import RATE, forward
from datagen.bodies.options import UNITS
from datagen.common.errors import BadInput

UPS = ("z", "y", "-y", "x", "-x", "-z")
"""Names of --motion-up; -y is a camera's frame (y down)."""

_LONGEST_TURN = 7.0  # radians; exporters write axis-angle vectors up to 2 pi
_FASTEST = 12.0  # m/s, a sprinter's
_LEAP = 0.8  # metres between two frames; sprinters and jumpers do half of it at 30 a second
_FEW = 0.05  # of the frames
_OFF = 1.0  # height of the pelvis in metres, either sign, from which it indicates the unit
_SOLE = 0.05  # metres from the lowest joint to the ground
SHORTEST = 1.0
"""Least duration in seconds to determine speed, unit and frame rate."""
# Least duration in seconds to determine the up axis; of 2,500 pieces of takes 1.1 % are wrong.
_SHOWS_UP = 0.3
# Metres: largest thickness of a lying person, and largest motion of the floor.
_THIN, _STILL = 0.4, 0.05
_SAME_UNIT = (0.45, 2.2)  # path relative to feet; 0.74 to 1.7 in 400 real takes with agreeing paths
_FLOOR = 0.15  # largest height of a floor, metres
_UP = np.array([0.0, 1.0, 0.0])
_BENT = 0.35  # least sine of the bend at which a knee's or elbow's direction is known
_BACK = -0.5  # mean cosine to the anatomical direction; in 75 real takes none is below 0.3
_KNEES = ((1, 4, 7, -1.0), (2, 5, 8, -1.0))
_ELBOWS = ((16, 18, 20, 1.0), (17, 19, 21, 1.0))
"""Joint above, hinge, joint below, and the direction along z in which SMPL's rest body bends it."""


@dataclass(frozen=True)
class Convention:
    """How to read files of SMPL poses, from the options; None: the format's own convention.

    up: the file's up axis; unit: unit of its lengths; rate: frames per second of formats that do
    not store it (.amc, SURREAL's smpl_data.npz).
    """

    up: str | None = None
    unit: str | None = None
    rate: float | None = None

    def scale(self) -> float:
        """Return metres per unit."""
        unit = self.unit or "m"
        return UNITS[unit] if unit in UNITS else float(unit)

    def upright(self) -> Float[np.ndarray, " 4"]:
        """Return the rotation [4] from the file's axes to y up."""
        return _UPRIGHT[self.up or "z"]


_UPRIGHT = {
    "y": quat.IDENTITY,
    "z": quat.about(0, np.array(-0.5 * np.pi)),
    "-z": quat.about(0, np.array(0.5 * np.pi)),
    "-y": quat.about(0, np.array(np.pi)),
    "x": quat.about(2, np.array(0.5 * np.pi)),
    "-x": quat.about(2, np.array(-0.5 * np.pi)),
}


def refuse_degrees(path: Path, vectors: Float[np.ndarray, "n j 3"]) -> None:
    """Raise BadInput if axis-angle vectors [N, J, 3] are too long to be radians."""
    longest = np.linalg.norm(vectors[anatomy.sampled(len(vectors))], axis=-1).max(axis=1)
    if np.median(longest) > _LONGEST_TURN:
        raise BadInput(
            f"{path}: its poses rotate joints by up to {np.median(longest):.0f} radians; they seem "
            "to be in degrees; convert them to radians"
        )


def check(
    path: Path,
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rate: float,
    rest: Float[np.ndarray, "24 3"],
    convention: Convention,
) -> None:
    """Raise BadInput, with the file's probable convention, for a physically impossible take.

    Checks speed and height, the bending of knees and elbows, posture, and gravity.

    rotations: [N, 24, 4] local; pelvis: [N, 3] as read with y up, metres; rate: frames per second;
    rest: [24, 3] a body's rest joints.
    """
    joints = forward(rotations, pelvis, rest)[:, :22]
    joints = joints[anatomy.sampled(len(joints))]
    short = len(pelvis) < SHORTEST * rate
    refuse_leap(path, pelvis, rate)
    gravity = anatomy.up_axis(joints, {joint: joint for joint in range(22)})
    ways = compare(rotations, pelvis, rate, rest, gravity)
    if convention.unit is None:
        speed = np.linalg.norm(np.diff(pelvis, axis=0), axis=1) * rate
        fast = 0.0 if short else float(np.quantile(speed, 0.95))
        _refuse_unit(path, joints @ gravity, fast, ways.scale)
    if ways.axes and not short:
        refuse_euler(path, rotations, pelvis, rate, rest, convention.upright())
    _refuse_other_bodies(path, rotations, joints, rest)
    refuse_axes(path, ways)
    given = convention.up is not None or len(pelvis) < _SHOWS_UP * rate
    up = "z" if given else _found_up(joints, convention)
    if up != "z":
        what = "in a camera's frame, y down" if up == "-y" else f"of {up} up"
        raise BadInput(
            f"{path}: its people lie in the air, so its up axis seems to differ from AMASS's z: "
            f"it seems to be {what}; give --motion-up={up}, or --motion-up z if they do lie"
        )


def refuse_leap(path: Path, pelvis: Float[np.ndarray, "n 3"], rate: float) -> None:
    """Raise BadInput if the pelvis [N, 3] goes as people do but leaps between a few frames."""
    ways = np.linalg.norm(np.diff(pelvis, axis=0), axis=1)
    leaps = np.flatnonzero((ways > _LEAP) & (ways * rate > 4.0 * _FASTEST))
    if 0 < len(leaps) <= _FEW * len(ways) and np.quantile(ways * rate, 0.9) < _FASTEST:
        raise BadInput(
            f"{path}: its pelvis leaps by {ways[leaps[0]]:.1f} m at {(leaps[0] + 1) / rate:.2f} s, "
            "as if several takes were joined or markers lost; cut it there"
        )


def _refuse_unit(path: Path, heights: np.ndarray, fast: float, scale: float | None) -> None:
    """Raise BadInput if the path seems to be in another unit than metres.

    heights: [N, 22] of the joints above zero; fast: the pelvis's speed, m/s; scale: metres per unit
    according to the feet, None if undetermined; then the height above a floor at zero is used.
    """
    if scale is not None and _SAME_UNIT[0] <= scale <= _SAME_UNIT[1]:
        if fast > _FASTEST:
            raise BadInput(
                f"{path}: its pelvis moves at {fast:.0f} m/s in strides of usual length; correct "
                "its frame rate"
            )
        return
    high = float(np.median(heights[:, 0]))
    unit = _named_unit(scale) if scale else None
    if scale is None and abs(float(np.median(heights.min(axis=1)))) > _OFF:
        above = float(np.median(heights[:, 0] - heights.min(axis=1))) + _SOLE
        unit = next((u for u, metre in UNITS.items() if 0.87 < above / (metre * high) < 1.15), None)
    if unit is None and fast > _FASTEST:
        unit = "mm" if fast / 5.0 > 300.0 else "cm"
    if unit is not None:
        raise BadInput(
            f"{path}: its pelvis moves at {fast:.1f} m/s, {high:.1f} m above zero, and not as its "
            f"feet do; it seems to be in {_spelt(unit)}, give --motion-unit {unit}, or "
            "--motion-unit m if it is in metres"
        )


def check_path(path: Path, rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray) -> None:
    """Raise BadInput if a retargeted take's up axis differs from that of its zero pose, or its
    root's unit or axes differ from those of its bones.

    rotations: [N, 24, 4] local; pelvis: [N, 3] with y up, metres according to the bones, at 30 fps,
    with the soles on y = 0.
    """
    joints = forward(rotations, pelvis, rest)[:, :22]
    if len(pelvis) >= _SHOWS_UP * RATE and _found_up(joints, Convention(up="y")) != "y":
        raise BadInput(
            f"{path}: its people lie in the air: its motion seems to have another axis up than "
            "its zero pose; export both with the same axis up"
        )
    refuse_leap(path, pelvis, RATE)
    ways = compare(rotations, pelvis, RATE, rest, _UP)
    if ways.scale is not None and not _SAME_UNIT[0] <= ways.scale <= _SAME_UNIT[1]:
        raise BadInput(
            f"{path}: its people slide: the unit of its root motion seems to be {ways.scale:.2g} "
            "times that of its bones; export both in one unit"
        )
    refuse_axes(path, ways)


def unit_note(
    path: Path,
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "24 3"],
    unit: str,
) -> str:
    """Return a note if a given unit contradicts the motion, otherwise ""; see `check_path`."""
    scale = compare(rotations, pelvis, RATE, rest, _UP).scale
    if scale is None or _SAME_UNIT[0] <= scale <= _SAME_UNIT[1]:
        return ""
    return (
        f"{path}: its people slide with --motion-unit {unit}, as if it were in "
        f"{_spelt(_named_unit(scale * Convention(unit=unit).scale()))}; give --motions of one unit"
    )


def _named_unit(scale: float) -> str:
    """Return the name in --motion-unit that is closest to a length in metres, or the number."""
    unit = min(UNITS, key=lambda name: abs(np.log(scale / UNITS[name])))
    return unit if 0.7 < scale / UNITS[unit] < 1.5 else f"{scale:.2g}"


def _spelt(unit: str) -> str:
    return unit if unit in UNITS else f"units of {unit} m"


def refuse_axes(path: Path, ways: Ways) -> None:
    """Raise BadInput if the pelvis's path has other axes than its rotations."""
    if not ways.axes:
        raise BadInput(
            f"{path}: its people slide: the path of the pelvis (trans, root positions) seems to "
            "have other axes than the poses; rotate one to the other's axes"
        )


def _refuse_other_bodies(
    path: Path, rotations: np.ndarray, joints: np.ndarray, rest: np.ndarray
) -> None:
    """Raise BadInput if hinges bend the wrong way, or joints [N, 22, 3] are not a posture."""
    rotations = rotations[anatomy.sampled(len(rotations))]
    knees, elbows = (_way(rotations, hinges, rest) < _BACK for hinges in (_KNEES, _ELBOWS))
    if knees or elbows:
        parts, what = {
            (False, True): ("elbows bend backwards", "those of a mirrored body"),
            (True, False): ("knees bend forwards", "about axes rotated by 180 degrees"),
            (True, True): ("knees and elbows bend the wrong way", "inverted or left-handed"),
        }[knees, elbows]
        raise BadInput(
            f"{path}: its {parts}; its rotations seem to be {what}; export it with SMPL's joints "
            "in right-handed coordinates"
        )
    if why := anatomy.fault(joints, {joint: joint for joint in range(22)}):
        raise BadInput(
            f"{path}: shows no human posture, {why}; export it as SMPL's local rotations"
        )


def _way(
    rotations: np.ndarray, hinges: tuple[tuple[int, int, int, float], ...], rest: np.ndarray
) -> float:
    """Return the mean cosine between the hinges' actual and anatomical bending, 0 if hardly bent.

    rotations: [N, 24, 4] local.
    """
    found = []
    for above, hinge, below, side in hinges:
        along, bone = anatomy.unit(rest[[hinge, below]] - rest[[above, hinge]])
        turned = quat.rotate(rotations[:, hinge], bone)
        across = turned - (turned @ along)[:, None] * along
        size = np.linalg.norm(across, axis=1)
        found.append(side * across[size > _BENT, 2] / size[size > _BENT])
    ways = np.concatenate(found)
    return float(ways.mean()) if len(ways) > 0.05 * len(hinges) * len(rotations) else 0.0


def _found_up(joints: np.ndarray, convention: Convention) -> str:
    """Return the name of the file's up axis according to joints [N, 22, 3], read with y up."""
    found = anatomy.up_axis(joints, {joint: joint for joint in range(22)})
    lowest, feet = joints[..., 1].min(axis=1), float(np.median((joints @ found).min(axis=1)))
    flat = np.median(np.ptp(joints[..., 1], axis=1)) < _THIN and lowest.std() < _STILL
    if flat and abs(float(np.median(lowest))) < _FLOOR and abs(feet) > _FLOOR:
        return convention.up or "z"  # lying on the floor, not standing on a floor at zero
    own = np.round(quat.rotate(quat.inverse(convention.upright()), found))
    axis = int(np.abs(own).argmax())
    return ("-" if own[axis] < 0 else "") + "xyz"[axis]
