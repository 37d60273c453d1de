"""Checkpoints, written atomically and read as data, never as code."""

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
from trainer.errors import BadInput, near
from trainer.model.body import checked_body
from trainer.model.build import ModelSpec, build_model

LOCAL = ("shards", "val_shards", "out", "resume", "init", "weights", "dann_shards", "cache")
"""Options with paths of the training machine, which are not exported."""
FORMER_NAMES = (("memory.", "lstm."), ("regressor.of_errors.", "regressor.error_layer."))
"""Former prefixes of weights' names, and the current ones."""
DAMAGED = (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
"""Errors raised for a checkpoint with wrong content."""
PARTS = {
    "model": dict, "body": dict, "weights": dict, "config": dict, "data": dict, "settings": dict,
    "step": int,
}  # fmt: skip
"""Keys of every checkpoint."""
TYPES = frozenset(
    (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
     torch.int16, torch.int8, torch.uint8, torch.bool)
)  # fmt: skip
LARGEST = 1e10
"""A weight beyond is damage; BatchNorm counts its batches."""
FORMAT = 2
"""Version of the format, including the meaning of inputs: in 1, flow was in pixels of the input."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint (tensors and plain values) atomically."""
    with write_atomic(path) as file:
        torch.save({"format": FORMAT, **content}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU; BadInput if trainer.fit did not write it."""
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
    """Return the content of a torch.save file (tensors and plain values) on the CPU.

    Raises BadInput, which asks for `wanted`, if the file is missing, of another kind or damaged.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist{near(path)}; pass {wanted}.")
    if path.is_dir():
        raise BadInput(f"{path} is a folder; pass {wanted}.")
    try:
        _require_stored(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the pickle protocol of files that are no pickles
            content = torch.load(_source(path), map_location="cpu", weights_only=True)
        _require_plain(content)
        return content
    except PermissionError:
        raise
    # A file that is no pickle may raise anything, and torch would advise to load it as code.
    except Exception:
        raise BadInput(
            f"{path} is not a checkpoint of tensors only, or is damaged; pass {wanted}."
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
            raise ValueError("its weights have NaN, infinite or impossible numbers")
        model.load_state_dict(weights)
        content["step"] = int(content["step"])
    except DAMAGED as error:
        why = " ".join(str(error).split())
        raise BadInput(f"{path} is a damaged checkpoint ({why:.100}).") from error
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), spec, content


def _source(path: Path) -> Path | io.BytesIO:
    """Return what torch.load should read: the path, or for its older format, in which lengths may
    be false, the file's bytes."""
    return path if zipfile.is_zipfile(path) else io.BytesIO(path.read_bytes())


def _require_stored(path: Path) -> None:
    """Raise ValueError if a torch.save zip is compressed, which could unpack to any size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{info.filename} is compressed")
                checked_count(info.filename, (info.file_size,), path.stat().st_size)


def _require_plain(content: Any) -> None:
    """Raise ValueError if a tensor is not stored in full, or is of an unusual type.

    A few bytes can describe one of 8 GB: by strides of 0, or on the meta device.
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
    """Return a checkpoint's weights under their current names: the averaged ones if there are any.

    raw: the last weights instead.
    """
    return renamed(content["weights" if raw or not content["average"] else "average"])


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict under the current names."""
    return {current_name(name): value for name, value in weights.items()}


def current_name(name: str) -> str:
    """Return a weight's current name."""
    for former, now in FORMER_NAMES:
        if name.startswith(former):
            return now + name.removeprefix(former)
    return name


def save_release(folder: Path, content: dict[str, Any]) -> tuple[Path, Path]:
    """Write a checkpoint's network as model.safetensors and config.json; return their paths.

    Both hold only tensors and plain values, so that any program can read them without running code.
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
    """Return the content that `save_release` wrote, like `load_checkpoint`; BadInput if wrong."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = path.with_name("config.json")
    try:
        described = json.loads(config.read_text())
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise BadInput(
            f"{error.filename or path} does not exist{near(path)}; a .safetensors network lies "
            "beside its config.json."
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
