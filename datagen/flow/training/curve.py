"""Plots a training run's errors, with those of DIS and zero flow for comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def plot(out: Path) -> None:
    """Plot metrics.jsonl as curve.png, with DIS and zero flow on the same held-out pairs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if not (out / "metrics.jsonl").exists():
        return
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    baselines = json.loads((out / "baselines.json").read_text())
    axes = {"steps": [line["step"] for line in lines]}
    if all("core_seconds" in line for line in lines):  # runs of earlier versions did not record it
        axes["core-hours"] = list(np.cumsum([line["core_seconds"] for line in lines]) / 3600)
    figure, panels = pyplot.subplots(
        len(axes), len(baselines), figsize=(5 * len(baselines), 3.4 * len(axes)),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for row, (unit, along) in zip(panels, axes.items(), strict=True):
        for panel, (kind, known) in zip(row, baselines.items(), strict=True):
            panel.plot(along, [line["epe"] for line in lines], color="0.7", label="training pairs")
            panel.plot(along, [line[kind] for line in lines], label="the network, held-out pairs")
            panel.axhline(known["dis"], color="C1", ls="--", label="DIS")
            panel.axhline(known["zero"], color="C3", ls=":", label="zero flow")
            panel.set(title=kind, xlabel=unit, ylabel="endpoint error, px", ylim=(0, None))
    panels[0][0].legend()
    figure.savefig(out / "curve.png", dpi=120)
    pyplot.close(figure)
