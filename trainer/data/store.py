"""Open shards anywhere: local files, cached copies and downloads in progress."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from trainer.data.cache import ShardCache
from trainer.data.places import Place, Url
from trainer.data.transfer import read_range, stream
from trainer.errors import BadInput

FIRST_TRIES = 4
"""Tries for the small files that a command reads first, so that a mistyped URL fails quickly."""


class ShardFile(Protocol):
    """An open shard, read at any offset in any order."""

    closed: bool
    length: int | None
    """Bytes, if known."""

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes from offset on; fewer at the end. `size` may be any number that a file
        claims: no more memory is allocated than there are bytes."""
        ...

    def close(self) -> None: ...


class LocalFile:
    """A shard in a local file."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self.closed = False
        self.size = os.fstat(self.descriptor).st_size
        self.length: int | None = self.size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.descriptor, min(size, max(0, self.size - offset)), offset)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self.descriptor)


class Download:
    """A shard of a URL, read while it is downloaded.

    A thread writes it to a file (in the cache, or unnamed) and stops if the shard is closed early.
    """

    def __init__(self, url: Url, cache: ShardCache | None, version: str) -> None:
        self.url, self.cache = url, cache
        self.kept = cache.path(url, version) if cache else None
        self.part = cache.part(self.kept) if cache and self.kept else None
        folder = str(cache.folder) if cache else tempfile.gettempdir()
        with _writing(folder):
            if self.part:
                self.descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            else:
                self.descriptor, name = tempfile.mkstemp(dir=folder)
                os.unlink(name)
        self.folder = folder
        self.length: int | None = None
        self.size, self.done, self.closed = 0, False, False
        self.error: BaseException | None = None
        self.news = threading.Condition()
        self.thread = threading.Thread(target=self._fetch, name="download", daemon=True)
        self.thread.start()

    def read(self, offset: int, size: int) -> bytes:
        with self.news:
            self.news.wait_for(lambda: self.done or self.size >= offset + size)
            if self.error is not None and self.size < offset + size:
                raise self.error
            size = min(size, max(0, self.size - offset))
        return os.pread(self.descriptor, size, offset)

    def close(self) -> None:
        """Stop the thread, which then closes the file; a finished thread has left it open."""
        with self.news:
            if self.closed:
                return
            self.closed = True
            if self.done:
                os.close(self.descriptor)

    def _fetch(self) -> None:
        try:
            for block in stream(self.url):
                if self.closed:
                    break
                with _writing(self.folder):
                    _write(self.descriptor, block)
                with self.news:
                    self.size += len(block)
                    self.news.notify_all()
            else:
                if self.cache and self.part and self.kept:
                    self.cache.keep(self.part, self.kept)
        except BaseException as error:
            self.error = error
        finally:
            if self.part:
                with contextlib.suppress(OSError):
                    self.part.unlink(missing_ok=True)
            with self.news:
                self.done = True
                if self.closed:
                    os.close(self.descriptor)
                self.news.notify_all()


def _write(descriptor: int, block: bytes | memoryview) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def _writing(folder: str) -> Iterator[None]:
    """Turn a full or read-only disk into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what, advice = "no space is left for shards in", "free some, or lower --cache-size"
        else:
            what, advice = "shards cannot be written to", "name another folder by --cache"
        raise BadInput(f"{what} {folder} ({error.strerror}): {advice}.") from None


class Store:
    """Opens shards; those of URLs are prefetched, through a cache if there is one."""

    def __init__(self, cache: ShardCache | None = None) -> None:
        self.cache = cache
        self.started: dict[tuple[Place, str], Download] = {}
        self.lock = threading.Lock()
        self.copies: tempfile.TemporaryDirectory[str] | None = None

    def __reduce__(self) -> tuple[type[Store], tuple[ShardCache | None]]:
        """Let copies in other processes (a DataLoader's workers) start without downloads."""
        return Store, (self.cache,)

    def small_bytes(self, place: Place) -> bytes:
        """Return the content of a small file beside the shards.

        Raises OSError if it does not exist, Unreachable if the server is unreachable.
        """
        if isinstance(place, Path):
            return place.read_bytes()
        return b"".join(bytes(block) for block in stream(place, FIRST_TRIES))

    def small(self, place: Place) -> Path:
        """Return the path of a small file beside the shards; that of a URL is downloaded."""
        if isinstance(place, Path):
            return place
        if self.copies is None:
            self.copies = tempfile.TemporaryDirectory(prefix="motion-hmr-")
        key = hashlib.sha256(place.text.encode()).hexdigest()[:16]
        path = Path(self.copies.name) / f"{key}-{place.name}"
        if not path.exists():
            path.write_bytes(self.small_bytes(place))
        return path

    def open(self, place: Place, version: str = "", ahead: Sequence[Place] = ()) -> ShardFile:
        """Return an open shard; version distinguishes replaced files.

        ahead: the next shards of the same data set, whose download begins now. Raises OSError if
        the file does not exist, Unreachable if the server is unreachable.
        """
        if not isinstance(place, Url):
            return LocalFile(place)
        kept = self._kept(place, version)
        with self.lock:
            download = self.started.pop((place, version), None)
        if download is None and kept is not None:
            with contextlib.suppress(FileNotFoundError):  # removed by another process just now
                return LocalFile(kept)
        found = download or Download(place, self.cache, version)
        for other in ahead:
            self._begin(other, version)
        return found

    def read(self, place: Place, version: str, offset: int, size: int) -> bytes:
        """Return some bytes of a shard that is not open; raises as `open` does."""
        if isinstance(place, Url) and not self._kept(place, version):
            return read_range(place, offset, size)
        with contextlib.closing(self.open(place, version)) as file:
            return file.read(offset, size)

    def forget(self, place: Place, version: str) -> None:
        """Remove a damaged cached copy, so that the next reader downloads the shard again."""
        if isinstance(place, Url) and self.cache:
            self.cache.path(place, version).unlink(missing_ok=True)

    def _kept(self, url: Url, version: str) -> Path | None:
        path = self.cache.path(url, version) if self.cache else None
        return path if path is not None and self.cache and self.cache.find(path) else None

    def _begin(self, place: Place, version: str) -> None:
        if not isinstance(place, Url) or self._kept(place, version):
            return
        with self.lock:
            if (place, version) not in self.started:
                self.started[place, version] = Download(place, self.cache, version)
