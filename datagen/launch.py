"""Make a data set: people → scenes → clips → flow → tar shards.

    python -m datagen.launch --num-shards 5000
    ray job submit --working-dir . -- python -m datagen.launch --num-shards 5000 --out /data/shards
    ray submit cluster.yaml datagen/launch.py -- --num-shards 5000 --out /data/shards

A test that takes a minute on a laptop:

    python -m datagen.launch --num-shards 1 --clips-per-shard 4 --motion-limit 4 --out out/try

Only motions, without pictures, in seconds:

    python -m datagen.launch --labels-only --motions amass/ --out motions/shards

With --plan, it prints the estimated cost of the run and makes nothing. Running the same command
again resumes a stopped run; finished work is skipped.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    # Run as a script: its folder, which holds inspect.py, must not shadow the standard library.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from datagen.common import cli

    cli.report_missing_packages()

from datagen.common import cli
from datagen.launcher.config import LaunchConfig


def main(args: list[str] | None = None) -> int:
    """Run the launcher with command line `args` and return its exit status."""
    return cli.run(LaunchConfig, _launch, __doc__, args)


def _launch(cfg: LaunchConfig) -> int:
    if (only := (cfg.output.shards or "").strip()).isdigit():
        print(
            f"note: --shards {only} is one shard's number; for {only} shards: --num-shards {only}"
        )
    if cfg.cluster.plan:
        from datagen.launcher.plan import plan

        return plan(cfg)
    from datagen.launcher.run import launch

    return launch(cfg)


if __name__ == "__main__":
    sys.exit(main())
