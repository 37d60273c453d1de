"""Conventions that a file of SMPL poses does not name: its up axis, unit and frame rate.

AMASS has z up, metres and radians. Other collections use its layout with y up (AIST++, HumanML3D),
with a camera's y down, in centimetres, feet or degrees, or with `trans` in other axes than the
poses; such a file is read without an error and shows people who lie, fly, spin or slide. The whole
take shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from datagen.bodies.motion import anatomy
from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.contacts import Ways, compare
from datagen.bodies.motion.retarget import RATE, forward
from datagen.bodies.options import UNITS
from datagen.common.errors import BadInput

UPS = ("z", "y", "-y", "x", "-x", "-z")
"""Names of --motion-up; -y is a camera's frame (y down)."""

_LONGEST_TURN = 7.0  # radians; axis-angle vectors of an exporter reach 2 pi
_FASTEST = 12.0  # m/s, a sprinter's
_OFF = 1.0  # metres above or below zero at which the height of the pelvis shows the unit
_SOLE = 0.05  # metres from the lowest joint down to the ground
SHORTEST = 1.0
"""Seconds of motion that speed, unit and frame rate are taken from."""
_SHOWS_UP = 0.3  # seconds that show which axis is up; of 2,500 such pieces of takes 1.1 % err
_THIN, _STILL = 0.4, 0.05  # metres: who lies is no thicker, and stays on the floor
_SAME_UNIT = (0.45, 2.2)  # path over feet; 0.74 to 1.7 in 400 real takes whose ways agree
_FLOOR = 0.15  # metres from zero at which a floor lies
_UP = np.array([0.0, 1.0, 0.0])
_BENT = 0.35  # sine of the bend from which a knee or elbow shows its way
_BACK = -0.5  # cosine to its own way, at the mean; of 75 real takes none is below 0.3
_KNEES = ((1, 4, 7, -1.0), (2, 5, 8, -1.0))
_ELBOWS = ((16, 18, 20, 1.0), (17, 19, 21, 1.0))
"""Joint above, hinge and joint below, and to which side along z SMPL's rest body bends it."""


