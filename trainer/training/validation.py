"""The error of the network in training on clips that it does not learn from."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist

from trainer.config import FitConfig
from trainer.data.dataset import DataSet, open_dataset
from trainer.data.loader import wanted_arrays
from trainer.device import Ranks
from trainer.errors import BadInput
from trainer.evaluation.inference import refuse_other_joints, remark_on_difference
from trainer.evaluation.metrics import clip_pa_mpjpe, mean_over
from trainer.evaluation.windows import narrowed, predict_clips
from trainer.model.build import ModelSpec
from trainer.model.motion_hmr import pick
from trainer.training.factory import input_spec
from trainer.training.settings import Settings
from trainer.training.step import Trainer


def open_held_out(
    cfg: FitConfig, settings: Settings, model: ModelSpec, ranks: Ranks
) -> DataSet | None:
    """Return the validation data set if there is one, or raise BadInput, before a step is lost."""
    if cfg.val_shards is None:
        return None
    held = open_dataset(cfg.val_shards, "--val-shards")
    try:
        input_spec(cfg, settings, held)
    except BadInput as error:
        raise BadInput(f"--val-shards: {error}") from None
    refuse_other_joints(model, held, f"--val-shards {held.folder}", cfg.shards)
    if ranks.first:
        remark_on_difference(model, held, "this run learns from")
    return held


def held_out_error(
    trainer: Trainer,
    cfg: FitConfig,
    settings: Settings,
    model: ModelSpec,
    dataset: DataSet,
    ranks: Ranks,
) -> float:
    """Return the validation error, which the first rank measures and tells the others."""
    error = [validate(trainer, cfg, settings, model, dataset) if ranks.first else math.inf]
    if ranks.world > 1:
        dist.broadcast_object_list(error)
    return error[0]


def validate(
    trainer: Trainer,
    cfg: FitConfig,
    settings: Settings,
    model: ModelSpec,
    dataset: DataSet,
) -> float:
    """Return the mean PA-MPJPE of the validation clips, mm."""
    joints = dataset.evaluation_joints
    errors = []
    for clip in predict_clips(
        trainer.judged.eval(),
        dataset,
        input_spec(cfg, settings, dataset),
        wanted_arrays(cfg.inputs),
        frames=settings.frames,
        stride=max(1, settings.frames // 2),
        batch_size=settings.batch_size,
        device=trainer.device,
        precision=settings.precision,
        max_clips=cfg.val_clips,
        on_damage=cfg.on_damage,
    ):
        if model.name == "lifter":
            clip = narrowed(clip, model.evaluation_names, dataset)
        truth = pick(torch.from_numpy(clip.arrays["joints3d"].copy()), joints)
        valid = torch.from_numpy(clip.arrays["valid"].astype(bool))
        errors.append(clip_pa_mpjpe(pick(clip.prediction["joints"], joints), truth, valid))
    values = torch.tensor(errors)
    return mean_over(values, ~values.isnan())
