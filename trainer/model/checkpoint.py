"""Checkpoints: written whole or not at all, and read as data, never as code."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer.common.files import write_atomic, write_json
from trainer.common.sizes import checked_count
from trainer.errors import BadInput
from trainer.model.body import checked_body
from trainer.model.build import ModelSpec, build_model

LOCAL = ("shards", "val_shards", "out", "resume", "init", "weights", "dann_shards", "cache")
"""Options that name files of the machine that trained: no part of what is shared."""
FORMER_NAMES = (("memory.", "lstm."), ("regressor.of_errors.", "regressor.error_layer."))
"""Beginnings of weights' names in former versions, and theirs now."""
DAMAGED = (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
"""What is raised where a checkpoint's content is not what it should be."""
PARTS = {
    "model": dict, "body": dict, "weights": dict, "config": dict, "data": dict, "settings": dict,
    "step": int,
}  # fmt: skip
"""What every checkpoint has."""
TYPES = frozenset(
    (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
     torch.int16, torch.int8, torch.uint8, torch.bool)
)  # fmt: skip
LARGEST = 1e10
"""A weight beyond is damage; BatchNorm counts its batches."""
FORMAT = 2
"""What a model's input means is part of it: 1 counted flow in the input's own pixels."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint (tensors and plain values), whole or not at all."""
    with write_atomic(path) as file:
        torch.save({"format": FORMAT, **content}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU; BadInput if it is not one of our checkpoints."""
    if path.suffix == ".safetensors":
        content = load_release(path)
    else:
        content = read_tensors(path, "a last.pt or best.pt from a run's folder")
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise BadInput(
                f"{path} is not a checkpoint that this version of trainer.fit wrote; "
                "pass a last.pt or best.pt from a run's folder."
            )
    for name, kind in PARTS.items():
        if not isinstance(content.get(name), kind):
            raise BadInput(f"{path} is a damaged checkpoint (it has no {name}).")
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
        _require_stored(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol of files that are none
            content = torch.load(_source(path), map_location="cpu", weights_only=True)
        _require_plain(content)
        return content
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
    try:
        spec = ModelSpec.of(content["model"])
        arrays = {name: np.asarray(value) for name, value in content["body"].items()}
        body = checked_body(arrays, str(path))
        model = build_model(spec, body)
        weights = weights_of(content, raw=raw_weights)
        if not all((value.double().abs() < LARGEST).all() for value in weights.values()):
            raise ValueError("its weights have NaN, infinite or absurd numbers")
        model.load_state_dict(weights)
        content["step"] = int(content["step"])
    except DAMAGED as error:
        why = " ".join(str(error).split())
        raise BadInput(f"{path} is a damaged checkpoint ({why:.100}).") from error
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), spec, content


def _source(path: Path) -> Path | io.BytesIO:
    """Return what torch.load reads: of its older format, which claims lengths as it goes, the bytes
    that there are."""
    return path if zipfile.is_zipfile(path) else io.BytesIO(path.read_bytes())


def _require_stored(path: Path) -> None:
    """Raise ValueError if a zip of torch.save's is packed: it never is, and would be unpacked
    however large it is."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{info.filename} is compressed")
                checked_count(info.filename, (info.file_size,), path.stat().st_size)


def _require_plain(content: Any) -> None:
    """Raise ValueError if a tensor within has no numbers of its own, or is of no common type.

    A few bytes can make one of 8 GB: all strides 0, or a device that holds nothing.
    """
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.device.type != "cpu":
                raise ValueError("a tensor is sparse or on no device")
            if value.dtype not in TYPES:
                raise ValueError(f"a tensor is of {value.dtype}")
            size = value.untyped_storage().nbytes() // value.element_size()
            checked_count("a tensor", value.shape, size)


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
    except (SafetensorError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} or its config.json is damaged ({error}).") from None
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise BadInput(f"{config} is not the config.json of a network of this version.")
    parts: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "body": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    return {**described, "weights": parts["weights"], "body": parts["body"], "average": None}
