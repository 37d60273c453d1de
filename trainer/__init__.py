"""Train Motion HMR on a folder of shards; imports nothing of datagen."""

import sys

__version__ = "0.1.0"
"""Version of both programs; pyproject.toml reads it from here."""

if sys.argv[:1] == ["-m"]:  # its value while `python -m trainer.…` looks for the command
    from trainer.common import cli

    cli.report_missing_packages()
