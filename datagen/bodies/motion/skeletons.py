"""Which joint of a captured skeleton plays which of SMPL's joints, by name.

Skeletons come in families that use the same word for different joints (`LeftShoulder` is a collar
bone to one exporter and the shoulder to another), so a file is matched to one family as a whole.
"""

from __future__ import annotations

from pathlib import Path

from datagen.common.errors import BadInput
from datagen.common.record import SMPL_JOINTS

ESSENTIAL = (0, 1, 2, 4, 5, 7, 8, 9, 16, 17, 18, 19, 20, 21)
"""SMPL joints without which a source is no human skeleton that we can use."""

# Each family: SMPL joint → accepted names in order of preference; `#` stands for the side.
_MOTIONBUILDER = {  # CMU as exported by MotionBuilder; Mixamo, LAFAN1 and Rokoko speak alike
    "pelvis": ("Hips",),
    "spine1": ("LowerBack", "Spine"),
    "spine2": ("Spine", "Spine1"),
    "spine3": ("Spine1", "Spine2", "Spine3", "Spine4"),
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

_FAMILIES = (_MOTIONBUILDER, _MAX, _POSER, _ACCLAIM, _SMPL)


def require_roles(path: Path, names: list[str], part: str, known: str) -> dict[int, int]:
    """Return SMPL joint → index into `names`, what `path` calls its `part`s (joints, bones).

    Raises BadInput, which advises `known` names, if an essential joint is not among them.
    """
    roles = find_roles(names)
    lacking = [SMPL_JOINTS[joint] for joint in ESSENTIAL if joint not in roles]
    if lacking:
        raise BadInput(
            f"{path}: unknown skeleton, found no {part} for {', '.join(lacking)}; "
            f"rename its {part}s to {known} names"
        )
    return roles


def find_roles(names: list[str]) -> dict[int, int]:
    """Return SMPL joint → index into `names` for the family that explains most of them.

    Case, prefixes such as `mixamorig:` and underscores do not matter. A name plays one part only:
    the later of two claims upon the spine falls to the next name in its list.
    """
    index: dict[str, int] = {}
    for place, name in enumerate(names):
        index.setdefault(_plain(name), place)
    return max((_match(family, index) for family in _FAMILIES), key=len)


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
    for lower in (6, 3):  # a spine of few joints: its topmost is the chest
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


def _plain(name: str) -> str:
    return name.rsplit(":", 1)[-1].replace("_", "").replace(" ", "").lower()
