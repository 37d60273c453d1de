"""Tars that no writer of ours makes: read in memory, in no time, or refused in a sentence."""

from __future__ import annotations

import io
import signal
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datagen.common.errors import BadInput
from datagen.output import shard
from datagen.report.reader import DataSetReader
from trainer.data.records import Damaged, Shard, read_shard

MOST = 32 << 20
"""Bytes that a reader may take for a tar of at most 1 MB."""
NAME = "000000_0000.meta.json"


def header(name: str, **fields: object) -> bytes:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def with_checksum(block: bytes, **fields: tuple[int, bytes]) -> bytes:
    """Return a header with bytes replaced, its checksum right."""
    out = bytearray(block)
    for place, data in fields.values():
        out[place : place + len(data)] = data
    out[148:156] = b" " * 8
    out[148:156] = f"{sum(out):06o}\0 ".encode()
    return bytes(out)


def pax(**records: str) -> bytes:
    """Return a PAX header for the member that follows."""
    text = b""
    for key, value in records.items():
        line = f" {key.replace('_', '.')}={value}\n".encode()
        length = next(n for n in range(1, 10**6) if len(f"{n}") + len(line) == n)
        text += str(length).encode() + line
    block = header("x", type=tarfile.XHDTYPE, size=len(text))
    return block + text + bytes(-len(text) % 512)


def negative_size() -> bytes:
    size = (-512).to_bytes(12, "big", signed=True)
    return with_checksum(header(NAME), size=(124, size)) + bytes(2000)


def sparse() -> bytes:
    """An old GNU sparse file: two bytes of data, and a hole of 4 TB before them."""
    block = header(NAME, size=2, type=tarfile.GNUTYPE_SPARSE)
    chunk = (1 << 42).to_bytes(12, "big")
    real = b"\x80" + ((1 << 42) + 2).to_bytes(11, "big")
    start = b"\x80" + chunk[1:]
    return with_checksum(block, at=(386, start), n=(398, b"00000000002\0"), size=(483, real)) + (
        b"{}" + bytes(510)
    )


CASES: dict[str, Callable[[], bytes]] = {
    "absolute": lambda: header("/etc/passwd.json", size=2) + b"{}" + bytes(510),
    "above": lambda: header("../../000000_0000.meta.json", size=2) + b"{}" + bytes(510),
    "symbolic link": lambda: header(NAME, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": lambda: header(NAME, type=tarfile.LNKTYPE, linkname="../secret"),
    "device": lambda: header(NAME, type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "fifo": lambda: header(NAME, type=tarfile.FIFOTYPE),
    "negative size": negative_size,
    "sparse": sparse,
    "PAX sparse": lambda: (
        pax(GNU_sparse_size=str(1 << 42), GNU_sparse_numblocks="1", GNU_sparse_map="0,2")
        + header(NAME, size=2) + b"{}" + bytes(510)
    ),
    "PAX size": lambda: pax(size=str(1 << 62)) + header(NAME, size=2) + b"{}" + bytes(510),
    "PAX of 8 GB": lambda: header("x", type=tarfile.XHDTYPE, size=8 << 30) + bytes(2000),
    "name of 8 GB": lambda: header("x", type=tarfile.GNUTYPE_LONGNAME, size=8 << 30) + bytes(2000),
    "PAX on PAX": lambda: pax(comment="x") * 900 + header(NAME, size=2) + b"{}" + bytes(510),
    "size of 8 EB": lambda: with_checksum(
        header(NAME), size=(124, b"\x80" + (1 << 63).to_bytes(11, "big"))
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Nothing takes long, not even an endless loop within tarfile."""

    def stop(*_: object) -> None:
        raise RuntimeError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def as_verify(path: Path) -> object:
    data = path.read_bytes()
    return shard.owners(data), shard.split(data)


def as_trainer(path: Path) -> object:
    return [record.load(frozenset(record.places)) for record in read_shard(Shard(path))]


def as_report(path: Path) -> object:
    (path.parent / "dataset.json").write_text('{"image_size": 4}')
    return list(DataSetReader(str(path.parent)).records(0, 1))


@pytest.mark.parametrize("read", [as_verify, as_trainer, as_report])
@pytest.mark.parametrize("case", CASES)
def test_a_hostile_tar_takes_no_time_and_memory(
    case: str, read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = tmp_path / "shards" / "shard-000000.tar"
    path.write_bytes(CASES[case]() + bytes(10240))
    tracemalloc.start()
    try:
        found = read(path)
        assert "root:" not in str(found), "a link was followed"
    except (tarfile.TarError, BadInput, Damaged, ValueError) as error:
        assert len(str(error)) < 1000
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MOST
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_negative_size_does_not_read_a_member_twice() -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(NAME))
    with pytest.raises(tarfile.TarError, match="claims -512 bytes"):
        shard.split(negative_size() + whole.getvalue())
