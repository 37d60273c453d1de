"""Checkpoints: written whole or not at all, and read as data, never as code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from trainer.errors import BadInput

FORMAT = 1


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
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(
            f"{path} does not exist; pass a last.pt or best.pt from a run's folder."
        ) from None
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"{path} is not a checkpoint of trainer.fit ({reason}).") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadInput(f"{path} is not a checkpoint of trainer.fit in format {FORMAT}.")
    return content
