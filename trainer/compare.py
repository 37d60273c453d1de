"""Compare runs: print a table of their errors; draw their curves and errors by group.

    python -m trainer.compare runs/

Errors are those that trainer.evaluate measured on one data set. notebooks/compare_runs.ipynb also
shows single clips.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from trainer.analysis import compare
from trainer.analysis.runs import Run, find_runs
from trainer.common import cli
from trainer.common.files import write_atomic
from trainer.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class CompareConfig:
    """Which runs to compare, and where to write the charts."""

    runs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(help_behavior_hint="(required)")
    ]
    """Folders or URLs of runs, or folders with runs in them."""
    shards: str | None = None
    """Data set whose errors are compared, a folder or URL. Default: the one that most of the runs
    were evaluated on."""
    out: Path | None = None
    """Folder of the charts (.png). Default: comparison in the folder of runs."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise BadInput("no run is named; give one or more folders that trainer.fit wrote")


def folder_of(cfg: CompareConfig) -> Path:
    """Return the folder of the charts: --out, or comparison beside the first local run.

    Of runs at URLs alone, it is in the working directory.
    """
    if cfg.out:
        return cfg.out
    local = next((Path(one) for one in cfg.runs if "://" not in one), Path())
    is_run = (local / "metrics.jsonl").exists()
    return (local.absolute().parent if is_run else local) / "comparison"


def compare_runs(cfg: CompareConfig) -> list[Path]:
    """Print the table, write the charts and return their paths."""
    import matplotlib

    matplotlib.use("Agg")  # files, no windows
    found = find_runs(cfg.runs, cfg.shards)
    print(compare.overview(found))
    measured = [run for run in found if run.frames is not None and run.clips]
    out = folder_of(cfg)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in charts_of(found, measured).items():
        path = out / f"{name}.png"
        with write_atomic(path) as file:
            figure.savefig(file, dpi=110)
        print(f"written  {path}")
        paths.append(path)
    if missing := [run for run in found if run not in measured]:
        used = missing[0].checkpoint
        used = used if "://" in used else os.path.normpath(used)
        known = (run.evaluation["shards"] for run in measured if run.evaluation)
        shards = cfg.shards or next(known, "test/shards")
        print(
            f"Next: python -m trainer.evaluate --checkpoint {shlex.quote(used)} "
            f"--shards {shlex.quote(shards)}  (it has not been evaluated yet)"
        )
    return paths


def charts_of(found: list[Run], measured: list[Run]) -> dict[str, Figure]:
    """Return the charts by name; error charts only of evaluated runs."""
    from trainer.analysis import charts

    drawn = {"curves": charts.curves(found, smooth=5)}
    if measured:
        groups = {
            "joint": compare.by_joint, "visibility": compare.by_visibility,
            "hidden": compare.by_hidden, "speed": compare.by_speed, "motion": compare.by_motion,
        }  # fmt: skip
        for name, grouped in groups.items():
            drawn[f"errors-by-{name}"] = charts.groups_chart(grouped(measured))
    return drawn


def main() -> None:
    """Run the command line."""
    cli.run(CompareConfig, compare_runs, __doc__ or "")


if __name__ == "__main__":
    main()
