"""Maps the joints of a captured skeleton to SMPL's joints, by name.

Families of skeletons use the same word for different joints (`LeftShoulder` is the collar bone for
one exporter and the shoulder for another), so a file is matched to one family as a whole.
"""

from __future__ import annotations

import re
from pathlib import Path

from datagen.common.errors import BadInput
from datagen.common.record import SMPL_JOINTS

ESSENTIAL = (0, 1, 2, 4, 5, 7, 8, 9, 16, 17, 18, 19, 20, 21)
"""SMPL joints that a source must have."""

# Each family: SMPL joint → accepted names in order of preference; `#` is the side.
_MOTIONBUILDER = {  # CMU as exported by MotionBuilder; Mixamo, LAFAN1 and Rokoko use the same names
    "pelvis": ("Hips",),
    "spine1": ("LowerBack", "Spine"),
    "spine2": ("Spine", "Spine1"),
    "spine3": ("Spine4", "Spine3", "Spine2", "Spine1"),
    "neck": ("Neck1", "Neck"),
    "head": ("Head",),
    "#_hip": ("#UpLeg",),
    "#_knee": ("#Leg",),
    "#_ankle": ("#Foot",),
    "#_foot": ("#ToeBase", "#Toe"),
    "#_collar": ("#Shoulder",),
    "#_shoulder": ("#Arm",),
    "#_elbow": ("#ForeArm",),
    "#_wrist": ("#FingerBase", "#Hand"),
}
_MAX = {  # CMU as exported by 3ds Max and by older converters
    "pelvis": ("Hips",),
    "spine1": ("lowerback",),
    "spine2": ("Chest",),
    "spine3": ("Chest2", "CS_BVH", "Chest"),
    "neck": ("Neck",),
    "head": ("Head",),
    "#_hip": ("#Hip",),
    "#_knee": ("#Knee",),
    "#_ankle": ("#Ankle",),
    "#_foot": ("#Toe",),
    "#_collar": ("#Collar",),
    "#_shoulder": ("#Shoulder",),
    "#_elbow": ("#Elbow",),
    "#_wrist": ("$hand", "#Wrist"),
}
_POSER = {  # CMU as exported by Poser / DAZ
    "pelvis": ("hip",),
    "spine2": ("abdomen",),
    "spine3": ("chest",),
    "neck": ("neck",),
    "head": ("head",),
    "#_hip": ("$Thigh",),
    "#_knee": ("$Shin",),
    "#_ankle": ("$Foot",),
    "#_foot": ("$Toe",),
    "#_collar": ("$Collar",),
    "#_shoulder": ("$Shldr",),
    "#_elbow": ("$ForeArm",),
    "#_wrist": ("$Hand",),
}
_ACCLAIM = {  # CMU's own .asf
    "pelvis": ("root",),
    "spine1": ("lowerback",),
    "spine2": ("upperback",),
    "spine3": ("thorax",),
    "neck": ("upperneck", "lowerneck"),
    "head": ("head",),
    "#_hip": ("$femur",),
    "#_knee": ("$tibia",),
    "#_ankle": ("$foot",),
    "#_foot": ("$toes",),
    "#_collar": ("$clavicle",),
    "#_shoulder": ("$humerus",),
    "#_elbow": ("$radius",),
    "#_wrist": ("$hand", "$wrist"),
}
_SMPL = {name.replace("left", "#"): (name.replace("left", "#"),) for name in SMPL_JOINTS[:22]}
_SMPL = {name: names for name, names in _SMPL.items() if "right" not in name}

_ROKOKO = {
    **_MOTIONBUILDER,
    "spine2": ("Spine1", "Spine2"),
    "#_hip": ("#Thigh", "#UpLeg"),
    "#_knee": ("#Shin", "#Leg"),
}
_UNITY = {
    "pelvis": ("Hips", "Pelvis"),
    "spine1": ("Spine",),
    "spine2": ("Chest",),
    "spine3": ("UpperChest", "Chest"),
    "neck": ("Neck",),
    "head": ("Head",),
    "#_hip": ("#UpperLeg",),
    "#_knee": ("#LowerLeg",),
    "#_ankle": ("#Foot",),
    "#_foot": ("#Toes", "#Toe", "#ToeBase"),
    "#_collar": ("#Shoulder",),
    "#_shoulder": ("#UpperArm",),
    "#_elbow": ("#LowerArm", "#ForeArm"),
    "#_wrist": ("#Hand",),
}
_XSENS = {  # MVN's segments in FBX; its .bvh has 3ds Max's names with four chests
    **_UNITY,
    "spine1": ("L5",),
    "spine2": ("T12", "L3"),
    "spine3": ("T8",),
}
_MVN = {**_MAX, "spine1": ("Chest",), "spine2": ("Chest2", "Chest3"), "spine3": ("Chest4",)}
_THIGH = {  # Unreal, 3ds Max's biped and Character Creator: thigh, calf, clavicle
    "pelvis": ("Pelvis", "Hips", "Hip"),
    "spine1": ("Spine01", "Spine1", "Spine", "Waist"),
    "spine2": ("Spine02", "Spine2", "Spine1", "Spine01"),
    "spine3": ("Spine03", "Spine3", "Spine2", "Spine02"),
    "neck": ("Neck01", "Neck1", "Neck", "NeckTwist01"),
    "head": ("Head",),
    "#_hip": ("#Thigh",),
    "#_knee": ("#Calf",),
    "#_ankle": ("#Foot",),
    "#_foot": ("#Ball", "#Toe0", "#ToeBase", "#Toe"),
    "#_collar": ("#Clavicle",),
    "#_shoulder": ("#UpperArm",),
    "#_elbow": ("#LowerArm", "#ForeArm"),
    "#_wrist": ("#Hand",),
}
_BIPED = {**_THIGH, "spine1": ("Spine",), "spine2": ("Spine1",), "spine3": ("Spine2", "Spine3")}
_CHARACTER_CREATOR = {
    **_THIGH,
    "pelvis": ("Pelvis", "Hip"),
    "spine1": ("Waist",),
    "spine2": ("Spine01",),
    "spine3": ("Spine02",),
}

