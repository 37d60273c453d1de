"""Build the parts of a run (model, losses, loaders) from its config, the machine and the data."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer.common.device import Ranks
from trainer.data.dataset import DataSet
from trainer.data.endless.loader import EndlessLoader
from trainer.data.endless.source import endless_clips, read_takes
from trainer.data.inputs import InputSpec, channels_of, keypoint_vectors
from trainer.data.loader import Loader, collate, read_clips, wanted_arrays
from trainer.data.records import Damaged
from trainer.data.stream import Stream
from trainer.errors import BadInput
from trainer.evaluation.metrics import about_hips, hips_of
from trainer.model.build import ModelSpec, build_model
from trainer.model.checkpoint import load_checkpoint, read_tensors, weights_of
from trainer.model.clip_features import ClipFeatures
from trainer.model.lifter import Lifter, LiftingStatistics
from trainer.model.motion_hmr import MotionHMR, pick
from trainer.model.motion_joints import MotionJoints
from trainer.model.resnet import ResNet
from trainer.training.joint_loss import JointWeights
from trainer.training.objective import (
    JointObjective,
    LifterObjective,
    MotionObjective,
    Objective,
    Weights,
)
from trainer.training.options import FitConfig
from trainer.training.settings import Settings
from trainer.training.step import TrainStep

MEAN_CLIPS = 256
"""Clips whose mean pose and shape are the regressor's starting point."""


def model_spec(cfg: FitConfig, settings: Settings, dataset: DataSet) -> ModelSpec:
    """Return the spec of the model that a run trains."""
    coordinates = cfg.keypoints == "coordinates"
    keypoints = len(dataset.keypoints)
    return ModelSpec(
        name=cfg.model,
        inputs=cfg.inputs,
        channels=channels_of(cfg.inputs, keypoints, cfg.model == "lifter", coordinates),
        head=cfg.head,
        coordinates=coordinates,
        spacing=cfg.spacing,
        lstm_layers=cfg.lstm_layers,
        keypoint_names=tuple(dataset.joints[i] for i in dataset.keypoints),
        evaluation_mirror=tuple(
            dataset.evaluation_joints.index(dataset.mirror[i]) for i in dataset.evaluation_joints
        ),
        image_size=settings.image_size,
        frames=settings.frames,
        backbone=settings.backbone,
        lstm_width=settings.lstm_width,
        rotation=cfg.rotation,
        keypoints=dataset.keypoints,
        evaluation_joints=dataset.evaluation_joints,
        evaluation_names=dataset.evaluation_names,
        flow=dataset.flow_name if "flow" in cfg.inputs else "",
        stored_size=dataset.image_size,
        person_diagonal=dataset.person_diagonal,
        joint_regressor=dataset.joint_regressor.name,
        residual=cfg.residual,
        feedback=cfg.feedback,
    )


def make_train_step(
    cfg: FitConfig,
    settings: Settings,
    spec: ModelSpec,
    dataset: DataSet,
    body: dict[str, np.ndarray],
    device: torch.device,
    ranks: Ranks,
) -> TrainStep:
    """Return a training step whose model has newly initialised weights."""
    torch.manual_seed(cfg.seed)
    inputs = dataset.input_spec(spec)
    joints = dataset.evaluation_joints
    hips = hips_of(dataset.evaluation_names)
    objective: Objective
    if cfg.model == "lifter":
        model = build_model(spec, body, statistics=lifting_statistics(dataset, inputs))
        assert isinstance(model, Lifter)
        objective = LifterObjective(model, joints, hips)
    elif cfg.head == "joints":
        model = build_model(spec, body)
        assert isinstance(model, MotionJoints)
        weights = JointWeights(rotations=cfg.weight_rotations)
        objective = JointObjective(model, weights, joints, hips)
    else:
        pose, betas = mean_person(dataset) if cfg.initial_pose == "data" else (None, None)
        model = build_model(spec, body, pose=pose, betas=betas)
        assert isinstance(model, MotionHMR)
        domain = cfg.dann_weight if cfg.dann_shards else 0.0
        weights = Weights(cfg.weight_2d, cfg.weight_3d, cfg.weight_betas, domain)
        objective = MotionObjective(model, weights, joints, dataset.image_size)
    if cfg.weights:
        if not isinstance(model, ClipFeatures) or model.backbone is None:
            raise BadInput("--weights sets the weights of a CNN, which this network does not have.")
        load_backbone(model.backbone, cfg.weights, cfg.inputs)
    if cfg.init:
        known = load_initial(model, cfg.init)
        if cfg.keep_init:
            keep(model, known, cfg.init)
    return TrainStep(objective, cfg, settings, inputs, device, ranks)


def load_initial(model: nn.Module, path: Path) -> set[str]:
    """Load another run's weights, averaged if there are any; other layers keep their initial ones.

    Returns the names of the loaded weights. Raises BadInput if they are of a network of another
    size or of another kind.
    """
    weights = weights_of(load_checkpoint(path))
    own = model.state_dict()
    known = {name: value for name, value in weights.items() if name in own}
    other = [name for name, value in known.items() if value.shape != own[name].shape]
    if other or not known:
        what = f"{other[0]} is {tuple(known[other[0]].shape)}" if other else "it shares no weights"
        raise BadInput(f"--init {path} is of another network: {what}; use the options of that one.")
    model.load_state_dict(known, strict=False)
    return set(known)


