"""Read all bytes of a URL in order, resuming after broken connections.

http and https are read by Python's own client, webdataset's `pipe:` by its `gopen`, and all other
schemes (s3, gs, hf, …) by fsspec, which finds credentials in the environment and in the files of
the provider's tools.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from ssl import SSLCertVerificationError
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from trainer.data.places import Url
from trainer.errors import BadInput

TRIES = 8
"""Consecutive tries without a new byte after which a server counts as unreachable."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the second try, doubled before each further try, and their maximum."""
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as broken."""
BLOCK = 1 << 20
"""Bytes read from a connection at a time."""
PIECE = 16 << 20
"""Bytes per request to fsspec."""
AGAIN = (408, 425, 429)
"""HTTP status codes from 400 to 499 that are worth retrying, as all from 500 are."""


class Unreachable(BadInput):
    """The server does not answer or refuses access, so none of its shards can be read."""


class Absent(FileNotFoundError):
    """The server has no such file; the message names it."""


def stream(url: Url, tries: int | None = None) -> Iterator[bytes | memoryview]:
    """Yield all bytes of a URL; after a broken connection, request the rest.

    A yielded block is valid until the next one. Raises Absent if there is no such file, Unreachable
    if the server does not answer or refuses.
    """
    tries = tries or TRIES
    got, total, failures = 0, None, 0
    while True:
        before = got
        try:
            size, blocks = _open(url, got)
            with closing(blocks):
                if None not in (total, size) and size != total:
                    raise Unreachable(
                        f"{url} changed while it was read: {total} bytes, now {size}."
                    )
                total = total if size is None else size
                for block in blocks:
                    got += len(block)
                    yield block
            if total is None or got >= total:
                return
            raise ConnectionError(f"the connection ended after {got} of {total} bytes")
        except (Unreachable, Absent):
            raise
        except Exception as error:  # each protocol's package has its own classes
            failures = 1 if got > before else failures + 1
            _refuse(url, error, failures >= tries)
        time.sleep(min(PAUSE * 2 ** (failures - 1), LONGEST_PAUSE))


def read_range(url: Url, offset: int, size: int) -> bytes:
    """Return some bytes of a URL, fewer at its end; raises as `stream` does."""
    failures = 0
    while True:
        try:
            _, blocks = _open(url, offset, offset + size)
            with closing(blocks):
                return b"".join(bytes(block) for block in blocks)[:size]
        except (Unreachable, Absent):
            raise
        except Exception as error:
            failures += 1
            _refuse(url, error, failures >= TRIES)
        time.sleep(min(PAUSE * 2 ** (failures - 1), LONGEST_PAUSE))


def _open(url: Url, start: int, stop: int | None = None) -> tuple[int | None, Any]:
    """Return the size of the whole file, if known, and a generator of its bytes from start.

    stop: where they may end.
    """
    if url.scheme in ("http", "https"):
        return _http(url, start, stop)
    if url.scheme == "pipe":
        return None, _skipped(_pipe(url), start)
    return _fsspec(url, start, stop)


def _http(url: Url, start: int, stop: int | None) -> tuple[int | None, Any]:
    span = f"bytes={start}-{'' if stop is None else stop - 1}"
    headers = {"Range": span} if start or stop else {}
    response = urlopen(Request(url.text, headers=headers), timeout=TIMEOUT)
    length = response.headers.get("Content-Length")
    total = int(length) if length else None
    if response.status == 206:
        total = int(response.headers["Content-Range"].rpartition("/")[2])
    blocks = _blocks(response)
    return total, blocks if response.status == 206 else _skipped(blocks, start)


def _blocks(response: Any) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(BLOCK))
    with response:
        while size := response.readinto(buffer):
            yield buffer[:size]


def _skipped(blocks: Iterator[Any], start: int) -> Iterator[Any]:
    """Yield blocks without their first bytes, for sources that cannot start in the middle."""
    for block in blocks:
        if start < len(block):
            yield block[start:]
        start = max(0, start - len(block))


def _pipe(url: Url) -> Iterator[bytes]:
    from webdataset.gopen import gopen

    with gopen(url.text) as pipe:
        while block := pipe.read(BLOCK):
            yield block


def _fsspec(url: Url, start: int, stop: int | None) -> tuple[int, Any]:
    files, path = file_system(url)
    total = int(files.info(path)["size"])
    end = total if stop is None else min(stop, total)

    def pieces() -> Iterator[bytes]:
        for begin in range(start, end, PIECE):
            wanted = min(PIECE, end - begin)
            piece = files.cat_file(path, start=begin, end=begin + wanted)
            yield piece
            if len(piece) != wanted:
                raise ConnectionError(f"{len(piece)} bytes came instead of {wanted}")

    return total, pieces()


def file_system(url: object) -> tuple[Any, str]:
    """Return fsspec's file system of a URL and the path in it; Unreachable if there is none."""
    import fsspec

    try:
        return fsspec.url_to_fs(str(url))
    except (ImportError, ValueError) as error:  # an unknown protocol, or one without its package
        package = getattr(error.__cause__, "name", "")  # of a ModuleNotFoundError
        remedy = f" (`pip install {package}`)" if package else ""
        raise Unreachable(f"{url} cannot be opened: {error}{remedy}.") from None


def names_in(url: Url) -> list[str] | None:
    """Return the names of the files in a folder behind a URL; None if they cannot be listed."""
    if url.scheme in ("http", "https", "pipe"):
        return None
    files, path = file_system(url)
    try:
        files.invalidate_cache()  # other processes write there
        return sorted(str(name).rpartition("/")[2] for name in files.ls(path, detail=False))
    except FileNotFoundError:
        return []
    except Exception as error:
        _refuse(url, error, True)
        raise


def _refuse(url: Url, error: Exception, last: bool) -> None:
    """Raise Absent or Unreachable if another try is useless."""
    code = error.code if isinstance(error, HTTPError) else 0
    cause = error.reason if isinstance(error, URLError) and not code else error
    name = type(cause).__name__
    if code in (404, 410) or isinstance(error, FileNotFoundError):
        raise Absent(f"{url} does not exist") from None
    if code in (401, 403) or isinstance(error, PermissionError) or "Credentials" in name:
        raise Unreachable(
            f"{url} may not be read ({error}); check the credentials in the environment, and "
            "that they have not expired."
        ) from None
    lasting = 400 <= code < 500 and code not in AGAIN
    if lasting or isinstance(cause, SSLCertVerificationError) or isinstance(error, ValueError):
        raise Unreachable(f"{url} cannot be read ({error}).") from None
    if last:
        raise Unreachable(
            f"{url} cannot be read ({_words(cause)}); run the same command again when its server "
            "answers."
        ) from None


def _words(error: object) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    if isinstance(error, HTTPException):
        return f"{type(error).__name__}: {error}"
    return str(error) or type(error).__name__
