"""Which weights a flow network has, as data sets and checkpoints name them: by their content."""

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
"""Starts of the SHA-256 of the first weights that came with the program: data sets and checkpoints
named them by the network alone, and still do."""


def flow_name(cfg: FlowConfig) -> str:
    """Return an estimator's name in dataset.json and in checkpoints: pwc, or pwc-0123abcd.

    A network must not look through other flow than it learned from.
    """
    weights = weights_of(cfg.flow, cfg.flow_weights)
    return cfg.flow if weights == FIRST.get(cfg.flow, "") else f"{cfg.flow}-{weights}"


def weights_of(flow: str, given: Path | None = None) -> str:
    """Return the start of the SHA-256 of a network's weights, "" of an estimator that has none.

    given: its file; None: what comes with the program.
    """
    if given is not None:
        return file_digests([given])[0][:8]
    return _embedded(flow) if flow in EMBEDDED else ""


@cache
def _embedded(flow: str) -> str:
    return sha256(EMBEDDED[flow])[:8]