def keep(model: nn.Module, names: set[str], path: Path) -> None:
    """Freeze the named weights; BadInput if there are no others to train."""
    for name, weight in model.named_parameters():
        weight.requires_grad_(name not in names)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise BadInput(f"--keep-init leaves nothing to train: {path} has all of its weights.")


def make_loaders(
    cfg: FitConfig,
    settings: Settings,
    model: ModelSpec,
    dataset: DataSet,
    real: DataSet | None,
    device: torch.device,
    ranks: Ranks,
    saved: dict[str, Any] | None,
) -> list[Loader] | list[EndlessLoader]:
    """Return the loader of the training clips and, for DANN, that of the real clips."""
    positions = saved["loaders"][ranks.rank] if saved else None
    if cfg.clips == "endless":
        return [endless_loader(cfg, settings, dataset, ranks, positions and positions[0])]
    labelled = wanted_arrays(cfg.inputs, rays=model.rays, parameters=cfg.head == "joints")
    read = [(dataset, labelled)]
    if real:
        if (real.image_size, real.flow_stride, real.joints) != (
            dataset.image_size, dataset.flow_stride, dataset.joints
        ):  # fmt: skip
            raise BadInput(
                f"{cfg.dann_shards} and {cfg.shards[0]} differ in image size, flow or joints; "
                "make both with the same options."
            )
        real.input_spec(model)  # raises BadInput if the data set has no pictures
        if real.clip_length < settings.frames:
            raise BadInput(
                f"The clips of {cfg.dann_shards} have {real.clip_length} frames, fewer than the "
                f"{settings.frames} of a training clip; pass --frames {real.clip_length}, or make "
                f"them with --unlabelled {settings.frames}."
            )
        unlabelled = wanted_arrays(cfg.inputs, rays=model.rays, targets=False)
        read.append((real, unlabelled))
    positions = positions or [None] * len(read)
    return [
        Loader(
            Stream(
                dataset=data,
                arrays=arrays,
                frames=settings.frames,
                spacing=cfg.spacing,
                batch_size=settings.batch_size,
                seed=cfg.seed,
                shuffle=cfg.shuffle,
                on_damage=cfg.on_damage,
            ),
            workers=settings.workers,
            rank=ranks.rank,
            world=ranks.world,
            position=position,
            pin=device.type == "cuda",
        )
        for (data, arrays), position in zip(read, positions, strict=True)
    ]


def endless_loader(
    cfg: FitConfig,
    settings: Settings,
    dataset: DataSet,
    ranks: Ranks,
    position: dict[str, object] | None,
) -> EndlessLoader:
    """Return the loader of endless clips of a data set's motions."""
    clips = endless_clips(
        dataset, cfg.endless, frames=settings.frames, spacing=cfg.spacing, on_damage=cfg.on_damage
    )
    return EndlessLoader(
        clips,
        batch_size=settings.batch_size,
        seed=cfg.seed,
        rank=ranks.rank,
        workers=settings.workers,
        position=position,
    )


def mean_person(dataset: DataSet) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the mean pose (float [72], axis-angle) and betas [10] of the first clips, if any.

    The pose is the plain mean of the body joints' axis-angles, which stay well below π, where it is
    close to the mean rotation. Like HMR's mean parameters, it is only where refinement starts.
    """
    takes = islice(read_takes(dataset), MEAN_CLIPS)
    clips = [take.labels for take in takes if not isinstance(take, Damaged)]
    if not clips:
        return None, None
    pose = np.mean([clip["pose"].astype(np.float32).mean(0) for clip in clips], 0)
    betas = [clip["betas"] for clip in clips if "betas" in clip]
    return pose, np.mean(betas, 0) if betas else None


def lifting_statistics(dataset: DataSet, spec: InputSpec) -> LiftingStatistics:
    """Return the mean and standard deviation, over the first clips, that a lifter normalises by."""
    arrays = frozenset({"joints2d", "joints3d", "occluded", "visibility"})
    clips = first_clips(dataset, arrays)
    if not clips:
        raise BadInput(f"{dataset.folder} holds no readable clip; run datagen.verify on it.")
    batches = [collate([clip]) for clip in clips]
    hips = hips_of(dataset.evaluation_names)
    truth = [
        about_hips(pick(b["joints3d"], dataset.evaluation_joints), hips).flatten(0, 1).flatten(1)
        for b in batches
    ]
    seen = [keypoint_vectors(b, spec).flatten(0, 1) for b in batches]
    return LiftingStatistics.of(torch.cat(seen), torch.cat(truth))


def first_clips(dataset: DataSet, arrays: frozenset[str]) -> list[dict[str, np.ndarray]]:
    """Return the arrays of the first clips that can be read, at most MEAN_CLIPS."""
    read = (item[1] for item in read_clips(dataset, arrays) if not isinstance(item, Damaged))
    return list(islice(read, MEAN_CLIPS))


def load_backbone(backbone: ResNet, path: Path, inputs: str) -> None:
    """Load a torchvision state dict; its first layer only where RGB is among the inputs.

    That layer's channels for flow and heatmaps keep their initial weights.
    """
    weights = read_tensors(path, "torchvision's weights of this --backbone")
    try:
        weights = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        first = backbone.conv1.weight.detach().clone()
        if inputs.startswith("rgb"):  # draw_inputs puts the picture's channels first
            first[:, :3] = weights["conv1.weight"]
        weights["conv1.weight"] = first
        backbone.load_state_dict(weights)
    except (RuntimeError, KeyError, AttributeError, TypeError):
        raise BadInput(
            f"--weights {path} does not fit the network; "
            "pass torchvision's weights of this --backbone."
        ) from None
