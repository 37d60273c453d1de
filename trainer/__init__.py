"""Train Motion HMR on a folder of shards; imports nothing of datagen."""

import sys

__version__ = "0.1.0"
"""Of both programs; pyproject.toml reads it here."""

if sys.argv[:1] == ["-m"]:  # so it reads while `python -m trainer.…` looks for the command
    from trainer.common import cli

    cli.report_missing_packages()
