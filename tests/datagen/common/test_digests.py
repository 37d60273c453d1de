"""A file is hashed once, and again whenever its content may be another."""

import hashlib
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from datagen.common import digests
from datagen.common.digests import UNREADABLE, file_digests
from datagen.common.errors import BadInput


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The table's file, of a memory that files need not be old for."""
    monkeypatch.setenv(digests.VARIABLE, str(tmp_path / "memory"))
    monkeypatch.setattr(digests, "FRESH", -1.0)
    return tmp_path / "memory" / "sha256.sqlite3"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in the order of reading."""
    names: list[str] = []
    real = digests._hash

    def noted(path: Path) -> tuple[Path, str, str]:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(digests, "_hash", noted)
    return names


def test_digests_are_those_of_sha256sum(memory: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c\udcff")]
    for number, path in enumerate(paths):
        path.write_bytes(os.urandom(1000) * number)
    command = ["sha256sum", "--zero", *map(os.fsencode, paths)]
    wanted = subprocess.run(command, capture_output=True, check=True).stdout.split(b"\0")
    for _ in range(2):
        assert [digest.encode() for digest in file_digests(paths)] == [w[:64] for w in wanted[:3]]
    assert file_digests([paths[1], paths[0], paths[1]])[::2] == [wanted[1][:64].decode()] * 2


def test_a_file_is_read_once_by_all_launches(memory: Path, tmp_path: Path, hashed) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"123")
    assert file_digests([path]) == file_digests([path]) and hashed == ["a"]
    assert memory.parent.stat().st_mode & 0o777 == 0o700


def test_other_content_of_equal_size_and_time_is_read(memory: Path, tmp_path: Path) -> None:
    """As `cp -p` and `touch -r` leave it; and as another file of that name does."""
    path = tmp_path / "a"
    path.write_bytes(b"123")
    first, before = file_digests([path]), path.stat()
    path.write_bytes(b"456")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert file_digests([path]) == [hashlib.sha256(b"456").hexdigest()] != first
    (tmp_path / "b").write_bytes(b"789")
    os.replace(tmp_path / "b", path)
    assert file_digests([path]) == [hashlib.sha256(b"789").hexdigest()]


def test_a_file_changed_a_moment_ago_is_not_remembered(
    memory: Path, tmp_path: Path, monkeypatch
) -> None:
    """Its times could be the same after the next change, as file systems' clocks tick."""
    monkeypatch.setattr(digests, "FRESH", 3.0)
    monkeypatch.setattr(digests, "_of", lambda found: "the same")
    path = tmp_path / "a"
    for content in (b"123", b"456"):
        path.write_bytes(content)
        assert file_digests([path]) == [hashlib.sha256(content).hexdigest()]


@pytest.mark.parametrize("harm", ["a row", "the table", "the folder"])
def test_a_damaged_memory_vouches_for_nothing(
    memory: Path, tmp_path: Path, hashed, harm: str, monkeypatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"123")
    right = file_digests([path])
    if harm == "a row":
        with sqlite3.connect(memory) as table:
            table.execute("UPDATE files SET digest = ?", ("0" * 64,))
    elif harm == "the table":
        memory.write_bytes(b"no database at all" * 100)
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv(digests.VARIABLE, str(tmp_path / "file"))
    assert file_digests([path]) == right and hashed == ["a", "a"]


def test_what_cannot_be_read_costs_itself_only(memory: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    found = file_digests([tmp_path / "missing", tmp_path / "a", tmp_path])
    assert found == [UNREADABLE, hashlib.sha256(b"123").hexdigest(), UNREADABLE]


def test_a_file_that_is_being_written_is_named(memory: Path, tmp_path: Path, monkeypatch) -> None:
    path, real = tmp_path / "growing.mp4", hashlib.file_digest
    path.write_bytes(b"123")

    def growing(file, name):
        with path.open("ab") as more:
            more.write(b"4")
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", growing)
    with pytest.raises(BadInput, match=r"growing\.mp4 is being written"):
        file_digests([path])
