"""The picture of a training: its errors beside those of DIS and of zero flow."""

from __future__ import annotations

import json
from pathlib import Path


def plot(out: Path) -> None:
    """Draw metrics.jsonl as curve.png, beside DIS and zero flow on the same held-out pairs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if not (out / "metrics.jsonl").exists():
        return
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    baselines = json.loads((out / "baselines.json").read_text())
    steps = [line["step"] for line in lines]
    figure, panels = pyplot.subplots(
        1, len(baselines), figsize=(5 * len(baselines), 3.6), layout="constrained", squeeze=False
    )
    for axes, (kind, known) in zip(panels[0], baselines.items(), strict=True):
        axes.plot(steps, [line["epe"] for line in lines], color="0.7", label="training pairs")
        axes.plot(steps, [line[kind] for line in lines], label="FlowNetS, held-out pairs")
        axes.axhline(known["dis"], color="C1", ls="--", label="DIS")
        axes.axhline(known["zero"], color="C3", ls=":", label="zero flow")
        axes.set(title=kind, xlabel="step", ylabel="endpoint error, px", ylim=(0, None))
    panels[0][0].legend()
    figure.savefig(out / "curve.png", dpi=120)
    pyplot.close(figure)
