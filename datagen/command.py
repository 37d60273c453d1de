"""What every door does with its command line: parse, call, and say errors in one sentence."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import tyro

from datagen import helptext
from datagen.common.errors import BadInput, BadMachine, BadOption


class Terminated(KeyboardInterrupt):
    """SIGTERM (kill, `ray job stop`, a scheduler): ends the run as Ctrl-C does."""


Options = TypeVar("Options")


def run(
    options: type[Options],
    call: Callable[[Options], int],
    description: str | None,
    args: list[str] | None = None,
) -> int:
    """Parse `args` (default: the process's) into `options`, call, return the exit status.

    Status 2 means that a file or value of the user's, or the machine, is at fault.
    """
    stop = signal.signal(signal.SIGTERM, _terminate) if _in_main_thread() else None
    try:
        module = sys.modules["__main__"].__spec__
        if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
            helptext.fill(options)
        parsed = tyro.cli(
            options,
            prog=f"python -m {module.name}" if module else None,
            args=args,
            description=description,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
        )
        return call(parsed)
    except (BadInput, BadOption, BadMachine) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        if not error.filename:
            raise
        print(f"error: {error.filename}: {error.strerror}; name another path", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print("\nstopped; run the same command to continue", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)
    finally:
        if stop is not None:
            signal.signal(signal.SIGTERM, stop)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending already
    raise Terminated


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
