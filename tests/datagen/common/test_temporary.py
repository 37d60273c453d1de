"""Temporary files of writers that share nothing but a folder; names of any length."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from datagen.common import files, temporary
from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import cache_folder, private_folder, shortened, sweep, whole

WRITER = """
import sys, time
from pathlib import Path
from datagen.common.files import whole
with whole(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path: Path):
    """A process that is writing tmp_path/file."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    yield process
    process.kill()
    process.wait()


def hidden(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*"))


def test_a_sweep_takes_a_dead_writers_file_and_no_living_ones(tmp_path: Path, writer) -> None:
    (living,) = hidden(tmp_path)
    sweep(tmp_path)
    assert hidden(tmp_path) == [living]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    sweep(tmp_path)
    assert not hidden(tmp_path)


def test_two_containers_of_one_host_name_and_process_id_write_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are process 1, as a container's first is, and each sweeps while the other writes."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    target, both = tmp_path / "body.npz", threading.Barrier(2, timeout=20)
    failures: list[Exception] = []

    def write(text: str) -> None:
        try:
            with whole(target) as unfinished:
                unfinished.write_text(text)
                both.wait()
                sweep(tmp_path)
                both.wait()
                assert unfinished.read_text() == text
                both.wait()
        except Exception as error:
            failures.append(error)
            both.abort()

    threads = [threading.Thread(target=write, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert target.read_text() in ("one", "two") and list(tmp_path.iterdir()) == [target]


def test_what_another_host_left_goes_when_it_has_lain_for_a_day(tmp_path: Path) -> None:
    """Its locks may not be seen here."""
    random = secrets.token_hex(12)
    new, old = (tmp_path / f".x.tar.{name}.{random}.tmp" for name in ("00000000", "00000001"))
    former, young = tmp_path / ".x.tar.host.17.tmp", tmp_path / ".y.tar.host.17.tmp"
    others = [tmp_path / name for name in (".x.tmp", "x.tmp", ".x.tar.swp.tmp", "x.tar")]
    for path in (new, old, former, young, *others):
        path.write_text("half")
    for path in (old, former, *others):
        os.utime(path, (0, 0))
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == {new, young, *others}


def test_without_locks_only_age_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "try_lock", lambda file: None)
    with whole(tmp_path / "file") as unfinished:
        unfinished.write_text("all")
        sweep(tmp_path)
    assert (tmp_path / "file").read_text() == "all"


def test_a_sweep_between_the_making_of_a_file_and_its_lock_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = temporary.try_lock, []

    def sweep_first(file: int) -> bool | None:
        if not swept:
            swept.append(True)
            sweep(tmp_path)
        return lock(file)

    monkeypatch.setattr(temporary, "try_lock", sweep_first)
    with whole(tmp_path / "file") as unfinished:
        sweep(tmp_path)
        unfinished.write_text("all")
    assert (tmp_path / "file").read_text() == "all"


def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "é" * 127):
        with whole(tmp_path / name) as unfinished:
            unfinished.write_text("all")
        assert (tmp_path / name).read_text() == "all"
    with (
        pytest.raises(BadInput, match="does not allow names of 256 bytes"),
        whole(tmp_path / ("a" * 256)),
    ):
        pass
    assert not hidden(tmp_path)


def test_long_names_stay_apart_and_short_ones_as_they_are() -> None:
    assert shortened("walk") == "walk" and shortened("a" * 200) == "a" * 200
    long = [shortened("a" * 300 + end) for end in "xyz"] + [shortened("é" * 150)]
    assert len(set(long)) == 4 and all(len(name.encode()) <= 200 for name in long)


def test_the_cache_folder_is_this_users_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(files.CACHE_VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = cache_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert cache_folder().stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(BadMachine, match="not a folder that you own"):
            private_folder(tmp_path / name)
