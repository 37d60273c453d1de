"""A trained model from a checkpoint, ready to look at shards."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from trainer.checkpoint import load_checkpoint
from trainer.errors import BadInput
from trainer.inputs import InputSpec
from trainer.model.build import ModelSpec, build_model
from trainer.shards import DataSet


def load_model(
    path: Path, device: torch.device, *, raw_weights: bool = False
) -> tuple[nn.Module, ModelSpec, int]:
    """Return (model in eval mode, its spec, its step) of a checkpoint; averaged weights if any."""
    content = load_checkpoint(path)
    spec = ModelSpec.of(content["model"])
    model = build_model(spec, content["body"])
    model.load_state_dict(
        content["weights" if raw_weights or not content["average"] else "average"]
    )
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), spec, int(content["step"])


def input_spec(model: ModelSpec, dataset: DataSet, checkpoint: Path) -> InputSpec:
    """Return how a data set's records become a model's input; BadInput if their joints differ.

    Measured truth may lack some of the evaluation joints. Flow of another kind than the model
    learned from is only remarked upon: it costs accuracy, and to see how much is a fair question.
    """
    known = set(dataset.evaluation_names) <= set(model.evaluation_names)
    if not known or dataset.keypoints != model.keypoints:
        raise BadInput(
            f"{dataset.folder} names other joints than {checkpoint} was trained on; "
            "make the data set again with this version of datagen."
        )
    learned = (model.flow, model.stored_size)
    if model.flow and learned != (dataset.flow_name, dataset.image_size):
        print(
            f"note     {dataset.folder} holds {dataset.flow_name} flow at {dataset.image_size} px, "
            f"{checkpoint} learned from {model.flow} at {model.stored_size} px: expect larger "
            "errors, or make the data set again with that flow and --image-size"
        )
    return dataset.spec(model.inputs, model.image_size, lift=model.name == "lifter")
