"""The format of a data set: its joints, its fields and their shapes, its dataset.json.

Letters used throughout the project: T frames of a clip, S side of the crop in pixels, J joints,
V vertices, B clips of a batch.

Members of a record: flow.npy, labels.npz, meta.json, and rgb.jpg if the data set has pictures
(README names their arrays). Records of motions without pictures (`labels_only` in dataset.json) are
described in `datagen.output.motion_shard`. A record of real footage (`real` in dataset.json) is a
track or a piece of one, T ≤ clip_length, and has further arrays:

    valid   uint8 [T]  the frame has 3D ground truth and is the piece's own (`keep`)
    source  int32 [T]  the frame's number in the video or sequence; `crop` maps its pixels

from a video also

    time float64 [T] presentation time, seconds after the video's first frame

and `gravity` only if it is known. A `keypoints_only` data set has neither flow nor pictures.

In footage, limbs and neck in `joints2d` are detections; the other joints are projections of the
ground truth, or not visible. A frame without any detected limb is totally occluded. Joints without
ground truth are 0 in `joints3d` and missing from `evaluation_joints`. meta.json gives `track`,
unique within a data set, and `person`, by which errors are averaged. Pieces of one track overlap:
`frames` is [begin, end) in the track, and `keep` is [first, last) in the record, the piece's own
frames, which tile the track. To join predictions, concatenate each record's `keep` frames in the
order of `frames`.
"""

from __future__ import annotations

from typing import Any

VERSION = 1
"""Format version of dataset.json and the records, which readers must support."""

REVISION = 3
"""Revision of a record's bytes: a data set is continued only by the revision that began it.
Revision 2 added `gravity`; 3 added the checksum and the fingerprint in each member's tar header
(`datagen.output.shard`)."""

GRAVITY_SINCE = 2
"""First revision whose records hold `gravity`."""

FPS = 30
"""Frames per second of every record."""

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
    "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
"""SMPL's 24 kinematic joints, in SMPL's order."""

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each of SMPL's joints."""

EVAL_JOINTS = (
    "lsp_right_ankle", "lsp_right_knee", "lsp_right_hip", "lsp_left_hip", "lsp_left_knee",
    "lsp_left_ankle", "lsp_right_wrist", "lsp_right_elbow", "lsp_right_shoulder",
    "lsp_left_shoulder", "lsp_left_elbow", "lsp_left_wrist", "lsp_neck", "lsp_head_top",
)  # fmt: skip
"""The 14 evaluation joints, in LSP's order as in HMR's cocoplus regressor."""

JOINTS = SMPL_JOINTS + EVAL_JOINTS
"""Joints of a record, J = 38."""

KEYPOINTS = EVAL_JOINTS[:12]
"""The limb joints whose heatmaps are the network's input. They are regressed from the surface,
where 2D detectors place them, and differ from SMPL's kinematic joints."""

STRIP_ROWS = 65_500
"""Most rows of a strip of pictures, limited by libjpeg."""

Line = dict[str, Any]
"""A line of a manifest."""

OFF_FRAME, BEHIND, CLEAR = 0, 1, 2
"""Visibility of a joint: outside the frame or the crop, behind the occluder, or visible."""


def mirrored(names: tuple[str, ...]) -> list[int]:
    """Return, for each joint, the index of its left-right counterpart (itself on the midline)."""

    def swap(name: str) -> str:
        if "left" in name:
            return name.replace("left", "right")
        return name.replace("right", "left")

    return [names.index(swap(name)) for name in names]
