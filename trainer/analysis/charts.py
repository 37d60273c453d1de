"""Charts that compare runs, for compare_runs.ipynb; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from trainer.analysis.compare import Groups
from trainer.analysis.runs import Run
from trainer.analysis.skeletons import LEFT, MIDDLE, RIGHT, draw_skeleton
from trainer.common.files import read_json_lines, write_atomic
from trainer.evaluation.metrics import FEW

ONE_POSE = 110.0
"""Approximate PA-MPJPE, mm, of a network that predicts the same pose for everyone on our data sets
(docs/accuracy.md: flow or RGB alone, 105 to 111)."""
COLOURS = ("#2e86ab", "#d1495b", "#edae49", "#66a182", "#7d5ba6", "#8d6a50")


def curves(runs: Sequence[Run], smooth: int = 1) -> Figure:
    """Draw the runs' training loss and PA-MPJPE over the steps; held-out values are dots.

    smooth: window of the running mean, lines of metrics.jsonl.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for run, colour in zip(runs, _colours(len(runs)), strict=True):
        trained = [line for line in run.metrics if line.get("loss") is not None]
        steps = [line["step"] for line in trained]
        left.plot(steps, _smooth([m["loss"] for m in trained], smooth), color=colour, lw=1.2,
                  label=run.name_with_inputs)  # fmt: skip
        known = [line for line in trained if line.get("pa_mpjpe") is not None]
        error = _smooth([line["pa_mpjpe"] for line in known], smooth)
        right.plot([line["step"] for line in known], error, color=colour, lw=1, alpha=0.6)
        held = [line for line in run.metrics if line.get("val_pa_mpjpe") is not None]
        right.plot([m["step"] for m in held], [m["val_pa_mpjpe"] for m in held], "o-",
                   color=colour, ms=4)  # fmt: skip
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    _plain_ticks(left)
    right.set(xlabel="step", ylabel="PA-MPJPE, mm", ylim=(0, None))
    right.set_title("line: training · dots: validation", fontsize=10)
    left.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        _plain(axes)
    return figure


def groups_chart(groups: Groups) -> Figure:
    """Draw each group's error as one bar per run, labelled with the number of frames or joints.

    Means of fewer than FEW are marked.
    """
    count, runs = len(groups.labels), len(groups.runs)
    figure, axes = plt.subplots(figsize=(8, 0.9 + count * (0.2 + 0.2 * runs)), layout="constrained")
    thick = 0.8 / runs
    for r, colour in enumerate(_colours(runs)):
        places = np.arange(count) + (r - (runs - 1) / 2) * thick
        error = np.nan_to_num(groups.error[r])
        axes.barh(places, error, thick * 0.92, color=colour, label=groups.runs[r])
        for place, value, frames in zip(places, error, groups.frames[r], strict=True):
            few = ", few" if frames < FEW else ""
            text = f" {value:.0f}{few}" if frames else " none"
            axes.text(value, place, text, va="center", fontsize=8, color=MIDDLE)
    labels = [
        f"{label}  ({frames:,})"
        for label, frames in zip(groups.labels, groups.frames.max(0), strict=True)
    ]
    axes.set_yticks(np.arange(count), labels, fontsize=9)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set(
        xlabel=f"error after alignment (PA), mm; in brackets the {groups.counted}",
        title=f"Error by {groups.what}",
    )
    if runs > 1:
        axes.legend(frameon=False, fontsize=9)
    _plain(axes, grid="x")
    return figure


def poses(centres: Float[np.ndarray, "g e 3"], names: Sequence[str], groups: Groups) -> Figure:
    """Draw the mean pose [G,E,3] of each cluster, from the front and from the left."""
    count = len(centres)
    figure, rows = plt.subplots(2, count, figsize=(1.7 * count, 5), layout="constrained",
                                squeeze=False)  # fmt: skip
    for g in range(count):
        for axes, view in zip(rows[:, g], ((0, 1), (2, 1)), strict=True):
            draw_skeleton(axes, centres[g][:, view], names)
            _frame(axes)
        rows[0, g].set_title(
            f"{groups.labels[g]}\n{groups.frames[:, g].max():,} frames", fontsize=9
        )
        rows[1, g].set_xlabel(_errors(groups, g), fontsize=9)
    for axes, view in zip(rows[:, 0], ("from the front", "from their left"), strict=True):
        axes.set_ylabel(view, fontsize=9)
    return figure


