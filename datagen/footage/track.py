"""A person's track through real footage: detections, ground truth, and the labels of its crops.

T frames, S side of the crop, J joints of a record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datagen.clips import crop
from datagen.clips.camera_offset import inside
from datagen.common.errors import BadInput
from datagen.common.record import CLEAR, JOINTS, KEYPOINTS, OFF_FRAME, SMPL_JOINTS
from datagen.footage.keypoints import HEAD

_EVAL = slice(len(SMPL_JOINTS), len(JOINTS))


@dataclass(frozen=True, eq=False)
class Truth:
    """A person's 3D ground truth in the camera's frame."""

    joints3d: np.ndarray
    """float32 [T,J,3] metres; 0 for joints without ground truth."""
    valid: np.ndarray
    """bool [T]: whether the frame has ground truth."""
    camera: np.ndarray
    """float32 [3,3] K, pixels of the source."""
    joints2d: np.ndarray | None = None
    """float32 [T,J,2] projections, pixels of the source; for joints that detectors do not give."""
    pose: np.ndarray | None = None
    """float32 [T,72] axis-angle, root → camera."""
    betas: np.ndarray | None = None
    """float32 [10]."""
    trans: np.ndarray | None = None
    """float32 [T,3] metres."""
    gravity: np.ndarray | None = None
    """float32 [3], the direction of gravity."""


@dataclass(frozen=True, eq=False)
class Track:
    """One person in consecutive frames of one source."""

    name: str
    """Unique within a data set; shared by the pieces of a track."""
    person: str
    """The person's name: errors are averaged by person, over one or more tracks."""
    source: np.ndarray
    """int32 [T], each frame's number in the source, ascending."""
    points: np.ndarray
    """float32 [T,14,3] detections in EVAL_JOINTS' order: x, y in source pixels, seen 0/1."""
    truth: Truth | None = None
    time: np.ndarray | None = None
    """float64 [T] seconds after the source's first frame; None if unknown."""
    meta: dict[str, Any] = field(default_factory=dict)
    """More fields of a record's meta.json: source, size, fps."""

    def __len__(self) -> int:
        return len(self.source)


def labels(track: Track, size: int, diagonal: float) -> dict[str, np.ndarray]:
    """Return the arrays of labels.npz for the whole track, `crop` float64.

    In `joints2d`, limbs and neck are the detections, which are the network's input; the other
    joints are projections of the ground truth, not seen if there is none. A frame without a
    detected limb is totally occluded: the network gets only the flag.

    Args:
        size: S, pixels.
        diagonal: diagonal of the person's box in the crop, pixels at 224.

    Raises:
        BadInput: no frame shows enough of the person to crop around.
    """
    points = np.asarray(track.points, np.float64)
    length, joints = len(points), len(JOINTS)
    try:
        maps = crop.crop_maps(points, size, diagonal=diagonal)
    except ValueError:
        raise BadInput(
            f"{track.name}: none of its frames, {track.source[0]} to {track.source[-1]}, shows two "
            f"joints {crop.MIN_DIAGONAL:g} px apart to crop around; give better keypoints, or "
            "omit this person"
        ) from None
    maps = maps.astype(np.float32).astype(np.float64)  # pixels must move by the recorded values
    # Detections for the joints that detectors give, projected ground truth for all others.
    source = np.zeros((length, joints, 3))
    if track.truth is not None and track.truth.joints2d is not None:
        known = np.isfinite(track.truth.joints2d).all(-1) & track.truth.valid[:, None]
        source[..., :2] = np.where(known[..., None], np.nan_to_num(track.truth.joints2d), 0)
        source[..., 2] = known
    else:
        source[:, _EVAL.start + HEAD, :2] = points[:, HEAD, :2]  # an estimate, never "seen"
    source[:, _EVAL.start : _EVAL.start + HEAD] = points[:, :HEAD]
    joints2d = np.concatenate([crop.transform(maps, source[..., :2]), source[..., 2:]], -1)
    joints2d[..., :2] *= source[..., :2].any(-1, keepdims=True)
    joints2d[..., 2] *= inside(joints2d[..., :2], size, size)
    visibility = np.where(joints2d[..., 2] > 0, CLEAR, OFF_FRAME).astype(np.uint8)
    truth = track.truth
    empty = points[:, : len(KEYPOINTS), 2].max(axis=1) == 0
    valid = np.zeros(length, bool) if truth is None else truth.valid
    gravity = {} if truth is None or truth.gravity is None else {"gravity": truth.gravity}
    return {
        "joints2d": joints2d.astype(np.float32),
        "visibility": visibility,
        "joints3d": _or_zeros(truth and truth.joints3d, (length, joints, 3)),
        "pose": _or_zeros(truth and truth.pose, (length, 72)),
        "betas": _or_zeros(truth and truth.betas, (10,)),
        "trans": _or_zeros(truth and truth.trans, (length, 3)),
        "occluded": empty.astype(np.uint8),
        "crop": maps,
        "offsets": np.zeros((length, 2), np.float32),
        "camera": _or_zeros(truth and truth.camera, (3, 3)),
        "valid": valid.astype(np.uint8),
        "source": track.source.astype(np.int32),
        **gravity,
        **({} if track.time is None else {"time": track.time.astype(np.float64)}),
    }


def _or_zeros(array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.float32) if array is None else array.astype(np.float32)
