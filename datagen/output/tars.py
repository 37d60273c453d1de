"""The members of a tar that nobody vouches for: plain files, none larger than what there is."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any


class _Bounded:
    """A file that reads no more than it holds, whatever a header asks for."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._length = file, length
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))


def members(file: IO[bytes], length: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar of `length` bytes, without their content.

    Raises tarfile.TarError: it is none or is compressed, or a member is no plain file (a link, a
    device, a file with holes) or claims more bytes than follow.
    """
    try:
        bounded: Any = _Bounded(file, length)
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            for member in tar:
                if not member.isreg() or member.issparse():
                    raise tarfile.ReadError(f"{member.name!r:.80} is no plain file")
                if not 0 <= member.size <= length - member.offset_data:
                    raise tarfile.ReadError(f"{member.name!r:.80} claims {member.size} bytes")
                yield member
    except (RecursionError, OverflowError, ValueError) as error:
        raise tarfile.ReadError(f"a header is damaged ({error!s:.100})") from None
