"""SHA-256 of input files, cached by path, size, times and inode so that each is hashed once.

The cache is a table in the user's cache folder that only the user can read. Damaged rows are
ignored; without a writable folder, all files are hashed again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import private_folder

VARIABLE = "MOTION_HMR_DIGESTS"
"""Environment variable that names another folder for the cache."""
FRESH = 3.0
"""Seconds since a file's last change below which its digest is not cached: file system clocks are
coarse, so a further change could leave the same times."""
SHOWN_AFTER = 3.0
"""Seconds of hashing after which a progress bar appears."""
ROWS = 1_000_000
"""Most files in the cache; the oldest are dropped first."""
UNREADABLE = "unreadable"
"""Replaces the digest of an unreadable file; the task that needs the file reports the reason."""
_BATCH = 256


def file_digests(paths: Iterable[Path], what: str = "inputs") -> list[str]:
    """Return the SHA-256 of files, hexadecimal, in order; UNREADABLE for one that cannot be read.

    Long hashing shows a progress bar labelled `what`. Raises BadInput for a file that is being
    written.
    """
    paths = [path.absolute() for path in paths]
    signatures = {path: _signature(path) for path in dict.fromkeys(paths)}
    with _memory() as table:
        found = _recall(table, signatures)
        missing = [path for path in signatures if path not in found]
        found |= _hash_all(table, missing, what)
    return [found[path] for path in paths]


def _hash_all(table: sqlite3.Connection | None, paths: list[Path], what: str) -> dict[Path, str]:
    found: dict[Path, str] = {}
    if not paths:
        return found
    sizes = {path: _size(path) for path in paths}
    workers = min(8, os.cpu_count() or 1, len(paths))
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(
            desc=f"hashing {what}", total=sum(sizes.values()), unit="B", unit_scale=True,
            delay=SHOWN_AFTER, leave=False,
        ) as bar,
    ):  # fmt: skip
        for start in range(0, len(paths), _BATCH):
            rows = []
            for path, signature, digest in pool.map(_hash, paths[start : start + _BATCH]):
                found[path] = digest
                bar.update(sizes[path])
                if signature:
                    rows.append((path, signature, digest))
            _remember(table, rows)
    return found


def _hash(path: Path) -> tuple[Path, str, str]:
    """Return a file's path, signature ("" if it must not be cached) and digest.

    Raises BadInput if the file changes while it is hashed.
    """
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore
            after = os.fstat(file.fileno())
    except OSError:
        return path, "", UNREADABLE
    if _of(before) != _of(after):
        raise BadInput(f"{path} is being written; run the same command again when it is complete")
    old = time.time() - max(after.st_mtime, after.st_ctime) > FRESH
    return path, _of(after) if old else "", digest


def _signature(path: Path) -> str:
    """Return a signature that changes with the file's content; "" if the file does not exist."""
    try:
        return _of(path.stat())
    except OSError:
        return ""


def _of(found: os.stat_result) -> str:
    # The inode change time reveals changes that `touch` and `cp -p` hide.
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


@contextmanager
def _memory() -> Iterator[sqlite3.Connection | None]:
    """Yield the cache's table, None if it cannot be opened."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "motion-hmr" / "digests"
    table = None
    # RuntimeError: the user has no home folder.
    with suppress(OSError, BadMachine, RuntimeError, sqlite3.Error):
        folder = private_folder(Path(os.environ.get(VARIABLE) or default).expanduser())
        table = _open(folder / "sha256.sqlite3")
    if table is None:
        yield None
        return
    with closing(table):
        yield table


def _open(path: Path) -> sqlite3.Connection:
    for _ in range(2):
        table = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        try:
            table.execute(
                "CREATE TABLE IF NOT EXISTS files "
                "(path BLOB PRIMARY KEY, signature TEXT, digest TEXT, mark TEXT)"
            )
            return table
        except sqlite3.OperationalError:  # locked, or the disk is full
            table.close()
            raise
        except sqlite3.DatabaseError:  # damaged
            table.close()
            path.unlink(missing_ok=True)
    raise sqlite3.OperationalError(f"{path} cannot be made")


def _recall(table: sqlite3.Connection | None, signatures: dict[Path, str]) -> dict[Path, str]:
    """Return the cached digests of the files that have not changed."""
    found: dict[Path, str] = {}
    if table is None:
        return found
    with suppress(sqlite3.Error):
        for path, signature in signatures.items():
            row = table.execute(
                "SELECT signature, digest, mark FROM files WHERE path = ?", (os.fsencode(path),)
            ).fetchone()
            if row and row[0] == signature and row[2] == _mark(path, row[0], row[1]):
                found[path] = row[1]
    return found


def _remember(table: sqlite3.Connection | None, rows: list[tuple[Path, str, str]]) -> None:
    if table is None or not rows:
        return
    values = [(os.fsencode(p), signature, d, _mark(p, signature, d)) for p, signature, d in rows]
    with suppress(sqlite3.Error):
        table.execute("BEGIN IMMEDIATE")
        table.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", values)
        table.execute(f"DELETE FROM files WHERE rowid <= (SELECT MAX(rowid) FROM files) - {ROWS}")
        table.execute("COMMIT")


def _mark(path: Path, signature: str, digest: str) -> str:
    """Return a row's checksum, by which damaged rows are detected."""
    text = b"\0".join((os.fsencode(path), signature.encode(), digest.encode()))
    return hashlib.sha256(text).hexdigest()[:16]
