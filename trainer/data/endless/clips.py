"""Endless clips as batches of records, like shards' labels, without flow or pictures.

A batch depends only on (seed, consumer, its number), so a resumed run continues exactly.
Letters: n clips, T frames, E evaluation joints, J joints of a record, S side of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trainer.data.dataset import DataSet
from trainer.data.endless.cameras import draw_cameras, mirror_joints, place
from trainer.data.endless.detector import ORDER, Detector, diagonal
from trainer.data.endless.motions import MotionStore
from trainer.data.endless.options import EndlessConfig
from trainer.data.endless.people import StretchedBody, bone_sizes
from trainer.data.endless.postures import Postures
from trainer.data.inputs import PAPER_SIZE, Batch
from trainer.errors import BadInput
from trainer.model.body import BodyJoints, mirror_rotations

FOCAL = 1000.0
"""Focal length of the virtual pictures, pixels; only the crops depend on it."""
DIAGONAL = 150.0
"""The people's size in a crop of 224 px, if a data set does not give it."""


@dataclass(frozen=True)
class RecordLayout:
    """The layout of a record's joints, and the size of its crops."""

    joints: int
    keypoints: tuple[int, ...]
    evaluation: tuple[int, ...]
    evaluation_mirror: tuple[int, ...]
    """Left-right counterpart of each evaluation joint, among them."""
    image_size: int
    diagonal: float
    """The people's size in the crops, pixels."""

    @staticmethod
    def of(dataset: DataSet) -> RecordLayout:
        """Return a data set's layout; BadInput if its keypoints are not the detector's."""
        names = tuple(dataset.joints[i].removeprefix("lsp_") for i in dataset.keypoints)
        if names != ORDER or not set(dataset.keypoints) <= set(dataset.evaluation_joints):
            raise BadInput(
                f"{dataset.folder} names other keypoints than endless clips have; make the data "
                "set again with this version of datagen."
            )
        evaluation = dataset.evaluation_joints
        counterpart = [evaluation.index(dataset.mirror[i]) for i in evaluation]
        size = dataset.image_size
        return RecordLayout(
            joints=len(dataset.joints),
            keypoints=dataset.keypoints,
            evaluation=evaluation,
            evaluation_mirror=tuple(counterpart),
            image_size=size,
            diagonal=(dataset.person_diagonal or DIAGONAL) * size / PAPER_SIZE,
        )


class EndlessClips:
    """Draws batches of clips: bodies in motion, virtual cameras and a simulated detector."""

    def __init__(
        self,
        motions: MotionStore,
        bodies: Sequence[BodyJoints],
        layout: RecordLayout,
        config: EndlessConfig,
        *,
        frames: int,
        spacing: int = 1,
    ) -> None:
        self.config, self.layout, self.frames = config, layout, frames
        self.bodies = [StretchedBody(body) for body in bodies]
        self.postures = Postures(motions, config, frames, spacing)

    def draw(self, n: int, generator: torch.Generator) -> Batch:
        """Return n clips as a batch of records.

        In `joints2d` and `joints3d` [n, T, J, ...] only the evaluation joints are set, the others
        are 0; `joints2d` has the detected keypoints, `target2d` the true ones. `rotations`
        [n, T, 24, 3, 3] are rest pose → camera axes, in which `gravity` [n, 3] points down. `crop`
        [n, T, 2, 3] and `camera` [n, 3, 3] as in shards.
        """
        cfg, layout = self.config, self.layout
        rotations, joints = self.people(n, generator)
        turn, distance = draw_cameras(n, cfg, generator)
        gravity = -turn[:, :, 1]
        joints = joints @ turn[:, None].mT
        rotations[:, :, 0] = turn[:, None] @ rotations[:, :, 0]
        if cfg.mirror:
            chosen = torch.rand(n, generator=generator) < 0.5
            joints[chosen] = mirror_joints(joints[chosen], list(layout.evaluation_mirror))
            rotations[chosen] = mirror_rotations(rotations[chosen])
            gravity[chosen] *= gravity.new_tensor([-1.0, 1.0, 1.0])
        joints = place(joints, distance)
        points = joints[..., :2] / joints[..., 2:] * FOCAL
        chosen = [layout.evaluation.index(i) for i in layout.keypoints]
        found, seen = Detector(cfg, generator)(points[:, :, chosen])
        record = self.record(joints, points, found, seen)
        return {**record, "rotations": rotations, "gravity": gravity}

    def people(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return rotations [n, T, 24, 3, 3] and joints [n, T, E, 3] in a world with y up."""
        rotations, pelvis = self.postures.draw(n, generator)
        body = self.bodies[int(torch.randint(len(self.bodies), (1,), generator=generator))]
        betas = torch.randn(n, 10, generator=generator) * self.config.betas
        size = bone_sizes(n, self.config.bones, generator)
        return rotations, body(rotations, pelvis, betas, size)

    def record(self, joints: Tensor, points: Tensor, found: Tensor, seen: Tensor) -> Batch:
        """Return a batch of joints [n,T,E,3], projections [n,T,E,2] and keypoints [n,T,K,2]."""
        layout = self.layout
        n, frames = joints.shape[:2]
        crop = crops(points, layout.image_size, layout.diagonal)
        scale, shift = crop[:, :, None, [0, 1], [0, 1]], crop[:, :, None, :, 2]
        evaluation, keypoints = list(layout.evaluation), list(layout.keypoints)
        out = {
            "joints3d": torch.zeros(n, frames, layout.joints, 3),
            "target2d": torch.zeros(n, frames, layout.joints, 3),
            "visibility": torch.zeros(n, frames, layout.joints, dtype=torch.uint8),
            "crop": crop,
            "camera": torch.diag(torch.tensor([FOCAL, FOCAL, 1.0])).expand(n, 3, 3),
            "valid": torch.ones(n, frames, dtype=torch.uint8),
            "occluded": (~seen.any(-1)).to(torch.uint8),
        }
        out["joints3d"][:, :, evaluation] = joints
        out["target2d"][:, :, evaluation, :2] = points * scale + shift
        out["target2d"][:, :, evaluation, 2] = 1
        out["joints2d"] = out["target2d"].clone()
        out["joints2d"][:, :, keypoints, :2] = found * scale + shift
        out["joints2d"][:, :, keypoints, 2] = seen.float()
        out["visibility"][:, :, evaluation] = 2
        return out


def crops(points: Float[Tensor, "n t k 2"], size: int, person: float) -> Float[Tensor, "n t 2 3"]:
    """Return crops [n, T, 2, 3], source → crop pixels, that follow people's boxes.

    One scale per clip: its median box diagonal becomes `person` pixels.
    """
    scale = person / diagonal(points)
    middle = (points.amax(2) + points.amin(2)) / 2
    out = torch.zeros(*points.shape[:2], 2, 3)
    out[..., 0, 0] = out[..., 1, 1] = scale[:, None]
    out[..., 2] = (size - 1) / 2 - middle * scale[:, None, None]
    return out


def seeded(*keys: int) -> torch.Generator:
    """Return a generator seeded by these keys."""
    state = np.random.SeedSequence(keys).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))
