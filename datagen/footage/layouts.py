"""Layouts of 2D keypoints: the points of each detector and their order."""

# K points of a layout

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from datagen.common.errors import BadInput
from datagen.common.options import named_object
from datagen.common.record import KEYPOINTS

OPENPOSE = 0.1
"""HMMR's threshold for OpenPose, also used for 3DPW's detections."""
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
SWAPPED = "-yx"
"""Suffix of a layout's name if each point is (y, x, confidence)."""


@dataclass(frozen=True)
class KeypointLayout:
    """Names of a detector's K points."""

    name: str
    names: tuple[str, ...]
    """Name of each point; "" for an unused one."""
    threshold: float = 0.3
    """Confidence above which a point is seen."""
    swapped: bool = False
    """Whether the points are (y, x)."""

    @property
    def points(self) -> int:
        """K."""
        return len(self.names)

    @cached_property
    def limbs(self) -> tuple[int, ...]:
        """Indices of the 12 limbs, in the order of record.KEYPOINTS."""
        return tuple(self.names.index(limb.removeprefix("lsp_")) for limb in KEYPOINTS)

    @cached_property
    def face(self) -> tuple[int, ...]:
        """Indices of nose, eyes and ears, if present."""
        return tuple(self.names.index(name) for name in FACE if name in self.names)

    @cached_property
    def neck(self) -> int | None:
        """Index of the neck between the shoulders."""
        return self.names.index("neck") if "neck" in self.names else None

    @cached_property
    def head(self) -> int | None:
        """Index of the crown of the head."""
        return self.names.index("crown") if "crown" in self.names else None


def _words(text: str) -> tuple[str, ...]:
    """Return the names in a text; `l_` and `r_` are the person's left and right, - is unused."""
    sides = {"l": "left", "r": "right"}
    words = []
    for word in text.split():
        side, _, part = word.partition("_")
        words.append("" if word == "-" else f"{sides[side]}_{part}" if part else word)
    return tuple(words)


_LIMBS = tuple(limb.removeprefix("lsp_") for limb in KEYPOINTS)
_COCO12 = _words(
    "l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_hip r_hip l_knee r_knee l_ankle "
    "r_ankle"
)
_COCO = (*FACE, *_COCO12)
_OPENPOSE = _words("nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist")
_LEGS = _words("r_hip r_knee r_ankle l_hip l_knee l_ankle")
_EYES = _words("r_eye l_eye r_ear l_ear")
_HALPE = (*_COCO, *_words("crown neck pelvis - - - - - -"))

LAYOUTS = {
    layout.name: layout
    for layout in (
        # Our own files: the 12 limbs, or these plus neck and crown (LSP's 14), seen above 0.5.
        KeypointLayout("limbs", _LIMBS, threshold=0.5),
        KeypointLayout("evaluation", (*_LIMBS, "neck", "crown"), threshold=0.5),
        # COCO and its derivatives. The first layout of a length is the most common one.
        KeypointLayout("coco12", _COCO12),
        KeypointLayout("crowdpose14", (*_COCO12, "crown", "neck")),
        KeypointLayout("coco17", _COCO),
        KeypointLayout("openpose18", (*_OPENPOSE, *_LEGS, *_EYES), threshold=OPENPOSE),
        KeypointLayout("coco18", (*_COCO, "neck")),
        KeypointLayout(
            "openpose25",
            (*_OPENPOSE, "pelvis", *_LEGS, *_EYES, *_words("- - - - - -")),
            threshold=OPENPOSE,
        ),
        KeypointLayout(  # BODY_25B: COCO's 17, then the upper neck and the crown
            "openpose25b",
            (*_COCO, "throat", "crown", *_words("- - - - - -")),
            threshold=OPENPOSE,
        ),
        KeypointLayout("halpe26", _HALPE),
        KeypointLayout("halpe136", (*_HALPE, *[""] * 110)),
        KeypointLayout("wholebody133", (*_COCO, *[""] * 116)),
        # Others
        KeypointLayout(
            "aic14",
            _words(
                "r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist "
                "r_hip r_knee r_ankle l_hip l_knee l_ankle crown neck"
            ),
        ),
        KeypointLayout(
            "mpii16",
            (*_LIMBS[:6], "pelvis", "neck", "throat", "crown", *_LIMBS[6:]),
        ),
        KeypointLayout(
            "h36m17",
            _words(
                "pelvis r_hip r_knee r_ankle l_hip l_knee l_ankle spine neck nose crown "
                "l_shoulder l_elbow l_wrist r_shoulder r_elbow r_wrist"
            ),
        ),
        KeypointLayout(
            "mediapipe33",
            _words(
                "nose - l_eye - - r_eye - l_ear r_ear - - l_shoulder r_shoulder l_elbow r_elbow "
                "l_wrist r_wrist - - - - - - l_hip r_hip l_knee r_knee l_ankle r_ankle - - - -"
            ),
            threshold=0.2,
        ),
    )
}
"""Sources: COCO, COCO-WholeBody, CrowdPose, AI Challenger, MPII, Human3.6M (as VideoPose3D and
MMPose order it) and Halpe in MMPose's dataset_info; OpenPose's and MediaPipe's own documentation.
"""


def layout_of(name: str) -> KeypointLayout | None:
    """Return the layout with a name, which may end with SWAPPED; None if unknown."""
    layout = LAYOUTS.get(name.removesuffix(SWAPPED))
    return swapped(layout) if layout and name.endswith(SWAPPED) else layout


def find_layout(name: str) -> KeypointLayout:
    """Return the layout given by --layout: a built-in one, or a user's own as module:name.

    Raises BadInput if it is not a layout, or lacks one of the 12 limbs.
    """
    if layout := layout_of(name):
        return layout
    own = named_object(name, "--layout")
    if not isinstance(own, KeypointLayout):
        raise BadInput(f"--layout {name} must be a datagen.footage.layouts.KeypointLayout")
    if lacking := set(_LIMBS) - set(own.names):
        raise BadInput(f"--layout {name} has no {', no '.join(sorted(lacking))}; name all 12 limbs")
    return own


def swapped(layout: KeypointLayout) -> KeypointLayout:
    """Return the layout with points (y, x, confidence)."""
    return KeypointLayout(f"{layout.name}{SWAPPED}", layout.names, layout.threshold, swapped=True)
