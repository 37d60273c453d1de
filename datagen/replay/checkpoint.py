"""Reads what a checkpoint of trainer.fit was trained on, without importing the trainer."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from datagen.common.errors import BadInput


@dataclass(frozen=True)
class CheckpointInfo:
    """Properties of the shards on which a network was trained."""

    flow: str
    """Their flow estimator; empty if the network uses no flow or the estimator is unknown."""
    image_size: int
    """Side of their crops, pixels; 0 if unknown."""
    person_diagonal: float
    """The person's diagonal in a crop of 224 px; 0 if unknown."""
    inputs: str
    """The network's inputs: keypoints, flow+keypoints, …; empty if unknown."""
    rest: np.ndarray
    """The body's rest joints, float [24,3] metres."""


def checkpoint_info(checkpoint: Path) -> CheckpointInfo:
    """Return what a checkpoint was trained on. Raises BadInput if it is not from trainer.fit."""
    try:
        model, body = contents(checkpoint)
        rest = rest_joints(body)
        if rest.shape != (24, 3) or not np.isfinite(rest).all():
            raise ValueError("its body is damaged")
        return CheckpointInfo(
            str(model.get("flow", "")),
            int(model.get("stored_size", 0)),
            float(model.get("person_diagonal", 0)),
            str(model.get("inputs", "")),
            rest,
        )
    # A file that is not a pickle may raise anything, and torch's message advises to load it as
    # code.
    except Exception:
        raise BadInput(
            f"{checkpoint} is not a checkpoint of trainer.fit; give a run's last.pt or best.pt"
        ) from None


def contents(checkpoint: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a checkpoint's description of its model, and its body's arrays."""
    if checkpoint.suffix == ".safetensors":
        from safetensors.numpy import load_file

        model = json.loads(checkpoint.with_name("config.json").read_text())["model"]
        arrays = load_file(checkpoint)
        body = {n.removeprefix("body."): a for n, a in arrays.items() if n.startswith("body.")}
        return model, body
    import torch  # takes a second and is needed only here

    from datagen.flow.checkpoint import require_plain, require_stored

    require_stored(checkpoint)
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    require_plain(content["body"])
    return content["model"], {name: part.numpy() for name, part in content["body"].items()}


def shipped() -> Path:
    """Return the path of the trainer's bundled network, without importing the trainer."""
    spec = importlib.util.find_spec("trainer")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations)))
    return folder / "assets" / "motion-joints" / "model.safetensors"


def rest_joints(body: Mapping[str, np.ndarray]) -> Float[np.ndarray, "24 3"]:
    """Return the rest joints [24,3] of a reduced body's mean shape, metres."""
    return body["J_regressor"] @ body["v_template"]