KNOWN = (
    "CMU's, LaFAN1's, Mixamo's, Rokoko's, Xsens's, Unreal's, Unity's, Character Creator's, "
    "3ds Max biped's, BEAT's, Poser's or SMPL's"
)
"""Supported naming schemes; each has a test."""

_FAMILIES = (
    _MOTIONBUILDER, _MAX, _POSER, _ACCLAIM, _SMPL, _ROKOKO, _UNITY, _XSENS, _MVN, _THIGH, _BIPED,
    _CHARACTER_CREATOR,
)  # fmt: skip


def require_roles(path: Path, names: list[str], part: str, known: str = KNOWN) -> dict[int, int]:
    """Return SMPL joint → index into `names`, the names of the `part`s (joints, bones) in `path`.

    Raises BadInput that suggests `known` names if an essential joint is missing.
    """
    roles = find_roles(names)
    lacking = [SMPL_JOINTS[joint] for joint in ESSENTIAL if joint not in roles]
    if lacking:
        raise BadInput(
            f"{path}: unknown skeleton without a {part} for {', '.join(lacking)}; "
            f"rename its {part}s to {known} names"
        )
    return roles


def find_roles(names: list[str]) -> dict[int, int]:
    """Return SMPL joint → index into `names` for the family that matches most of them.

    Case, underscores, prefixes such as `mixamorig:`, `CC_Base_` or `Bip01 `, and the notation of
    sides (`.L`, `_l`, `L_`, `Left`) are ignored. A name is used only once: the later of two
    conflicting spine joints gets the next name in its list.
    """
    found: list[dict[int, int]] = []
    for plain in (_plain, _spelt_out):
        index: dict[str, int] = {}
        for place, name in enumerate(names):
            index.setdefault(plain(name), place)
        found += [_match(family, index) for family in _FAMILIES]
    return max(found, key=len)


def _match(family: dict[str, tuple[str, ...]], index: dict[str, int]) -> dict[int, int]:
    roles: dict[int, int] = {}
    taken: set[int] = set()
    for joint, wanted in _sided(family):
        for name in wanted:
            place = index.get(_plain(name))
            if place is not None and place not in taken:
                roles[SMPL_JOINTS.index(joint)] = place
                taken.add(place)
                break
    for lower in (6, 3):  # in a spine with few joints, the topmost is the chest
        if 9 not in roles and lower in roles:
            roles[9] = roles.pop(lower)
    return roles


def _sided(family: dict[str, tuple[str, ...]]) -> list[tuple[str, tuple[str, ...]]]:
    rows = []
    for joint, names in family.items():
        for side in ("left", "right") if "#" in joint else ("",):
            filled = (name.replace("#", side).replace("$", side[:1]) for name in names)
            rows.append((joint.replace("#", side), tuple(filled)))
    return rows


_PREFIX = re.compile(r"^(mixamorig\d*|cc_base|bip\d*|character\d*|def|org)[_ .-]+", re.IGNORECASE)
_FIRST = re.compile(r"^(left|right|l|r)[_ .-]+(.+)$", re.IGNORECASE)
_LAST = re.compile(r"^(.+?)[_ .-]+(left|right|l|r)$", re.IGNORECASE)
_SIDES = {"l": "left", "r": "right"}


def _spelt_out(name: str) -> str:
    """Return a name without prefix, with its side spelt out in front (`Bip01 L Calf`, `Calf.L`)."""
    name = _PREFIX.sub("", name.rsplit(":", 1)[-1].strip())
    if match := _FIRST.match(name):
        side, part = match[1], match[2]
    elif match := _LAST.match(name):
        side, part = match[2], match[1]
    else:
        return _plain(name.replace(".", "").replace("-", ""))
    side = side.lower()
    return _SIDES.get(side, side) + _plain(re.sub(r"[.-]", "", part))


def _plain(name: str) -> str:
    return name.rsplit(":", 1)[-1].replace("_", "").replace(" ", "").lower()
