"""The parts of a run: its model, its losses, its loaders, from config, machine and data."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.config import FitConfig
from trainer.data.dataset import DataSet
from trainer.data.inputs import InputSpec, keypoint_vectors
from trainer.data.loader import Loader, Stream, collate, read_clips, wanted_arrays
from trainer.data.records import Damaged
from trainer.device import Ranks
from trainer.errors import BadInput
from trainer.evaluation.metrics import hips_of
from trainer.model.build import ModelSpec, build_model
from trainer.model.checkpoint import read_tensors
from trainer.model.lifter import Lifter, Statistics
from trainer.model.motion_hmr import MotionHMR, pick
from trainer.model.resnet import ResNet
from trainer.training.objective import (
    LifterObjective,
    MotionObjective,
    Objective,
    Weights,
    about_hips,
)
from trainer.training.settings import Settings
from trainer.training.step import Trainer

MEAN_CLIPS = 256
"""Clips whose mean pose and shape are the regressor's starting point."""


def model_spec(cfg: FitConfig, settings: Settings, dataset: DataSet) -> ModelSpec:
    """Return the spec of the model that a run trains."""
    spec = input_spec(cfg, settings, dataset)
    return ModelSpec(
        name=cfg.model,
        inputs=cfg.inputs,
        channels=spec.channels,
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
        residual=cfg.residual,
        feedback=cfg.feedback,
    )


def input_spec(cfg: FitConfig, settings: Settings, dataset: DataSet) -> InputSpec:
    """Return how a data set's records become the input of a run's model."""
    return dataset.spec(cfg.inputs, settings.image_size, lift=cfg.model == "lifter")


def make_trainer(
    cfg: FitConfig,
    settings: Settings,
    dataset: DataSet,
    body: dict[str, np.ndarray],
    device: torch.device,
    ranks: Ranks,
) -> Trainer:
    """Return a trainer with fresh weights."""
    torch.manual_seed(cfg.seed)
    spec = model_spec(cfg, settings, dataset)
    inputs = input_spec(cfg, settings, dataset)
    joints = dataset.evaluation_joints
    objective: Objective
    if cfg.model == "lifter":
        model = build_model(spec, body, statistics=lifting_statistics(dataset, inputs))
        assert isinstance(model, Lifter)
        objective = LifterObjective(model, joints, hips_of(dataset.evaluation_names))
    else:
        pose, betas = mean_person(dataset) if cfg.initial_pose == "data" else (None, None)
        model = build_model(spec, body, pose=pose, betas=betas)
        assert isinstance(model, MotionHMR)
        if cfg.weights:
            load_backbone(model.backbone, cfg.weights, cfg.inputs)
        domain = cfg.dann_weight if cfg.dann_shards else 0.0
        weights = Weights(cfg.weight_2d, cfg.weight_3d, cfg.weight_betas, cfg.weight_pose, domain)
        objective = MotionObjective(model, weights, joints, dataset.image_size)
    return Trainer(objective, cfg, settings, inputs, device, ranks)


def make_loaders(
    cfg: FitConfig,
    settings: Settings,
    dataset: DataSet,
    real: DataSet | None,
    device: torch.device,
    ranks: Ranks,
    saved: dict[str, Any] | None,
) -> list[Loader]:
    """Return the loader of the training clips and, for DANN, that of the real ones."""
    labelled = wanted_arrays(cfg.inputs, parameters=cfg.weight_pose > 0)
    read = [(dataset, labelled)]
    if real:
        if (real.image_size, real.flow_stride, real.joints) != (
            dataset.image_size, dataset.flow_stride, dataset.joints
        ):  # fmt: skip
            raise BadInput(
                f"{cfg.dann_shards} and {cfg.shards} differ in image size, flow or joints; "
                "make both with the same options."
            )
        real.spec(cfg.inputs, settings.image_size)  # refused here if it lacks the pictures
        if real.clip_length < settings.frames:
            raise BadInput(
                f"The clips of {cfg.dann_shards} have {real.clip_length} frames, fewer than the "
                f"{settings.frames} of a training clip; pass --frames {real.clip_length}, or make "
                f"them with --unlabelled {settings.frames}."
            )
        read.append((real, wanted_arrays(cfg.inputs, targets=False)))
    positions = saved["loaders"][ranks.rank] if saved else [None] * len(read)
    return [
        Loader(
            Stream(
                dataset=data,
                arrays=arrays,
                frames=settings.frames,
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


def mean_person(dataset: DataSet) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the mean pose (float [72], axis-angle) and betas [10] of the first clips, if any.

    A plain mean of the body joints' axis-angles: they stay well below π, where it is close to the
    rotations' own mean. It is where refinement starts, as HMR's mean parameters are, and no target.
    """
    clips = first_clips(dataset, frozenset({"pose", "betas", "occluded"}))
    if not clips:
        return None, None
    pose = np.mean([clip["pose"].mean(0) for clip in clips], 0)
    return pose, np.mean([clip["betas"] for clip in clips], 0)


def lifting_statistics(dataset: DataSet, spec: InputSpec) -> Statistics:
    """Return what a lifter standardises by, of the first clips."""
    arrays = frozenset({"joints2d", "joints3d", "occluded"})
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
    return Statistics.of(torch.cat(seen), torch.cat(truth))


def first_clips(dataset: DataSet, arrays: frozenset[str]) -> list[dict[str, np.ndarray]]:
    """Return the arrays of the first clips that can be read, at most MEAN_CLIPS."""
    read = (item[1] for item in read_clips(dataset, arrays) if not isinstance(item, Damaged))
    return list(islice(read, MEAN_CLIPS))


def load_backbone(backbone: ResNet, path: Path, inputs: str) -> None:
    """Load a torchvision state dict; of its first layer what looks at colour, if any is seen.

    That layer's other channels, flow's and the heatmaps', keep their fresh weights.
    """
    weights = read_tensors(path, "torchvision's weights of this --backbone")
    try:
        weights = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        first = backbone.conv1.weight.detach().clone()
        if inputs.startswith("rgb"):  # draw_inputs puts the picture's channels in front
            first[:, :3] = weights["conv1.weight"]
        weights["conv1.weight"] = first
        backbone.load_state_dict(weights)
    except (RuntimeError, KeyError, AttributeError, TypeError):
        raise BadInput(
            f"--weights {path} does not fit the network; "
            "pass torchvision's weights of this --backbone."
        ) from None
