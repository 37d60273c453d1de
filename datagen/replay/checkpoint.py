"""What a checkpoint of trainer.fit learned from. The trainer is not imported: only its file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datagen.common.errors import BadInput


@dataclass(frozen=True)
class Learned:
    """The shards that a network was trained on."""

    flow: str
    """What estimated their flow; empty if the network sees none, or nobody knows."""
    image_size: int
    """Side of their crops, pixels; 0 if nobody knows."""
    person_diagonal: float
    """The people's size in a crop of 224 px; 0 if nobody knows."""
    rest: np.ndarray
    """Its body's joints at rest, float [24,3] metres."""


def learned_from(checkpoint: Path) -> Learned:
    """Return what a checkpoint learned from. BadInput if it is none of trainer.fit's."""
    import torch  # takes a second, and is needed for this alone

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        model = content["model"]
        rest = rest_joints({name: part.numpy() for name, part in content["body"].items()})
        return Learned(
            str(model.get("flow", "")),
            int(model.get("stored_size", 0)),
            float(model.get("person_diagonal", 0)),
            rest,
        )
    # What is no pickle may raise anything, and torch's advice is to load it as code.
    except Exception:
        raise BadInput(
            f"{checkpoint} is no checkpoint of trainer.fit; give a last.pt or best.pt of a run"
        ) from None


def rest_joints(body: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the joints [24,3] of a reduced body's mean shape in its rest pose, metres."""
    return body["J_regressor"] @ body["v_template"]
