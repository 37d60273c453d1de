"""The report: Markdown tables of the paper's figures and ours, and training curves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from math import hypot
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from trainer.common.files import read_json_lines, write_atomic
from trainer.paper.rows import PaperTable, Row, RowNetwork, words
from trainer.paper.study import SeededRun, Study

ONE_SEED = 3.0
"""Millimetres by which two rows of one seed each may differ by chance: twice the standard deviation
of their difference, at 1.0 mm for each row as measured with three seeds on held-out clips
(benchmarks/tables/report.md)."""
MAIN = "3dpw"
"""The paper's own evaluation set."""


def write_report(study: Study, tables: Iterable[PaperTable], seeds: int) -> Path:
    """Write report.md and the curves beside it; return its path."""
    tables = list(tables)
    every = [run for table in tables for row in table.rows for run in runs_of(study, row, seeds)]
    parts = ["# The paper's tables\n", about(study, seeds, trained_by(every))]
    for table in tables:
        parts.append(f"## Table {table.number}. {table.title}\n")
        parts.append(rows_of(study, table, seeds))
        parts.append(order_of(study, table, seeds))
        name = f"table-{table.number}.png"
        if draw(study, table, seeds, study.out / name):
            parts.append(
                f"![Curves of Table {table.number}]({name})\n\n*PA-MPJPE on the first clips of "
                f"`{first_test(study)}` during training (not used for selection: the last step's "
                "averaged weights are evaluated).*\n"
            )
    path = study.out / "report.md"
    with write_atomic(path) as file:
        file.write("\n".join(parts).encode())
    return path


def first_test(study: Study) -> str:
    return next(iter(study.tests), "")


def trained_by(runs: Iterable[SeededRun]) -> str:
    """Return the code revisions that trained the networks, from their run.json."""
    found = set()
    for run in runs:
        if run.trained:
            with suppress(OSError, ValueError, KeyError):
                found.add(json.loads((run.folder / "run.json").read_text())["revision"][:12])
    return f"; trained by code {', '.join(f'`{name}`' for name in sorted(found))}" if found else ""


def about(study: Study, seeds: int, code: str) -> str:
    """Return the section on what all tables share: data, evaluation sets, settings and code."""
    lines = ["PA-MPJPE in mm (lower is better), averaged per person and then over people.\n"]
    if MAIN in study.tests:
        lines.append("Evaluated as in the paper on 3DPW's test split, and on the sets below.\n")
    else:
        lines.append(
            "**3DPW was not available.** The paper's figures are on 3DPW, ours on other clips: "
            "compare the order of the rows, not the numbers.\n"
        )
    lines.append("| evaluation set | clips | frames per clip, at most | shards | fingerprint |")
    lines.append("|---|---|---|---|---|")
    lines += [_describe(name, study, test=True) for name in study.tests]
    lines.append(
        "\nEvery row is evaluated on the same clips of these sets, in half-overlapping windows of "
        "its training length; each frame is taken from the window whose centre is nearest.\n"
    )
    lines.append("| training set | clips | frames per clip, at most | shards | fingerprint |")
    lines.append("|---|---|---|---|---|")
    lines += [_describe(name, study, test=False) for name in study.data]
    common = "".join(f" {word}" for word in words(study.common))
    many = "one seed" if seeds == 1 else f"{seeds} seeds, mean ± standard deviation"
    lines.append(
        f"\nSettings: `trainer.fit{common}`, {'' if common else 'its defaults, '}{many}{code}.\n"
    )
    return "\n".join(lines)


def _describe(name: str, study: Study, *, test: bool) -> str:
    data = (study.tests if test else study.data)[name]
    return (
        f"| {name} | {data.clips} | {data.clip_length} | {len(data.shards)} "
        f"| `{data.fingerprint[:8]}` |"
    )


def rows_of(study: Study, table: PaperTable, seeds: int) -> str:
    """Return a table in Markdown: the paper's column, then one per evaluation set."""
    tests = sorted(study.tests, key=lambda name: name != MAIN)
    heads = " | ".join(f"ours, {name}" for name in tests)
    lines = [
        f"| row | paper, 3DPW | {heads} | seeds | minutes |",
        "|---|---|" + "---|" * (len(tests) + 2),
    ]
    for row in table.rows:
        cells = [cell(study, row, test, seeds) for test in tests]
        done = [run for run in runs_of(study, row, seeds) if run.trained]
        count = len({run.seed for run in done})
        spent = sum(minutes(run) for run in done)
        tail = f"{count or ''} | {f'{spent:.1f}' if done else ''}"
        lines.append(f"| {row.title} | {row.paper} | {' | '.join(cells)} | {tail} |")
    return "\n".join(lines) + "\n"


