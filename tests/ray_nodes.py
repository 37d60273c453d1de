"""Ray nodes of this machine, and processes below a process, to look at and to kill (Linux)."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextmanager
def node(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Ray node, as `ray start` makes it, until the block ends; other Rays are left alone."""
    command = ["ray", "start", "--block", *options]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        kill(*tree(process.pid))
        process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def tree(root: int) -> dict[int, str]:
    """Return the command line of the process and of all below it."""
    found = {}
    with suppress(OSError):
        found[root] = Path(f"/proc/{root}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        for task in Path(f"/proc/{root}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= tree(int(child))
    return found


def alive(process: int) -> bool:
    """Return whether the process runs (a zombie does not)."""
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    return False


def kill(*processes: int) -> None:
    """Kill -9."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