@dataclass(frozen=True)
class Convention:
    """How files of SMPL poses are to be read, by the options; None: as the format has it.

    up: which of the file's axes is up; unit: of its lengths; rate: frames per second of formats
    that do not carry one (.amc, SURREAL's smpl_data.npz).
    """

    up: str | None = None
    unit: str | None = None
    rate: float | None = None

    def scale(self) -> float:
        """Return metres per unit."""
        unit = self.unit or "m"
        return UNITS[unit] if unit in UNITS else float(unit)

    def upright(self) -> Float[np.ndarray, " 4"]:
        """Return the turn [4] from the file's axes to y up."""
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
    """Raise BadInput if axis-angle vectors [N, J, 3] are longer than any in radians."""
    longest = np.linalg.norm(vectors[anatomy.sampled(len(vectors))], axis=-1).max(axis=1)
    if np.median(longest) > _LONGEST_TURN:
        raise BadInput(
            f"{path}: its poses turn joints by up to {np.median(longest):.0f} radians, they seem "
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
    """Raise BadInput, with what the file seems to be, for a take that no one can have performed.

    Speed and height, the ways of knees and elbows, posture, and gravity are looked at.

    rotations [N, 24, 4] local, pelvis [N, 3] as read with y up, metres, at `rate` a second; rest
    [24, 3] the rest joints of a body.
    """
    joints = forward(rotations, pelvis, rest)[:, :22]
    joints = joints[anatomy.sampled(len(joints))]
    short = len(pelvis) < SHORTEST * rate
    gravity = anatomy.up_axis(joints, {joint: joint for joint in range(22)})
    ways = compare(rotations, pelvis, rate, rest, gravity)
    if convention.unit is None:
        speed = np.linalg.norm(np.diff(pelvis, axis=0), axis=1) * rate
        fast = 0.0 if short else float(np.quantile(speed, 0.95))
        _refuse_unit(path, joints @ gravity, fast, ways.scale)
    _refuse_other_bodies(path, rotations, joints, rest)
    refuse_axes(path, ways)
    given = convention.up is not None or len(pelvis) < _SHOWS_UP * rate
    up = "z" if given else _found_up(joints, convention)
    if up != "z":
        what = "in a camera's frame, y down" if up == "-y" else f"of {up} up"
        raise BadInput(
            f"{path}: its people lie in the air, gravity seems to be another than AMASS's z up: "
            f"it seems to be {what}; give --motion-up={up}, or --motion-up z if they do lie"
        )


def _refuse_unit(path: Path, heights: np.ndarray, fast: float, scale: float | None) -> None:
    """Raise BadInput if the path seems to be in another unit than metres.

    heights [N, 22] of the joints over zero; fast: the pelvis's speed, m/s; scale: metres to a unit
    by the feet, None if they do not show it, when the height over a floor at zero does.
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
    """Raise BadInput if a retargeted take has another axis up than its zero pose, or its root moves
    in another unit or other axes than its bones.

    rotations [N, 24, 4] local, pelvis [N, 3] with y up, metres by the bones, at 30 a second, the
    soles on y = 0.
    """
    joints = forward(rotations, pelvis, rest)[:, :22]
    if len(pelvis) >= _SHOWS_UP * RATE and _found_up(joints, Convention(up="y")) != "y":
        raise BadInput(
            f"{path}: its people lie in the air: its motion seems to have another axis up than "
            "its zero pose; export both with the same axis up"
        )
    ways = compare(rotations, pelvis, RATE, rest, _UP)
    if ways.scale is not None and not _SAME_UNIT[0] <= ways.scale <= _SAME_UNIT[1]:
        raise BadInput(
            f"{path}: its people slide: its root seems to move in units {ways.scale:.2g} times as "
            "long as those of its bones; export both in one unit"
        )
    refuse_axes(path, ways)


def unit_note(
    path: Path,
    rotations: Float[np.ndarray, "n 24 4"],
    pelvis: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "24 3"],
    unit: str,
) -> str:
    """Return what contradicts a unit that was given, "" if nothing does; as `check_path`."""
    scale = compare(rotations, pelvis, RATE, rest, _UP).scale
    if scale is None or _SAME_UNIT[0] <= scale <= _SAME_UNIT[1]:
        return ""
    return (
        f"{path}: its people slide with --motion-unit {unit}, as if it were in "
        f"{_spelt(_named_unit(scale * Convention(unit=unit).scale()))}; give --motions of one unit"
    )


def _named_unit(scale: float) -> str:
    """Return the unit of --motion-unit that is nearest to a length in metres, or its number."""
    unit = min(UNITS, key=lambda name: abs(np.log(scale / UNITS[name])))
    return unit if 0.7 < scale / UNITS[unit] < 1.5 else f"{scale:.2g}"


def _spelt(unit: str) -> str:
    return unit if unit in UNITS else f"units of {unit} m"


def refuse_axes(path: Path, ways: Ways) -> None:
    """Raise BadInput if the pelvis's path has other axes than its turns."""
    if not ways.axes:
        raise BadInput(
            f"{path}: its people slide: the path of the pelvis (trans, root positions) seems to "
            "have other axes than the poses; turn one of them to the other's"
        )


def _refuse_other_bodies(
    path: Path, rotations: np.ndarray, joints: np.ndarray, rest: np.ndarray
) -> None:
    """Raise BadInput if hinges bend the wrong way, or joints [N, 22, 3] are of no posture."""
    rotations = rotations[anatomy.sampled(len(rotations))]
    knees, elbows = (_way(rotations, hinges, rest) < _BACK for hinges in (_KNEES, _ELBOWS))
    if knees or elbows:
        parts, what = {
            (False, True): ("elbows bend backwards", "those of a body in a mirror"),
            (True, False): ("knees bend forwards", "about axes turned by 180 degrees"),
            (True, True): ("knees and elbows bend the wrong way", "inverted or left-handed"),
        }[knees, elbows]
        raise BadInput(
            f"{path}: its {parts}, its rotations seem to be {what}; export it with SMPL's joints "
            "in right-handed coordinates"
        )
    if why := anatomy.fault(joints, {joint: joint for joint in range(22)}):
        raise BadInput(
            f"{path}: shows no human posture, {why}; export it as SMPL's local rotations"
        )


def _way(
    rotations: np.ndarray, hinges: tuple[tuple[int, int, int, float], ...], rest: np.ndarray
) -> float:
    """Return the mean cosine of the way that hinges bend to their own way, 0 if they hardly do.

    rotations [N, 24, 4] local.
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
    """Return the name of the file's axis that joints [N, 22, 3], read with y up, show as up."""
    found = anatomy.up_axis(joints, {joint: joint for joint in range(22)})
    lowest, feet = joints[..., 1].min(axis=1), float(np.median((joints @ found).min(axis=1)))
    flat = np.median(np.ptp(joints[..., 1], axis=1)) < _THIN and lowest.std() < _STILL
    if flat and abs(float(np.median(lowest))) < _FLOOR and abs(feet) > _FLOOR:
        return convention.up or "z"  # lying on the floor, not standing on one at zero
    own = np.round(quat.rotate(quat.inverse(convention.upright()), found))
    axis = int(np.abs(own).argmax())
    return ("-" if own[axis] < 0 else "") + "xyz"[axis]
