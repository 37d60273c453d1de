"""Predicted and true joints of a clip, and the frames that count.

The same rule for trainer.evaluate, its frame errors and the validation of trainer.fit. Letters: T
frames of a clip, E evaluation joints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainer.data.dataset import DataSet
from trainer.evaluation.metrics import visible_frames
from trainer.evaluation.windows import PredictedClip
from trainer.model.motion_hmr import pick


class Comparison(NamedTuple):
    """A clip's predicted and true evaluation joints."""

    predicted: Tensor
    """[T, E, 3] metres, camera axes."""
    truth: Tensor
    """[T, E, 3] metres, camera axes; undefined in frames that are not `known`."""
    known: Tensor
    """bool [T]: frames with ground truth."""
    counted: Tensor
    """bool [T]: known, not totally occluded, at least seven of the limbs' and neck's joints
    visible (paper, section 4)."""


def compare_with_truth(clip: PredictedClip, dataset: DataSet) -> Comparison:
    """Return a clip's predicted and true joints."""
    arrays, joints = clip.arrays, list(dataset.evaluation_joints)
    known = torch.from_numpy(arrays["valid"].astype(bool))
    usable = known & ~torch.from_numpy(arrays["occluded"].astype(bool))
    # The joints that a 2D detector finds, so without the top of the head.
    names = zip(joints, dataset.evaluation_names, strict=True)
    detected = [joint for joint, name in names if not name.endswith("head_top")]
    visible = torch.from_numpy(arrays["joints2d"][:, detected, 2].copy())
    return Comparison(
        predicted=pick(clip.prediction["joints"], joints),
        truth=torch.from_numpy(arrays["joints3d"][:, joints].copy()),
        known=known,
        counted=visible_frames(visible, usable),
    )
