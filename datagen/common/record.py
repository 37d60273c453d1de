"""The format of a data set: its joints, its fields and their shapes, its dataset.json.

Letters used all over the project: T frames of a clip, S side of the crop in pixels, J joints,
V vertices, B clips of a batch.

Members of a record: flow.npy, labels.npz, meta.json, and rgb.jpg if the data set has pictures
(README names their arrays). Records of motions without pictures (`labels_only` in dataset.json) are
described in `datagen.output.motion_shard`. A record of real footage, of which `real` in
dataset.json speaks, is a track or a piece of one, T ≤ clip_length, and has more arrays:

    valid   uint8 [T]  the frame's 3D truth is known and the frame is the piece's own
    source  int32 [T]  the frame's number in the video or sequence; `crop` maps its pixels

of a video also

    time    float64 [T]  when the frame is shown, seconds after the video's first

and `gravity` only where it is known. A set that is `keypoints_only` has neither flow nor pictures.

Limbs and neck in its `joints2d` are detections; the other joints are the truth's projections, or
unseen. A frame without any detected limb is totally occluded. Joints without a truth are 0 in
`joints3d` and missing from `evaluation_joints`. Its meta.json gives `track`, unique to a data set,
and `person`, by which errors are averaged; pieces of one track repeat their neighbours' frames
around their own: `frames` [begin, end) in the track, `keep` [first, last) in the record, which
tile the track. So whoever joins predictions takes those of `keep`, in the order of `frames`.
"""

from __future__ import annotations

from typing import Any

VERSION = 1
"""Of dataset.json and the records, as readers must know them."""

REVISION = 3
"""Of a record's bytes: a data set is continued only by the revision that began it. 2 added
`gravity`, 3 the checksum and the fingerprint in each member's tar header
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
"""The 14 joints of the evaluation, in LSP's order as HMR's cocoplus regressor has them."""

JOINTS = SMPL_JOINTS + EVAL_JOINTS
"""Joints of a record, J = 38."""

KEYPOINTS = EVAL_JOINTS[:12]
"""The limbs whose heatmaps are the network's input; regressed from the surface, as a 2D detector
means them, not SMPL's kinematic joints."""

STRIP_ROWS = 65_500
"""Most rows of a strip of pictures: libjpeg encodes no more."""

Line = dict[str, Any]
"""A line of a manifest."""

OFF_FRAME, BEHIND, CLEAR = 0, 1, 2
"""Visibility of a joint: outside the frame or the crop, behind the occluder, neither."""


def mirrored(names: tuple[str, ...]) -> list[int]:
    """Return, for each joint, the index of its left-right counterpart (itself on the midline)."""

    def swap(name: str) -> str:
        if "left" in name:
            return name.replace("left", "right")
        return name.replace("right", "left")

    return [names.index(swap(name)) for name in names]
