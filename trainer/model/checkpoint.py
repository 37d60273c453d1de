"""Checkpoints: written whole or not at all, and read as data, never as code."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.common.files import write_atomic, write_json
from trainer.errors import BadInput
from trainer.model.build import ModelSpec, build_model

LOCAL = ("shards", "val_shards", "out", "resume", "init", "weights", "dann_shards", "cache")
"""Options that name files of the machine that trained: no part of what is shared."""
FORMER_NAMES = (("memory.", "lstm."), ("regressor.of_errors.", "regressor.error_layer."))
"""Beginnings of weights' names in former versions, and theirs now."""
FORMAT = 2
"""What a model's input means is part of it: 1 counted flow in the input's own pixels."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint (tensors and plain values), whole or not at all."""
    with write_atomic(path) as file:
        torch.save({"format": FORMAT, **content}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU; BadInput if it is not one of our checkpoints."""
    if path.suffix == ".safetensors":
        return load_release(path)
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
    model.load_state_dict(weights_of(content, raw=raw_weights))
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), spec, content


def weights_of(content: dict[str, Any], *, raw: bool = False) -> dict[str, torch.Tensor]:
    """Return a checkpoint's weights under today's names: averaged ones if there are any.

    raw: the last ones instead.
    """
    return renamed(content["weights" if raw or not content["average"] else "average"])


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict under today's names."""
    return {current_name(name): value for name, value in weights.items()}


def current_name(name: str) -> str:
    """Return what a weight is called today."""
    for former, now in FORMER_NAMES:
        if name.startswith(former):
            return now + name.removeprefix(former)
    return name


def save_release(folder: Path, content: dict[str, Any]) -> tuple[Path, Path]:
    """Write a checkpoint's network as model.safetensors and config.json; return their paths.

    Tensors and plain values alone, so that any program may read it and none has to run code.
    """
    from safetensors.torch import save

    weights = {f"weights.{name}": value.contiguous() for name, value in weights_of(content).items()}
    body = {
        f"body.{name}": torch.as_tensor(value).contiguous()
        for name, value in content["body"].items()
    }
    described = {
        "format": FORMAT,
        "model": content["model"],
        "settings": content["settings"],
        "step": content["step"],
        "config": {k: v for k, v in content["config"].items() if k not in LOCAL},
        "data": content["data"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    model, config = folder / "model.safetensors", folder / "config.json"
    with write_atomic(model) as file:
        file.write(save(weights | body))
    write_json(config, described)
    return model, config


def load_release(path: Path) -> dict[str, Any]:
    """Return what `save_release` wrote, as `load_checkpoint` does; BadInput if it is not that."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = path.with_name("config.json")
    try:
        described = json.loads(config.read_text())
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise BadInput(
            f"{error.filename or path} does not exist; a .safetensors network lies beside its "
            "config.json."
        ) from None
    except (SafetensorError, ValueError) as error:
        raise BadInput(f"{path} or its config.json is damaged ({error}).") from None
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise BadInput(f"{config} is not the config.json of a network of this version.")
    parts: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "body": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    return {**described, "weights": parts["weights"], "body": parts["body"], "average": None}