def cell(study: Study, row: Row, test: str, seeds: int) -> str:
    """Return a row's figure on an evaluation set, or the reason why there is none."""
    if not row.trainings:
        return "not ours"
    obstacles = {run.obstacle for run in runs_of(study, row, seeds)} - {""}
    if obstacles:
        return f"not run: {'; '.join(sorted(obstacles))}"
    means = [figures(study, training, test, seeds) for training in row.trainings]
    known = [values for values in means if values]
    if not known:
        return "not finished"
    if row.best:
        best = min(known, key=mean)
        every = mean([value for values in known for value in values])
        return f"{spread(best)} ({every:.1f})"
    return spread(known[0])


def spread(values: list[float]) -> str:
    """Return the mean and, for several values, their standard deviation."""
    text = f"{mean(values):.1f}"
    return f"{text} ± {stdev(values):.1f}" if len(values) > 1 else text


def runs_of(study: Study, row: Row, seeds: int) -> list[SeededRun]:
    return [SeededRun(study, training, seed) for training in row.trainings for seed in range(seeds)]


def figures(study: Study, training: RowNetwork, test: str, seeds: int) -> list[float]:
    """Return the PA-MPJPE of each finished seed, if any frame counted."""
    out = []
    for seed in range(seeds):
        run = SeededRun(study, training, seed)
        results = None if run.obstacle else run.evaluation(test)
        if results is not None and results["persons"]["pa_mpjpe"] is not None:
            out.append(float(results["persons"]["pa_mpjpe"]))
    return out


def minutes(run: SeededRun) -> float:
    """Return the duration of a training from its log, including resumed parts."""
    seconds, last = 0.0, 0
    for line in logged(run):
        if "seconds" in line:
            seconds += line["seconds"] * (line["step"] - last)
            last = line["step"]
    return seconds / 60


def logged(run: SeededRun) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl; empty if there is none yet."""
    return read_json_lines(run.folder / "metrics.jsonl")


def order_of(study: Study, table: PaperTable, seeds: int) -> str:
    """Return which of the paper's comparisons hold here, on the main test set."""
    test = MAIN if MAIN in study.tests else first_test(study)
    by_title = {row.title: row for row in table.rows}
    lines = []
    for better, worse in table.order:
        pair = []
        for title in (better, worse):
            row = by_title[title]
            values = [figures(study, training, test, seeds) for training in row.trainings]
            pair.append(min((v for v in values if v), key=mean, default=[]))
        if not all(pair):
            continue
        gap = mean(pair[1]) - mean(pair[0])
        verdict = "holds" if gap > 0 else "does not hold"
        if abs(gap) < spread_of_gap(*pair):
            verdict = "within the spread of seeds"
        lines.append(f"- {better} better than {worse}: {verdict} ({gap:+.1f} mm)")
    if not lines:
        return ""
    alone = "" if seeds > 1 else f" (one seed: {ONE_SEED:g} mm is assumed as the spread of seeds)"
    return f"The paper's order, on `{test}`{alone}:\n\n" + "\n".join(lines) + "\n"


def spread_of_gap(first: list[float], second: list[float]) -> float:
    """Return the standard deviation, mm, of the difference of two rows that is due to seeds.

    A row with one seed is assumed to vary like the other row; for two such rows, ONE_SEED is used.
    """
    known = [stdev(values) for values in (first, second) if len(values) > 1]
    if not known:
        return ONE_SEED
    return hypot(known[0], known[-1])


def draw(study: Study, table: PaperTable, seeds: int, out: Path) -> bool:
    """Draw a table's validation curves (thin: one seed, thick: mean); False if there are none."""
    curves: dict[str, list[list[tuple[int, float]]]] = {}
    for row in table.rows:
        runs = [run for run in runs_of(study, row, seeds) if not run.obstacle]
        found = [points for run in runs if (points := validation(run))]
        if found:
            curves[row.title] = found
    if not curves:
        return False
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    colours = plt.get_cmap("tab10")
    for number, (title, runs) in enumerate(curves.items()):
        for index, points in enumerate(runs):
            x, y = zip(*points, strict=True)
            label = title if index == 0 else None
            axes.plot(x, y, "o-", ms=3, lw=1.4, color=colours(number % 10), label=label, alpha=0.8)
    axes.set(xlabel="step", ylabel=f"PA-MPJPE on {first_test(study)}, mm")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    with write_atomic(out) as file:
        figure.savefig(file, dpi=110)
    plt.close(figure)
    return True


def validation(run: SeededRun) -> list[tuple[int, float]]:
    """Return the (step, PA-MPJPE) that a run has measured on its validation clips."""
    return [
        (line["step"], line["val_pa_mpjpe"])
        for line in logged(run)
        if line.get("val_pa_mpjpe") is not None
    ]
