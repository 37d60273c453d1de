"""Command-line plumbing: run a command, missing packages, numbers in sentences.

Imports nothing outside the standard library until a command runs, so that it can name a missing
package.
"""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

from datagen.common.errors import BadInput, BadMachine, BadOption

PACKAGES = frozenset(
    ("ai_edge_litert", "av", "cv2", "docstring_parser", "fsspec", "h5py", "jaxtyping", "matplotlib",
     "numpy", "OpenGL", "PIL", "pyrender", "ray", "scipy", "skimage", "smplx", "torch", "tqdm",
     "tyro", "upath", "webdataset", "xxhash", "yaml")
)  # fmt: skip
"""Import names of the dependencies in pyproject.toml."""

Options = TypeVar("Options")


class Terminated(KeyboardInterrupt):
    """SIGTERM (kill, `ray job stop`, a scheduler): ends the run as Ctrl-C does."""


def run(
    options: type[Options],
    call: Callable[[Options], int],
    description: str | None,
    args: list[str] | None = None,
) -> int:
    """Parse `args` (default: the process's) into `options`, call `call`, return the exit status.

    Status 2 means a fault in the user's files or values, or in the machine.
    """
    import tyro

    from datagen.common import config_file, usage

    args = sys.argv[1:] if args is None else args
    stop = signal.signal(signal.SIGTERM, _terminate) if _in_main_thread() else None
    try:
        module = sys.modules["__main__"].__spec__
        if {"-h", "--help"} & set(args):
            usage.fill_help(options)
        args = config_file.expand(options, args, prefixes=False)
        refuse_empty(args)
        with usage.mistakes(options, args):
            parsed = tyro.cli(
                options,
                prog=f"python -m {module.name}" if module else None,
                args=args,
                description=config_file.described(options, description or ""),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
        return call(parsed)
    except (BadInput, BadOption, BadMachine) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            print("error: too many files are open: raise the limit (`ulimit -n 1024`), then run "
                  "the same command to continue", file=sys.stderr)  # fmt: skip
            return 2
        kinds = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)
        if error.filename and isinstance(error, FileNotFoundError):
            print(f"error: {error.filename} does not exist or was removed; restore it or run the "
                  "same command again", file=sys.stderr)  # fmt: skip
            return 2
        if not error.filename or not isinstance(error, kinds):
            raise
        print(f"error: {error.filename}: {error.strerror}; name another path", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        advice = str(stopped) or "run the same command to continue"
        print(f"\nstopped; {advice}", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)
    finally:
        if stop is not None:
            signal.signal(signal.SIGTERM, stop)


def refuse_empty(words: Sequence[str]) -> None:
    """Raise BadOption for an empty value, which would be read as the working directory.

    A shell passes an empty value for a variable that is not set.
    """
    for before, word in zip(("", *words), words, strict=False):
        name, equals, value = word.partition("=")
        if not equals or not name.startswith("--"):
            name, value = before if before.startswith("--") else "an argument", word
        if not value.strip():
            raise BadOption(f"{name} is empty; give a value, or omit it")


def report_missing_packages() -> None:
    """From now on, end the program with status 2 and one sentence if a package is missing.

    Installs an exception hook; all other errors, including failed imports caused by bugs, are
    reported as before.
    """
    sys.excepthook = _report


def missing_package(error: BaseException) -> str:
    """Return a sentence about a missing dependency if that caused the error, else ""."""
    if not isinstance(error, ModuleNotFoundError) or error.name not in PACKAGES:
        return ""
    return (
        f"{sys.executable} does not have the package {error.name}; run `make setup` once and "
        "`source .venv/bin/activate` in every new terminal, or, in the folder of the project, "
        "`pip install '.[datagen]'`"
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 shard, 2 shards, 96,000 clips."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a length of time in words: 7.5 seconds, 3.2 minutes."""
    return f"{seconds:.1f} seconds" if seconds < 60 else f"{seconds / 60:.1f} minutes"


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if sentence := missing_package(error):
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
    sys.__excepthook__(kind, error, trace)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # already terminating
    raise Terminated


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
