"""Temporary files with unique names, locked while written and removed if left behind.

Two writers may share nothing but a folder: host names and process ids repeat between hosts and
containers. So names are random, and a lock, which the kernel releases when the process ends, shows
whether the writer is alive.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE = 24 * 3600.0
"""Seconds without a change after which another machine's temporary file counts as abandoned."""
_SHOWN = 80
"""Most bytes of the final name in the temporary name, because a name of 255 bytes has no room."""
_NAME = re.compile(r"\..*\.([0-9a-f]{8})\.[0-9a-f]{24}\.tmp", re.DOTALL)
_FORMER = re.compile(r"\..+\.[^.]+\.\d+\.tmp", re.DOTALL)
"""Names with host and process id, as older releases wrote them."""


def machine() -> str:
    """Return 8 hexadecimal digits that identify the running kernel: equal in all its containers,
    different after a reboot. Without a boot id, they identify only this process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = _OWN
    return hashlib.sha256(boot).hexdigest()[:8]


_OWN = secrets.token_bytes(16)


@contextmanager
def temporary_file(folder: Path, name: str) -> Iterator[Path]:
    """Yield the path of a new empty file in `folder` whose final name will be `name`.

    It is locked until the block ends, so no sweep treats it as abandoned, and then removed if it
    still exists. The block may write to it but must not replace it.
    """
    path, file = create(folder, name)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(file)


def create(folder: Path, name: str) -> tuple[Path, int]:
    """Return the path and the descriptor of a new temporary file, locked until it is closed."""
    shown = name.encode("utf-8", "surrogateescape")[:_SHOWN].decode("utf-8", "ignore")
    while True:
        path = folder / f".{shown}.{machine()}.{secrets.token_hex(12)}.tmp"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if try_lock(file) is not False and _same(path, file):
            return path, file
        os.close(file)  # a sweep removed it between creation and lock


def try_lock(file: int) -> bool | None:
    """Lock an open file for this process; False if another holds it, None if locks are
    unsupported."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems do not support locks
        return None
    return True


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed writers from a local folder, but none being written.

    An unlocked file has no writer if it was created under this kernel. Locks of other hosts may not
    be visible, so their files must also be a day old.
    """
    for path in folder.glob(".*.tmp"):
        found = _NAME.fullmatch(path.name)
        if not found and not _FORMER.fullmatch(path.name):
            continue
        with suppress(FileNotFoundError, PermissionError):
            file = os.open(path, os.O_RDWR)
            try:
                locked = try_lock(file)
                here = found is not None and found[1] == machine()
                old = time.time() - os.fstat(file).st_mtime > STALE
                if locked is not False and ((locked and here) or old):
                    path.unlink()
            finally:
                os.close(file)


def _same(path: Path, file: int) -> bool:
    """Return whether the path still refers to the open file."""
    with suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(file))
    return False
