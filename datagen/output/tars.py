"""The members of an untrusted tar: regular files only, none larger than the tar itself."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any


class _Bounded:
    """A file that never reads beyond its length, whatever size a header claims."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._length = file, length
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))


def members(file: IO[bytes], length: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar of `length` bytes, without their content.

    Raises tarfile.TarError if it is not a tar or is compressed, or if a member is not a regular
    file (a link, a device, a sparse file) or claims more bytes than follow.
    """
    try:
        bounded: Any = _Bounded(file, length)
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            for member in tar:
                if not member.isreg() or member.issparse():
                    raise tarfile.ReadError(f"{member.name!r:.80} is not a regular file")
                if not 0 <= member.size <= length - member.offset_data:
                    raise tarfile.ReadError(f"{member.name!r:.80} claims {member.size} bytes")
                yield member
    except (RecursionError, OverflowError, ValueError) as error:
        raise tarfile.ReadError(f"a header is damaged ({error!s:.100})") from None
