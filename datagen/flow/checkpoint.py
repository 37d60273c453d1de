"""Read weights from files that nobody vouches for: tensors only, never code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datagen.common.errors import BadInput

# FlowNetPytorch keeps best_EPE beside the weights, in some files as a numpy number; these names
# build plain numbers and nothing else.
_NUMPY_NUMBERS = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
]


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the named tensors of a .pth file and whatever else it holds beside them.

    The weights may lie at the top or under `state_dict`; the prefix `module.`, which
    DataParallel leaves, is dropped.

    Raises:
        BadInput: no such file, not a PyTorch file, a pickle that would run code, no weights in
            it, or weights that are NaN or infinite.
    """
    if not path.is_file():
        raise BadInput(f"There are no flow weights at {path}: give an existing .pth file.")
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch answers alike to a pickle with code and to a text file
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise BadInput(
                f"{path} holds code or objects besides tensors and was not loaded: save its "
                "state dict alone."
            ) from error
        raise BadInput(f"{path} is not a PyTorch checkpoint: give a .pth file.") from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, OSError) as error:
        raise BadInput(f"{path} is broken or no PyTorch checkpoint: fetch it again.") from error
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
        if not torch.isfinite(value).all():
            raise BadInput(f"{path} has NaN or infinite weights in {key}: give another file.")
        state[key.removeprefix("module.")] = value
    return state, extras


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Load `state` into the network strictly, as float32.

    Raises:
        BadInput: the names or shapes are not this network's.
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
