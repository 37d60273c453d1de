"""Temporary files: of names that no other writer has, locked while written, swept when left behind.

Two writers may share a folder and nothing else: hosts, containers and their process ids all repeat.
So a name is random, and whether its writer lives is asked of the kernel, which drops a dead
process's lock, not of a process id.
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
"""Seconds without a change after which another machine's temporary file counts as left behind."""
_SHOWN = 80
"""Bytes of the file's own name in the temporary one: a name of 255 bytes has no room for more."""
_NAME = re.compile(r"\..*\.([0-9a-f]{8})\.[0-9a-f]{24}\.tmp", re.DOTALL)
_FORMER = re.compile(r"\..+\.[^.]+\.\d+\.tmp", re.DOTALL)
"""Host and process id, as releases before this one named them."""


def machine() -> str:
    """Return 8 hexadecimal digits of the running kernel: alike in all its containers, and other
    after a restart. Where no kernel gives its boot's id, they are this process's own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = _OWN
    return hashlib.sha256(boot).hexdigest()[:8]


_OWN = secrets.token_bytes(16)


@contextmanager
def temporary_file(folder: Path, name: str) -> Iterator[Path]:
    """Yield the path of a new empty file in `folder` for what is to be called `name`.

    It is locked until the block ends, so that no sweep takes it for a dead writer's, and removed
    then if it is still there. The block may write to it but must not replace it.
    """
    shown = name.encode("utf-8", "surrogateescape")[:_SHOWN].decode("utf-8", "ignore")
    while True:
        path = folder / f".{shown}.{machine()}.{secrets.token_hex(12)}.tmp"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if try_lock(file) is not False and _same(path, file):
            break
        os.close(file)  # a sweep came between its making and its lock
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(file)


def try_lock(file: int) -> bool | None:
    """Lock an open file for this process; False if another has it, None if nobody can here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks
        return None
    return True


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder of this machine, and nothing that is written.

    A file without a lock has no writer, if it was begun under this kernel; the locks of other
    hosts may not be visible, so their files must have lain for a day as well.
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
    """Return whether the path still names the open file."""
    with suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(file))
    return False
