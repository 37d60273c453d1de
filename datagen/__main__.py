"""List the commands: python -m datagen. Also the console entry points motion-hmr-<command>."""

import sys
from collections.abc import Callable
from importlib import import_module

from datagen.common import cli

COMMANDS = {
    "launch": "render people into real scenes and write shards",
    "verify": "check shards and their manifests",
    "inspect": "write a report on shards: pictures and statistics",
    "ingest": "convert footage or public data sets to shards",
    "publish": "arrange the splits of a data set for Hugging Face",
    "overlay": "draw predictions over the video",
    "doctor": "check that this machine meets the requirements",
    "flow.train": "train the optical flow network",
}


def entry_point(command: str) -> Callable[[], int | None]:
    """Return a console script's function, which reports missing packages like `python -m`."""

    def main() -> int | None:
        cli.report_missing_packages()
        return import_module(f"datagen.{command}").main()

    return main


launch = entry_point("launch")
verify = entry_point("verify")
inspect = entry_point("inspect")
ingest = entry_point("ingest")
publish = entry_point("publish")
overlay = entry_point("overlay")
doctor = entry_point("doctor")
flow_train = entry_point("flow.train")


def main() -> None:
    """Print the commands, one per line."""
    print("Make shards of labelled clips and inspect them.\n")
    for name, purpose in COMMANDS.items():
        print(f"  python -m {f'datagen.{name}':22}{purpose}")
    print("\nEach command explains its options with --help.")


if __name__ == "__main__":
    main()
    sys.exit(0 if len(sys.argv) == 1 or {"-h", "--help"} & set(sys.argv) else 2)
