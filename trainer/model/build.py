"""Build a model from plain values, so that a checkpoint is enough to build it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer.model.lifter import Lifter, LiftingStatistics
from trainer.model.motion_hmr import MotionHMR
from trainer.model.motion_joints import MotionJoints

KINDS = {
    "str": {str}, "int": {int}, "bool": {bool}, "float": {float, int},
    "tuple[int, ...]": {int}, "tuple[str, ...]": {str},
}  # fmt: skip
LARGEST = {"channels": 256, "image_size": 4096, "stored_size": 4096, "lstm_width": 4096,
           "lstm_layers": 8}  # fmt: skip
"""Upper limits; a network beyond them fits no machine, so its description is damaged.
"""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that determines a model's architecture and the meaning of its input."""

    name: str
    inputs: str
    channels: int
    image_size: int
    frames: int
    backbone: str
    lstm_width: int
    rotation: str
    keypoints: tuple[int, ...]
    evaluation_joints: tuple[int, ...]
    evaluation_names: tuple[str, ...]
    flow: str = ""
    """Estimator of the flow it was trained on; empty if it uses none or if unknown."""
    stored_size: int = 0
    """Side of the crops in which that flow was estimated, pixels."""
    person_diagonal: float = 0.0
    """The people's size in those crops, pixels at 224; 0 if unknown."""
    joint_regressor: str = ""
    """Regressor of the evaluation joints, as named by its data set."""
    residual: bool = False
    """Whether the CNN's features are added to the LSTM's."""
    feedback: bool = False
    """Whether the regressor is given its reprojection error at the keypoints."""
    head: str = "smpl"
    """`smpl`, HMR's regressor, or `joints`, the joint head."""
    coordinates: bool = False
    """Whether the features use keypoint coordinates, instead of or in addition to heatmaps."""
    spacing: int = 1
    """Stored frames from one input frame to the next."""
    lstm_layers: int = 1
    """Layers of the LSTM."""
    keypoint_names: tuple[str, ...] = ()
    """Names of the keypoints."""
    evaluation_mirror: tuple[int, ...] = ()
    """Left-right counterpart of each evaluation joint, among them."""

    @property
    def rays(self) -> bool:
        """Whether the network is given the keypoints' rays."""
        return self.coordinates or self.head == "joints"

    @property
    def evaluation_only(self) -> bool:
        """Whether the model predicts only the evaluation joints."""
        return self.name == "lifter" or self.head == "joints"

    def plain(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON and checkpoints."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def of(values: Mapping[str, Any]) -> ModelSpec:
        """Return the spec of values from `plain`; TypeError or ValueError if they are wrong."""
        found: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        spec = ModelSpec(**found)
        for one in fields(ModelSpec):
            value = getattr(spec, one.name)
            parts = value if isinstance(value, tuple) else (value,)
            kind, most = KINDS[str(one.type)], LARGEST.get(one.name, 1 << 16)
            if isinstance(value, tuple) != str(one.type).startswith("tuple") or not all(
                type(part) in kind and (isinstance(part, str) or 0 <= part <= most)
                for part in parts
            ):
                raise ValueError(f"{one.name} cannot be {value!r:.80}")
        return spec


def build_model(
    spec: ModelSpec,
    body: Mapping[str, np.ndarray | torch.Tensor],
    *,
    pose: np.ndarray | None = None,
    betas: np.ndarray | None = None,
    statistics: LiftingStatistics | None = None,
) -> nn.Module:
    """Return the model of a spec with newly initialised weights.

    pose and betas: starting point of Motion HMR's refinement. statistics: means and standard
    deviations for a lifter. All three are part of a checkpoint's weights.
    """
    if spec.name == "lifter":
        blank = LiftingStatistics.blank(len(spec.keypoints), len(spec.evaluation_joints))
        return Lifter(statistics or blank)
    arrays = {name: np.asarray(value) for name, value in body.items()}
    if spec.head == "joints":
        return MotionJoints(
            arrays,
            names=spec.evaluation_names,
            mirror=spec.evaluation_mirror,
            channels=spec.channels,
            backbone=spec.backbone,
            lstm_width=spec.lstm_width,
            lstm_layers=spec.lstm_layers,
            residual=spec.residual,
            keypoints=spec.keypoint_names,
            coordinates=spec.coordinates,
        )
    return MotionHMR(
        arrays,
        channels=spec.channels,
        backbone=spec.backbone,
        lstm_width=spec.lstm_width,
        lstm_layers=spec.lstm_layers,
        residual=spec.residual,
        coordinates=len(spec.keypoints) if spec.coordinates else 0,
        feedback=spec.keypoints if spec.feedback else (),
        rotation=spec.rotation,
        pose=pose,
        betas=betas,
    )
