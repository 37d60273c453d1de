"""Checkpoints: written whole or not at all, and read as data, never as code."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.errors import BadInput
from trainer.model.build import ModelSpec, build_model

FORMAT = 2
"""What a model's input means is part of it: 1 counted flow in the input's own pixels."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint (tensors and plain values): temporary name, flush, rename.

    A run killed at any moment leaves the former checkpoint or the new one, never half of one.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        torch.save({"format": FORMAT, **content}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU; BadInput if the file is none of ours."""
    content = read_tensors(path, "a last.pt or best.pt from a run's folder")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadInput(
            f"{path} is not a checkpoint that this version of trainer.fit wrote; "
            "pass a last.pt or best.pt from a run's folder."
        )
    return content


def read_tensors(path: Path, wanted: str) -> Any:
    """Return what torch.save wrote, tensors and plain values, on the CPU.

    Raises BadInput, which asks for `wanted`, if the file is not there, of another kind or damaged.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist; pass {wanted}.")
    if path.is_dir():
        raise BadInput(f"{path} is a folder; pass {wanted}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol of files that are none
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    # What is no pickle may raise anything, and torch's advice is to load it as code.
    except Exception:
        raise BadInput(
            f"{path} is not a checkpoint of tensors alone, or is damaged; pass {wanted}."
        ) from None


def load_model(
    path: Path, device: torch.device, *, raw_weights: bool = False
) -> tuple[nn.Module, ModelSpec, dict[str, Any]]:
    """Return (model in eval mode, its spec, its checkpoint); averaged weights if there are any."""
    content = load_checkpoint(path)
    spec = ModelSpec.of(content["model"])
    model = build_model(spec, content["body"])
    model.load_state_dict(
        content["weights" if raw_weights or not content["average"] else "average"]
    )
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), spec, content
