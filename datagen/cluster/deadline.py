"""A time limit for a call that may hold the GIL, so that no thread could end it.

Run as a script, this file is the watching process; it imports only the standard library.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def deadline(seconds: float, sentence: str) -> Iterator[None]:
    """End this process and its descendants, with an error message, if the block takes longer."""
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(seconds), sentence]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        yield  # the end of the block closes the pipe, as does this process's death


def kill_below(process: int, part: str = "") -> None:
    """Kill (-9) the descendants of a process with `part` in their command line, except this one."""
    for child in _children(process):
        if child == os.getpid():
            continue
        kill_below(child, part)
        with suppress(OSError):
            if part in Path(f"/proc/{child}/cmdline").read_text(errors="replace"):
                os.kill(child, signal.SIGKILL)


def _children(process: int) -> list[int]:
    """Return the child processes of a process; none without /proc."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def _watch(process: int, seconds: float, sentence: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the watched process handles Ctrl-C
    if not select.select([sys.stdin], [], [], seconds)[0]:
        print(f"error: {sentence}", file=sys.stderr, flush=True)
        kill_below(process)
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
