"""Loads the body to draw, and checks it against that of a network or data set."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from datagen.bodies.smpl.model import Body, load_bodies, neutral_or_first
from datagen.common.errors import BadInput
from datagen.common.npz import open_npz
from datagen.output.layout import Layout
from datagen.replay.checkpoint import rest_joints


def load_body(path: Path | None) -> Body:
    """Return the neutral body, or the only one."""
    return neutral_or_first(load_bodies(path))


@cache
def ready_body(path: Path | None) -> Body:
    """Return the body from `load_body` after a first forward pass, which loads libraries."""
    body = load_body(path)
    body.forward(np.zeros((1, 72)), np.zeros((1, 10)), np.zeros((1, 3)))
    return body


def rest_of(shards: Path) -> Float[np.ndarray, "24 3"]:
    """Return the rest joints [24,3] of the shards' body."""
    try:
        with open_npz(Layout(shards).body) as body:
            return rest_joints({name: body.read(name) for name in ("J_regressor", "v_template")})
    except FileNotFoundError:
        raise BadInput(f"--shards {shards} holds no body.npz, so it is not a data set") from None
    except (OSError, KeyError, ValueError) as error:
        raise BadInput(
            f"{shards} has no readable body.npz ({error}); make the data set again"
        ) from None


def warn_of_other_body(joints: Float[np.ndarray, "24 3"], of: Path, body: Body) -> None:
    """Print a note if the drawn body's joints differ from those of the network or shards."""
    far = 100 * np.linalg.norm(joints - body.rest_joints(), axis=1).max()
    if far > 0.5:
        print(
            f"note: the drawn body's joints differ by up to {far:.1f} cm from those of the body in "
            f"{of}; give that body with --body"
        )
