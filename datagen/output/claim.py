"""Ensures that only one launch at a time writes a data set; a claim ends with its process.

A claim is a small file in manifests/running. On one machine, even across containers, a lock on the
file shows whether its owner is alive: the kernel releases it when the process ends. Locks of other
hosts may not be visible, and URLs have none, so an owner also rewrites its claim every few seconds;
a claim that is not rewritten for a while belongs to a dead launch.
"""

from __future__ import annotations

import errno
import json
import os
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import is_local, make_folder, read_all, sizes, whole, writing
from datagen.common.record import Line
from datagen.common.temporary import create, machine, sweep, try_lock
from datagen.output.layout import Layout

BEAT = 5.0
"""Seconds between two heartbeats."""
WATCH = 3 * BEAT
"""Seconds without a heartbeat after which another host's launch counts as dead."""
TRIES = 4
"""Attempts while two launches that start at the same moment yield to each other."""


@contextmanager
def claimed(
    layout: Layout, fingerprint: str, shards: Collection[int] | None = None
) -> Iterator[None]:
    """Hold the claim on a data set while the block runs.

    fingerprint: the data set's; shards: those to make, if the user named them. Two launches of one
    configuration that name different shards may run at the same time, but not with a URL.

    Raises BadInput while another launch holds the claim, BadMachine if the data set cannot be
    written there.
    """
    folder = layout.manifests / "running"
    made = []  # folders to remove at the end if they are empty
    if is_local(folder):
        made = [folder, *(path for path in folder.parents if not path.exists())]
    claim = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "machine": machine(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "folder": str(layout.shards),
        "fingerprint": fingerprint,
        "shards": None if shards is None or not is_local(folder) else sorted(shards),
    }
    held = (_LocalClaim if is_local(folder) else _RemoteClaim)(folder, claim)
    try:
        if is_local(folder):
            _make_or_refuse(folder, layout.shards)
        _take(held, layout)
        with held.beating():
            yield
    except KeyboardInterrupt:
        if held.lost:
            raise BadMachine(
                f"{held.path} is gone: another launch took over while this one was suspended, "
                "or the folder was removed; run the same command again"
            ) from None
        raise
    finally:
        held.drop()
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _make_or_refuse(folder: Path, out: Path) -> None:
    """Make the folder of claims; raise BadMachine, which names --out, if nothing can be made there.

    Errors such as a full disk keep the words of `writing`.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with writing(there):
            folder.mkdir(parents=True, exist_ok=True)
        why = "" if os.access(folder, os.W_OK) else f"{folder} is not writable"
    except (FileExistsError, NotADirectoryError):
        why = f"{there} is not a folder"
    except FileNotFoundError:  # such as /proc
        why = f"{there} takes no folders"
    except OSError as error:
        why = f"{there}: {error.strerror}"
    except BadMachine as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EROFS:
            raise
        why = f"{there} is not writable"
    if why:
        verb = "written" if out.exists() else "created"
        raise BadMachine(
            f"--out {out} cannot be {verb}: {why}; make it writable, or name another path"
        )


def forget(layout: Layout) -> None:
    """Remove what killed launches left in a local folder of claims."""
    folder = layout.manifests / "running"
    if not is_local(folder) or not folder.exists():
        return
    own = _LocalClaim(folder, {})
    with suppress(OSError):
        sweep(folder)
        for path in folder.glob("*.json"):
            if own.dead(path):
                path.unlink(missing_ok=True)
        folder.rmdir()  # if it is empty


def _take(held: _Claim, layout: Layout) -> None:
    """Write the claim; of two launches that start at the same moment, at least one sees the other
    and yields."""
    for _ in range(TRIES):
        if rival := held.rival():
            break
        held.write()
        rival = held.rival()
        if not rival:
            return
        held.drop()
        time.sleep(random.uniform(0.1, 1.0))
    assert rival is not None
    raise BadInput(_refusal(layout, rival, held.line))


def _refusal(layout: Layout, rival: Line, mine: Line) -> str:
    same = rival["fingerprint"] == mine["fingerprint"]
    return (
        f"{layout.shards} is being filled by another launch"
        f"{'' if same else ' with other options'} "
        f"(process {rival['process']} on {rival['host']}, since {rival['since']}); wait until it "
        "ends, stop it or choose another --out"
        + ("; launches can share the work if each names its own --shards" if same else "")
    )


class _Claim:
    """This process's claim on a data set, and access to the other claims on it."""

    def __init__(self, folder: Path, line: Line) -> None:
        self.folder, self.line = folder, line
        self.path = folder / f"{secrets.token_hex(12)}.json"
        self.lost = False
        """Whether another launch has taken over, or the folder was removed."""
        self._done = threading.Event()

    def write(self) -> None:
        raise NotImplementedError

    def refresh(self, beat: int) -> bool:
        """Write a heartbeat; return False if another launch has taken over."""
        raise NotImplementedError

    def drop(self) -> None:
        """Remove the claim, if it was written."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def dead(self, path: Path) -> bool | None:
        """Return whether another claim's owner is dead; None if only waiting can tell."""
        raise NotImplementedError

    def rival(self) -> Line | None:
        """Return the claim of a running launch that excludes this one; remove dead claims."""
        for path, line in self._others().items():
            dead = self.dead(path)
            if not dead and not self._against(line):
                continue
            if dead is None:
                dead = not self._moves(path, line)
            if not dead:
                return line
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return None

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Write heartbeats while the block runs."""

        def beat() -> None:
            number = 0
            while not self._done.wait(BEAT):
                number += 1
                with suppress(OSError):  # the storage is unavailable for a moment
                    if not self.refresh(number):
                        self.lost = True
                        main = threading.main_thread().ident
                        assert main is not None
                        signal.pthread_kill(main, signal.SIGINT)
                        return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join(BEAT)

    def _against(self, line: Line) -> bool:
        """Return whether another claim excludes this one."""
        mine, theirs = self.line["shards"], line["shards"]
        alike = all(self.line[key] == line[key] for key in ("folder", "fingerprint"))
        return mine is None or theirs is None or not alike or bool({*mine} & {*theirs})

    def _others(self) -> dict[Path, Line]:
        names = [name for name in sizes(self.folder) if name.endswith(".json")]
        paths = [self.folder / name for name in names if name != self.path.name]
        found: dict[Path, Line] = {}
        for path in paths:
            with suppress(OSError):  # it has ended in the meantime
                found[path] = _parsed(read_all([path])[0])
        return found

    def _moves(self, path: Path, line: Line) -> bool:
        """Watch a claim; return whether its owner writes a heartbeat."""
        print(f"Checking whether the launch on {line['host']} is still running …", flush=True)
        until = time.monotonic() + WATCH
        while time.monotonic() < until:
            time.sleep(min(1.0, BEAT / 5))
            now = self._others().get(path)
            if now is None:  # it has ended
                return False
            if now != line:
                return True
        return False


class _LocalClaim(_Claim):
    """A claim as a locked file in a folder."""

    _file: int | None = None

    def write(self) -> None:
        with writing(self.folder):
            unfinished = self._create()
            try:
                self.refresh(0)
                os.replace(unfinished, self.path)  # others see it locked or not at all
            finally:
                unfinished.unlink(missing_ok=True)

    def _create(self) -> Path:
        """Open and lock a new temporary file; return its path."""
        while True:
            make_folder(self.folder)
            with suppress(FileNotFoundError):  # another launch has ended and cleaned up
                unfinished, self._file = create(self.folder, self.path.name)
                return unfinished

    def refresh(self, beat: int) -> bool:
        assert self._file is not None
        data = json.dumps({**self.line, "beat": beat}).encode()
        os.pwrite(self._file, data.ljust(4096), 0)
        return beat == 0 or self.path.exists()

    def drop(self) -> None:
        super().drop()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def dead(self, path: Path) -> bool | None:
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return True
        except PermissionError:
            return None
        try:
            locked = try_lock(file)
            line = _parsed(os.pread(file, 1 << 16, 0))
            if locked is False:
                return False
            return True if locked and line["machine"] == machine() else None
        finally:
            os.close(file)


class _RemoteClaim(_Claim):
    """A claim as an object at a URL."""

    def write(self) -> None:
        self.refresh(0)

    def refresh(self, beat: int) -> bool:
        if beat and self.path.name not in sizes(self.folder):
            return False
        with whole(self.path) as unfinished:
            unfinished.write_text(json.dumps({**self.line, "beat": beat}))
        return True

    def dead(self, path: Path) -> bool | None:
        return None


def _parsed(data: bytes) -> Line:
    """Return a claim's line; placeholders for one that is only half written."""
    unknown: dict[str, Any] = {
        "host": "?", "process": "?", "machine": "", "since": "?", "folder": "", "fingerprint": "",
        "shards": None, "beat": None,
    }  # fmt: skip
    with suppress(ValueError):
        line = json.loads(data)
        if isinstance(line, dict):
            return {**unknown, **line}
    return unknown