def extremes_chart(run: Run, clips: Sequence[dict], columns: int = 5) -> Figure:
    """Draw frames of clips: true joints grey, aligned predicted joints left orange, right blue.

    Seen from the camera; the frames are spread over the clip.
    """
    frames = run.frames
    assert frames is not None, "extremes are of evaluated runs"
    names, keys = frames["names"].tolist(), frames["keys"].tolist()
    figure, rows = plt.subplots(len(clips), columns, figsize=(2.1 * columns, 2.5 * len(clips)),
                                squeeze=False, layout="constrained")  # fmt: skip
    for axes, clip in zip(rows, clips, strict=True):
        places = np.flatnonzero(frames["clip"] == keys.index(clip["key"]))
        for place, one in zip(np.linspace(0, len(places) - 1, columns).round(), axes, strict=True):
            n = places[int(place)]
            draw_skeleton(one, frames["truth"][n][:, :2].astype(float), names, true=True)
            draw_skeleton(one, frames["predicted"][n][:, :2].astype(float), names)
            error = frames["error"][n].mean()
            one.set_title(f"frame {frames['frame'][n]}: {error:.0f} mm", fontsize=8)
            _frame(one)
        what = clip.get("motion") or clip.get("person")
        axes[0].set_ylabel(f"{what}\n{clip['pa_mpjpe']:.0f} mm", fontsize=9)
    return figure


def _errors(groups: Groups, place: int) -> str:
    """Return the errors of a group, one line per run; a single run's without its name."""
    lines = [f"{error:.0f} mm" for error in groups.error[:, place]]
    if len(lines) > 1:
        lines = [f"{run}: {line}" for run, line in zip(groups.runs, lines, strict=True)]
    return "\n".join(lines)


def _frame(axes: Axes) -> None:
    # Metres from the hips: room for feet below and for hands above the head.
    axes.set(xlim=(-0.9, 0.9), ylim=(1.1, -1.2), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _plain(axes: Axes, grid: str = "both") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, axis=grid)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _smooth(values: Sequence[float], window: int) -> np.ndarray:
    """Return the running mean over `window` values, fewer at the start."""
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw_curve(metrics: Path, out: Path) -> None:
    """Draw loss and PA-MPJPE of training and, if any, validation over the steps; save as PNG."""
    lines = read_json_lines(metrics)
    training = [line for line in lines if "loss" in line]
    validation = [line for line in lines if line.get("val_pa_mpjpe") is not None]
    steps = [line["step"] for line in training]
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [line["loss"] for line in training], color=RIGHT, lw=1)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.plot(steps, [line["pa_mpjpe"] for line in training], color=RIGHT, lw=1, label="training")
    if validation:
        x = [line["step"] for line in validation]
        y = [line["val_pa_mpjpe"] for line in validation]
        right.plot(x, y, "o-", color=LEFT, label="validation")
    label = "about the error of one constant pose"
    right.axhline(ONE_POSE, color=MIDDLE, lw=1, ls="--", label=label)
    right.set(xlabel="step", ylabel="PA-MPJPE, mm", ylim=(0, None))
    right.legend(frameon=False, fontsize=9)
    _plain_ticks(left)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    with write_atomic(out) as file:
        figure.savefig(file, dpi=110)


def _plain_ticks(axes: Axes) -> None:
    """Label a logarithmic y axis with plain numbers, such as 20 instead of 2 x 10^1."""
    low, high = axes.get_ylim()
    steps = (
        (1, 1.5, 2, 3, 4, 5, 6, 8) if high < 10 * low else (1, 2, 5) if high < 1e3 * low else (1,)
    )
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
