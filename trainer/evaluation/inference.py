"""A checkpoint opened for inference on a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from trainer.common.device import find_device, keep_memory, native_precision, set_precision
from trainer.data.dataset import UNCHECKED, DataSet, open_dataset
from trainer.data.inputs import InputSpec
from trainer.data.loader import wanted_arrays
from trainer.data.options import EXACT, KeypointErrors, store_of
from trainer.data.places import Place
from trainer.errors import BadInput
from trainer.evaluation.fitting import embodied, refined
from trainer.evaluation.options import InferenceConfig
from trainer.evaluation.windows import ClipPredictor, PredictedClip, narrowed, predict_clips
from trainer.model.body import BodyJoints, JointRegressor, regressor_hash
from trainer.model.build import ModelSpec
from trainer.model.checkpoint import load_model
from trainer.model.proportions import proportions


@dataclass(frozen=True)
class Inference:
    """A checkpoint's predictions for a data set, made lazily as `clips` is iterated."""

    clips: Iterable[PredictedClip]
    dataset: DataSet
    spec: ModelSpec
    step: int
    frames: int
    stride: int
    body: BodyJoints
    """The checkpoint's body, on the CPU."""
    joint_regressor: JointRegressor
    """Regressor of the checkpoint's evaluation joints."""


def open_inference(
    cfg: InferenceConfig,
    arrays: frozenset[str] = frozenset(),
    errors: KeypointErrors = EXACT,
    *,
    truth: bool = True,
    fit_body: bool = False,
) -> Inference:
    """Open a checkpoint and a data set; the clips come with a progress bar.

    arrays: decoded besides the model's input. errors: as in `windows.disturbed`. truth: whether it
    is needed. fit_body: whether a joint head's joints become those of the body fitted to each clip.
    """
    device = find_device(cfg.device)
    keep_memory(device)
    dataset = open_dataset(cfg.shards, truth=truth, store=store_of(cfg.cache, cfg.cache_size))
    if not dataset.checked:
        print(UNCHECKED.format(dataset.folder))
    model, spec, saved = load_model(cfg.network, device, raw_weights=cfg.raw_weights)
    frames, stride = window_of(cfg, spec)
    refuse_other_joints(spec, dataset, dataset.folder, cfg.network)
    remark_on_difference(spec, dataset, f"{cfg.network} was trained on")
    regressor = JointRegressor(spec.joint_regressor, regressor_hash(saved["body"]))
    if truth:
        remark_on_regressor(dataset, regressor, f"{cfg.network} learned")
        remark_on_training(dataset, str((saved.get("data") or {}).get("fingerprint")), cfg.network)
    inputs = dataset.input_spec(spec)
    refuse_options(cfg, spec, inputs, errors, fit_body=fit_body)
    precision = precision_of(saved, device)
    set_precision(precision, device)
    predictor = ClipPredictor(
        model,
        inputs,
        frames=frames,
        stride=stride,
        batch_size=cfg.batch_size,
        device=device,
        precision=precision,
        mirror=cfg.mirror,
    )
    clips = predict_clips(
        predictor,
        dataset,
        wanted_arrays(spec.inputs, rays=spec.rays, targets=truth) | arrays,
        max_clips=cfg.max_clips,
        on_damage=cfg.on_damage,
        errors=errors,
    )
    total = min(dataset.clips, cfg.max_clips or dataset.clips)
    predicted: Iterable[PredictedClip] = tqdm(clips, total=total, unit="clip", mininterval=1.0)
    body = BodyJoints({name: np.asarray(value) for name, value in saved["body"].items()})
    if cfg.refine:
        known = proportions(body)
        predicted = (refined(clip, dataset, known) for clip in predicted)
    if fit_body:
        predicted = (embodied(clip, dataset, body) for clip in predicted)
    # A body is fitted to all predicted joints; these are then cut to those with ground truth.
    if spec.name == "lifter" or (spec.evaluation_only and truth):
        predicted = (narrowed(clip, spec.evaluation_names, dataset) for clip in predicted)
    return Inference(predicted, dataset, spec, int(saved["step"]), frames, stride, body, regressor)


