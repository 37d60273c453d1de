"""Identifies a flow network's weights by their content, for data sets and checkpoints."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from datagen.common.digests import file_digests
from datagen.common.files import sha256
from datagen.flow.options import FlowConfig

EMBEDDED = {
    name: Path(__file__).parents[1] / "assets" / "flow" / file
    for name, file in {"flownets": "flownets.pth", "pwc": "pwc.pth", "pwc+dis": "pwc.pth"}.items()
}
"""Narrow networks trained by `python -m datagen.flow.train` (datagen/assets/LICENSES.md)."""

FIRST = {"flownets": "56fda38b", "pwc": "fb533cc8"}
"""Starts of the SHA-256 of the first embedded weights, which data sets and checkpoints identify by
the network's name alone."""


def flow_name(cfg: FlowConfig) -> str:
    """Return an estimator's name in dataset.json and in checkpoints: pwc, or pwc-0123abcd.

    A pose network must not be used with flow from other weights than it was trained on.
    """
    weights = weights_of(cfg.flow, cfg.flow_weights)
    return cfg.flow if weights == FIRST.get(cfg.flow, "") else f"{cfg.flow}-{weights}"


def weights_of(flow: str, given: Path | None = None) -> str:
    """Return the start of the SHA-256 of a network's weights, "" for an estimator without weights.

    given: the weights' file; None for the embedded ones.
    """
    if given is not None:
        return file_digests([given])[0][:8]
    return _embedded(flow) if flow in EMBEDDED else ""


@cache
def _embedded(flow: str) -> str:
    return sha256(EMBEDDED[flow])[:8]
