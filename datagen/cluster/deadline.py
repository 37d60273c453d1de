"""A time limit for a call that may hold the interpreter's lock, so that no thread could end it.

Run as a file it is the other process, which waits, and knows no module but the standard library's.
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
    """End this process and all below it with a sentence if the block takes longer."""
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(seconds), sentence]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        yield  # the end of the block closes the pipe, and so does this process's death


def kill_below(process: int, part: str = "") -> None:
    """Kill -9 what runs below a process and has `part` in its command line, but for this one."""
    for child in _children(process):
        if child == os.getpid():
            continue
        kill_below(child, part)
        with suppress(OSError):
            if part in Path(f"/proc/{child}/cmdline").read_text(errors="replace"):
                os.kill(child, signal.SIGKILL)


def _children(process: int) -> list[int]:
    """Return the processes that a process has started; none where there is no /proc."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def _watch(process: int, seconds: float, sentence: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other's business
    if not select.select([sys.stdin], [], [], seconds)[0]:
        print(f"error: {sentence}", file=sys.stderr, flush=True)
        kill_below(process)
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