def window_of(cfg: InferenceConfig, spec: ModelSpec) -> tuple[int, int]:
    """Return a window's length and stride, frames."""
    frames = cfg.frames or spec.frames
    stride = cfg.stride or max(1, frames // 2)
    if stride > frames:
        raise BadInput(
            f"--stride {stride} would leave gaps between windows of {frames} frames; "
            f"it must be at most {frames}."
        )
    return frames, stride


def refuse_options(
    cfg: InferenceConfig,
    spec: ModelSpec,
    inputs: InputSpec,
    errors: KeypointErrors,
    *,
    fit_body: bool,
) -> None:
    """Raise BadInput for options that do not apply to the checkpoint's network or the data set."""
    if fit_body and spec.head != "joints":
        raise BadInput(f"--body is for the joint head; {cfg.network} predicts a body itself.")
    if cfg.mirror and spec.name == "lifter":
        raise BadInput("--mirror averages rotations, and a lifter predicts none.")
    if cfg.refine and spec.head != "joints":
        raise BadInput(f"--refine is for the joint head; {cfg.network} has none.")
    if cfg.mirror and "flow" in inputs.parts and inputs.stored_size % inputs.flow_stride:
        raise BadInput(
            f"--mirror needs crops whose side is a multiple of the flow's stride; those of "
            f"{cfg.shards} are not."
        )
    if errors and "keypoints" not in inputs.parts:
        raise BadInput(
            f"{cfg.network} uses only {spec.inputs}, so --keypoint-noise, -drop and -gaps "
            "have no effect; omit them."
        )


def precision_of(saved: dict[str, Any], device: torch.device) -> str:
    """Return the precision to evaluate in: fp32; on a GPU that of the training, if supported."""
    if device.type != "cuda":
        return "fp32"
    trained = str(saved["settings"]["precision"])
    return native_precision(device) if trained == "bf16" else trained


def refuse_other_joints(
    model: ModelSpec, dataset: DataSet, named: str | Place, learned: str | Path
) -> None:
    """Raise BadInput if a data set's joints are not the model's.

    Measured ground truth may lack some of the evaluation joints.
    """
    known = set(dataset.evaluation_names) <= set(model.evaluation_names)
    if not known or dataset.keypoints != model.keypoints:
        raise BadInput(
            f"{named} has other joints than {learned}; "
            "make the data set again with this version of datagen."
        )


def remark_on_difference(model: ModelSpec, dataset: DataSet, learns: str) -> None:
    """Print a note if a data set's flow or crops differ from those that the model was trained on.

    It is no error: one may want to measure what the difference costs.
    """
    known = (model.flow, model.stored_size)
    if model.flow and known != (dataset.flow_name, dataset.image_size):
        print(
            f"note     {dataset.folder} holds {dataset.flow_name} flow at {dataset.image_size} px, "
            f"{learns} {model.flow} at {model.stored_size} px: expect larger "
            "errors, or make the data set again with that flow and --image-size"
        )
    sizes = (model.person_diagonal, dataset.person_diagonal)
    if all(sizes) and sizes[0] != sizes[1]:
        print(
            f"note     {dataset.folder} shows people of {sizes[1]:g} px, {learns} people of "
            f"{sizes[0]:g} px (--person-diagonal): expect larger errors"
        )


def remark_on_training(dataset: DataSet, trained: str, network: Path) -> None:
    """Print a note if a data set is part of the training data of a network.

    trained: fingerprints of the training data sets, joined by "+".
    """
    if part_of(dataset, trained):
        print(
            f"note     {network} is trained on {dataset.folder}, so this is a training error, "
            "smaller than the error on held-out people"
        )


def part_of(dataset: DataSet, trained: str) -> bool:
    """Return whether a data set is one of those with these fingerprints, joined by "+"."""
    return dataset.fingerprint in trained.split("+")


def remark_on_regressor(dataset: DataSet, own: JointRegressor, learns: str) -> None:
    """Print a note if a data set's true evaluation joints are by another regressor than `own`."""
    if dataset.joint_regressor.differs(own):
        print(
            f"note     {dataset.folder} has evaluation joints from {dataset.joint_regressor}, "
            f"{learns} those from {own}: definitions differ by up to 50 mm; make both data sets "
            "with one --joint-regressor"
        )
