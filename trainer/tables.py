"""Train and evaluate the rows of the paper's Tables 1, 2 and 3, and compare with its figures.

    python -m trainer.tables --data full=DIR no-occluders=DIR no-tracking=DIR static=DIR \\
        --test held-out=DIR 3dpw=DIR --real DIR --seeds 2 --out tables/
    python -m trainer.tables --small --data full=DIR … --test held-out=DIR      on a laptop

A DIR may be a URL, a pattern or a tar, as trainer.fit takes them. Every network is trained and
evaluated in its own process and folder. The same command continues after a stop and repeats nothing
that is complete. The report is updated after each network. `bash benchmarks/tables.sh` also makes
the data.
"""

from __future__ import annotations

import sys

from tqdm import tqdm

from trainer.common import cli
from trainer.common.cli import count
from trainer.data.dataset import DataSet, open_dataset
from trainer.data.options import store_of
from trainer.data.store import Store
from trainer.errors import BadInput
from trainer.paper import rows
from trainer.paper.options import TablesConfig
from trainer.paper.report import write_report
from trainer.paper.rows import launch_command
from trainer.paper.study import RunResult, SeededRun, Study, work


def make_tables(cfg: TablesConfig) -> int:
    """Run the missing commands and write the report; return how many commands failed."""
    tables = wanted_tables(cfg)
    sets = (training.data for training in rows.networks(tables).values())
    store = store_of(cfg.cache, cfg.cache_size)
    data = named(cfg.data, "--data", tuple(dict.fromkeys([*rows.VARIANTS, *sets])), store)
    tests = named(cfg.test, "--test", None, store)
    study = Study(
        out=cfg.out,
        data=data,
        tests=tests,
        real=open_dataset(cfg.real, "--real", truth=False, store=store) if cfg.real else None,
        common=common_options(cfg),
        machine=machine_options(cfg),
    )
    every = wanted_runs(study, tables, cfg.seeds)
    todo = [run for run in every if not run.obstacle and not run.finished]
    print_plan(cfg, study, every, todo)
    if cfg.plan:
        return 0
    cfg.out.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    progress = tqdm(work(todo), total=len(todo), unit="network", disable=not todo)
    for outcome in progress:
        progress.write(outcome_lines(outcome))
        failed += outcome.failed
        write_report(study, tables, cfg.seeds)
    path = write_report(study, tables, cfg.seeds)
    print(f"Look at: {path}")
    if failed:
        print(f"{count(len(failed), 'command')} failed; run the same command to try them again")
    return len(failed)


def wanted_tables(cfg: TablesConfig) -> list[rows.PaperTable]:
    """Return the tables that the options choose, including the user's own."""
    weights = cfg.dann_weights or (rows.DANN_WEIGHTS[2:4] if cfg.small else rows.DANN_WEIGHTS)
    every = list(rows.tables(weights))
    for name in cfg.own_tables:
        every.append(rows.own_table(name, every))
    return [table for table in every if table.number in cfg.tables or table.number not in (1, 2, 3)]


def wanted_runs(study: Study, tables: list[rows.PaperTable], seeds: int) -> list[SeededRun]:
    """Return the networks that the tables need, each once per seed."""
    trainings = rows.networks(tables).values()
    return [SeededRun(study, training, seed) for seed in range(seeds) for training in trainings]


def outcome_lines(outcome: RunResult) -> str:
    """Return the lines to print about a network that was run."""
    folder = outcome.run.folder
    failure = ", FAILED" if outcome.failed else ""
    lines = [f"{folder.name}: {outcome.seconds / 60:.1f} min{failure}"]
    lines += [f"  see {folder / 'log.txt'}: python -m {line}" for line in outcome.failed]
    return "\n".join(lines)


def named(
    pairs: tuple[str, ...], option: str, known: tuple[str, ...] | None, store: Store
) -> dict[str, DataSet]:
    """Return the data sets of NAME=SHARDS pairs; BadInput for another form or an unknown name."""
    out: dict[str, DataSet] = {}
    for pair in pairs:
        name, equals, shards = pair.partition("=")
        if not equals or not name or not shards:
            raise BadInput(f"{option} takes NAME=SHARDS, got {pair!r}.")
        if known is not None and name not in known:
            raise BadInput(f"{option} {name} is none of {', '.join(known)}.")
        if name in out:
            raise BadInput(f"{option} {name} is given twice.")
        out[name] = open_dataset(shards, f"{option} {name}", store=store)
    return out


def machine_options(cfg: TablesConfig) -> tuple[str, ...]:
    """Return the command-line words that every command gets and that do not change results."""
    words = ("--device", cfg.device)
    if cfg.cache:
        words += ("--cache", str(cfg.cache), "--cache-size", cfg.cache_size)
    return words


def common_options(cfg: TablesConfig) -> rows.Options:
    """Return the options of trainer.fit that all rows share: --small's, then the user's own."""
    options = dict(rows.SMALL) if cfg.small else {}
    for pair in cfg.options:
        name, equals, value = pair.partition("=")
        if not equals or not value or name.startswith("-"):
            raise BadInput(f"--options takes NAME=VALUE of trainer.fit's options, got {pair!r}.")
        name = name.replace("_", "-")
        if name in rows.OWN:
            raise BadInput(f"--options {name} is what distinguishes the rows; omit it.")
        options[name] = number(value)
    batch = options.get("batch-size", 1)
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise BadInput(f"--options batch-size must be a whole number of clips, got {batch}.")
    return options


def number(text: str) -> object:
    """Return the text as an integer or boolean if it is one, else unchanged."""
    return {"True": True, "False": False}.get(text, int(text) if text.isdecimal() else text)


def print_plan(
    cfg: TablesConfig, study: Study, every: list[SeededRun], todo: list[SeededRun]
) -> None:
    """Print what will run, what cannot run, and the commands that make the missing data."""
    print(f"{count(len(every), 'network')} in {cfg.out / 'runs'}, {len(todo)} to run")
    obstacles: dict[str, list[str]] = {}
    for run in every:
        if run.obstacle:
            obstacles.setdefault(run.obstacle, []).append(run.training.name)
    for obstacle, names in obstacles.items():
        print(f"  not run  {', '.join(sorted(set(names)))}: {obstacle}")
    missing = [name for name in rows.VARIANTS if name not in study.data]
    if (missing and 2 in cfg.tables) or "full" in missing:
        print("  to make the missing data:")
        for name in missing:
            print(f"    {launch_command(name, study.data.get('full'))}")
    if "3dpw" not in study.tests:
        names = ", ".join(study.tests)
        print(f"  3DPW is not given (--test 3dpw=DIR): every row is evaluated on {names}")
    if cfg.plan:
        for run in todo:
            print(f"  {run.folder.name}\n    python -m {' '.join(run.fit_command())}")
            for test in study.tests:
                print(f"    python -m {' '.join(run.evaluate_command(test))}")


def run(cfg: TablesConfig) -> None:
    """Make the tables; exit with status 1 if a network could not be trained or evaluated."""
    if make_tables(cfg):
        sys.exit(1)


def main() -> None:
    """Run the command line."""
    cli.run(TablesConfig, run, __doc__ or "")


if __name__ == "__main__":
    main()
