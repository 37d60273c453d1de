"""Make a data set: people → scenes → clips → flow → tar shards.

    python -m datagen.launch --num-shards 5000
    ray job submit --working-dir . -- python -m datagen.launch --num-shards 5000 --out /data/shards
    ray submit cluster.yaml datagen/launch.py -- --num-shards 5000 --out /data/shards

In a minute, on a laptop:

    python -m datagen.launch --num-shards 1 --clips-per-shard 4 --motion-limit 4 --out out/try

The motions alone, without pictures, in seconds:

    python -m datagen.launch --labels-only --motions amass/ --out motions/shards

With --plan it prints what the run would cost, and makes nothing. The same command again continues a
stopped run; nothing finished is made twice.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    # Run as a file: its folder must not shadow the standard library (it holds inspect.py).
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
        print(f"note: --shards {only} is the shard of this number; so many: --num-shards {only}")
    if cfg.cluster.plan:
        from datagen.launcher.plan import plan

        return plan(cfg)
    from datagen.launcher.run import launch

    return launch(cfg)


if __name__ == "__main__":
    sys.exit(main())
