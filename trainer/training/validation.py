"""Validation: the error of the network in training on held-out clips."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist

from trainer.common.device import Ranks
from trainer.data.dataset import DataSet, open_dataset
from trainer.data.loader import wanted_arrays
from trainer.data.store import Store
from trainer.errors import BadInput
from trainer.evaluation.inference import (
    part_of,
    refuse_other_joints,
    remark_on_difference,
    remark_on_regressor,
)
from trainer.evaluation.metrics import mean_over, pa_mpjpe
from trainer.evaluation.truth import compare_with_truth
from trainer.evaluation.windows import ClipPredictor, narrowed, predict_clips
from trainer.model.build import ModelSpec
from trainer.training.options import FitConfig
from trainer.training.settings import Settings
from trainer.training.step import TrainStep


def open_held_out(
    cfg: FitConfig, model: ModelSpec, trained: DataSet, ranks: Ranks, store: Store
) -> list[DataSet]:
    """Return the validation data sets, or raise BadInput before the first step.

    trained: the run's training data; notes are printed on a set that differs from it or is part of
    it.
    """
    held = []
    for folder in cfg.val_shards:
        dataset = open_dataset(folder, "--val-shards", store=store)
        try:
            dataset.input_spec(model)
        except BadInput as error:
            raise BadInput(f"--val-shards: {error}") from None
        refuse_other_joints(model, dataset, f"--val-shards {folder}", cfg.shards[0])
        if ranks.first:
            remark_on_difference(model, dataset, "this run learns from")
            remark_on_regressor(dataset, trained.joint_regressor, "this run learns")
            if part_of(dataset, trained.fingerprint):
                print(
                    "note     --val-shards is part of the training set, so its error is a training "
                    "error"
                )
        held.append(dataset)
    return held


def held_out_error(
    train_step: TrainStep,
    cfg: FitConfig,
    settings: Settings,
    model: ModelSpec,
    held: list[DataSet],
    ranks: Ranks,
) -> float:
    """Return the mean of the data sets' errors, measured by the first rank for all ranks."""
    error = [math.inf]
    if ranks.first:
        errors = [validate(train_step, cfg, settings, model, dataset) for dataset in held]
        error = [sum(errors) / len(errors)]
    if ranks.world > 1:
        dist.broadcast_object_list(error)
    return error[0]


def validate(
    train_step: TrainStep,
    cfg: FitConfig,
    settings: Settings,
    model: ModelSpec,
    dataset: DataSet,
) -> float:
    """Return the mean PA-MPJPE over a data set's validation clips, mm; NaN if no frame counts.

    Averaged over the frames that trainer.evaluate counts, as its mean of frames does.
    """
    spec = dataset.input_spec(model)
    predictor = ClipPredictor(
        train_step.eval_model.eval(),
        spec,
        frames=settings.frames,
        stride=max(1, settings.frames // 2),
        batch_size=settings.batch_size,
        device=train_step.device,
        precision=settings.precision,
    )
    clips = predict_clips(
        predictor,
        dataset,
        wanted_arrays(model.inputs, rays=model.rays),
        max_clips=cfg.val_clips,
        on_damage=cfg.on_damage,
    )
    errors = [torch.empty(0)]
    for clip in clips:
        if model.evaluation_only:
            clip = narrowed(clip, model.evaluation_names, dataset)
        compared = compare_with_truth(clip, dataset)
        errors.append(pa_mpjpe(compared.predicted, compared.truth)[compared.counted])
    values = torch.cat(errors)
    return mean_over(values, torch.ones(len(values), dtype=torch.bool))
