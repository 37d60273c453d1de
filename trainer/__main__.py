"""List the commands: python -m trainer. Also the console entry points motion-hmr-<command>."""

import sys
from collections.abc import Callable
from importlib import import_module

from trainer.common import cli

COMMANDS = {
    "fit": "train a network on shards",
    "evaluate": "measure a checkpoint against ground truth",
    "predict": "write a checkpoint's predictions as motions",
    "tables": "train and evaluate all rows of the paper's tables",
    "compare": "compare several runs in a table and charts",
    "export": "write a network as safetensors for sharing",
}


def entry_point(command: str) -> Callable[[], int | None]:
    """Return what a console script calls: it names a missing package, as `python -m` does."""

    def main() -> int | None:
        cli.report_missing_packages()
        return import_module(f"trainer.{command}").main()

    return main


fit = entry_point("fit")
evaluate = entry_point("evaluate")
predict = entry_point("predict")
tables = entry_point("tables")
compare = entry_point("compare")
export = entry_point("export")


def main() -> None:
    """Print the commands, a line each."""
    print("Train, evaluate and use networks.\n")
    for name, purpose in COMMANDS.items():
        print(f"  python -m {f'trainer.{name}':22}{purpose}")
    print("\nEach one explains its options with --help.")


if __name__ == "__main__":
    main()
    sys.exit(0 if len(sys.argv) == 1 or {"-h", "--help"} & set(sys.argv) else 2)
