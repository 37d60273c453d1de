"""Turn people and real videos into shards of labelled clips."""

import sys

if sys.argv[:1] == ["-m"]:  # while `python -m datagen.…` looks for the command
    from datagen.common import cli

    cli.report_missing_packages()
