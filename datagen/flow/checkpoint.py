"""Reads weights from untrusted files: tensors only, never code."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datagen.common.errors import BadInput, near
from datagen.common.sizes import checked_count

# FlowNetPytorch stores best_EPE beside the weights, in some files as a numpy number; these names
# construct only plain numbers.
TYPES = frozenset(
    (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
     torch.int16, torch.int8, torch.uint8, torch.bool)
)  # fmt: skip
LARGEST = 1e10
"""Larger weights are damage; BatchNorm's batch counter is below this."""
_NUMPY_NUMBERS = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
]


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the named tensors of a .pth file and its other entries.

    The weights may be at the top level or under `state_dict`; DataParallel's prefix `module.` is
    removed.

    Raises:
        BadInput: the file does not exist, is not a PyTorch file, is a pickle that would run code,
            has no weights, or has weights that are NaN or infinite.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist{near(path)}; give a .pth file with flow weights")
    content = load_tensors(path)
    extras: dict[str, Any] = {}
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        extras = {key: value for key, value in content.items() if key != "state_dict"}
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise BadInput(f"{path} holds no state dict: save the network's state_dict().")
    state = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise BadInput(f"{path} holds no state dict: save the network's state_dict().")
        if not (value.double().abs() < LARGEST).all():
            raise BadInput(
                f"{path} has NaN, infinite or absurd weights in {key}: give another file."
            )
        state[key.removeprefix("module.")] = value
    return state, extras


def load_tensors(path: Path) -> Any:
    """Return the content of a file written by torch.save, tensors and plain values, on the CPU.

    Raises:
        BadInput: it is not a PyTorch file, is damaged, is a pickle that would run code, or has a
            tensor that expands to more than the file's size.
    """
    try:
        require_stored(path)
        with torch.serialization.safe_globals(_NUMPY_NUMBERS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol of other files
            content = torch.load(_source(path), map_location="cpu", weights_only=True)
        require_plain(content)
        return content
    except PermissionError:
        raise
    except Exception as error:  # files that are not pickles may raise anything
        # torch raises the same error for a pickle with code and a text file
        if isinstance(error, pickle.UnpicklingError) and (
            "Unsupported" in str(error) or "GLOBAL" in str(error)
        ):
            raise BadInput(
                f"{path} holds code or objects other than tensors and was not loaded: save only "
                "its state dict."
            ) from error
        why = " ".join(str(error).split())
        raise BadInput(
            f"{path} is damaged or not a PyTorch checkpoint ({why:.100}): give another .pth file."
        ) from error


def _source(path: Path) -> Path | io.BytesIO:
    """Return the source for torch.load: for its older format, whose lengths cannot be checked
    beforehand, the bytes in memory."""
    return path if zipfile.is_zipfile(path) else io.BytesIO(path.read_bytes())


def require_stored(path: Path) -> None:
    """Raise ValueError if a zip file is compressed: torch.save never compresses, and decompression
    could expand to any size."""
    if not zipfile.is_zipfile(path):
        return
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is compressed")
            checked_count(info.filename, (info.file_size,), size)


def require_plain(content: Any) -> None:
    """Raise ValueError if a tensor does not store all its numbers, or has an unusual type.

    A few bytes can describe a tensor of 8 GB, with zero strides or on the meta device.
    """
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, Tensor):
            if value.layout != torch.strided or value.device.type != "cpu":
                raise ValueError("a tensor is sparse or on no device")
            if value.dtype not in TYPES:
                raise ValueError(f"a tensor is of {value.dtype}")
            size = value.untyped_storage().nbytes() // value.element_size()
            checked_count("a tensor", value.shape, size)


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Load `state` into the network strictly, as float32.

    Raises:
        BadInput: names or shapes do not match this network.
    """
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - state.keys())
    surplus = sorted(state.keys() - wanted.keys())
    if missing or surplus:
        lack = f"lacks {missing[0]}" if missing else f"has {surplus[0]} too many"
        raise BadInput(
            f"{path} is not a checkpoint of {what} ({lack}; {len(missing)} names missing, "
            f"{len(surplus)} unknown): give that network's weights or name another --flow."
        )
    for key, value in wanted.items():
        if state[key].shape != value.shape:
            raise BadInput(
                f"{path} is not a checkpoint of {what}: {key} is {list(state[key].shape)}, "
                f"not {list(value.shape)}; give that network's weights."
            )
    network.load_state_dict({key: state[key].float() if value.is_floating_point() else state[key]
                             for key, value in wanted.items()})  # fmt: skip
