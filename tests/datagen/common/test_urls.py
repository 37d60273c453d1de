"""Data sets behind a URL: the same bytes, resumable, verified, nothing half-made."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from datagen.common import files
from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import cached, place, sha256, sizes, whole
from datagen.launch import main as launch
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest
from datagen.verify import main as verify

SMALL = (
    "--num-shards 2 --clips-per-shard 2 --clip-length 4 --image-size 64 --motion-limit 3 "
    "--video-limit 2"
).split()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://bucket/x"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def run(out: Path | str, *options: str, backend: str = "serial") -> int:
    return launch([*SMALL, "--out", str(out), "--backend", backend, *options])


def hashes(out: Path | str) -> dict[int, str]:
    lines = Manifest(Layout(place(out)).manifests / "shards.jsonl").latest("shard")
    return {index: line["sha256"] for index, line in lines.items()}


def test_a_data_set_in_memory_is_made_continued_and_verified(
    memory: str, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "x") == 0
    assert run(memory) == 0
    assert hashes(memory) == hashes(tmp_path / "x")
    assert sizes(place(memory)) == sizes(tmp_path / "x")
    assert verify([memory]) == 0
    layout = Layout(place(memory))
    layout.shard(1).unlink()
    assert verify([memory]) == 1
    assert run(memory) == 0
    assert hashes(memory) == hashes(tmp_path / "x")
    capsys.readouterr()
    assert run(memory) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert run(memory, "--no-occluders") == 2
    assert "--occluders" in capsys.readouterr().err
    assert not list(cache.rglob("*.tmp"))
    assert not sizes(layout.manifests / "shards.jsonl.parts")


@pytest.mark.slow
def test_file_urls_are_folders(tmp_path: Path) -> None:
    assert place(f"file://{tmp_path}/x") == tmp_path / "x"
    assert run(f"file://{tmp_path}/x", "--num-shards", "1", backend="processes") == 0
    assert (tmp_path / "x" / "shard-000000.tar").exists()


def test_lines_behind_a_url_come_together_in_order(memory: str) -> None:
    manifest = Manifest(place(memory) / "m.jsonl")
    lines = [{"shard": number} for number in range(5)]
    for line in lines[:3]:
        manifest.append(line)
    assert manifest.lines() == lines[:3]
    manifest.join()
    assert manifest.lines() == lines[:3] and len(sizes(place(memory))) == 1
    for line in lines[3:]:
        manifest.append(line)
    assert Manifest(manifest.path).lines() == lines


def test_an_upload_that_fails_leaves_nothing(memory: str, cache: Path, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("no right to write")

    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", refused)
    (fsspec.filesystem("memory")).pipe("/bucket/keep", b"")
    words = "bucket/x is not writable"
    with pytest.raises(BadMachine, match=words), whole(place(memory) / "file") as temporary:
        temporary.write_text("content")
    assert not list(cache.iterdir())


def test_servers_without_whole_uploads_get_a_rename(memory: str, monkeypatch) -> None:
    monkeypatch.setattr(files, "WHOLE_UPLOADS", set())
    with whole(place(memory) / "a" / "file") as temporary:
        temporary.write_text("content")
    assert sizes(place(memory) / "a") == {"file": 7}


def test_a_copy_in_the_cache_is_checked_and_fetched_once(memory: str, cache: Path) -> None:
    path = place(memory) / "person.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    with pytest.raises(OSError, match="differs from its SHA-256"):
        cached(path, "0" * 64)
    assert not list(cache.iterdir())
    digest = sha256(path)
    copy = cached(path, digest)
    cached.cache_clear()  # as in another process
    copy.write_bytes(b"changed")
    assert cached(path, digest) == copy and copy.read_bytes() == b"content"
    path.unlink()
    cached.cache_clear()
    assert cached(path, digest) == copy and copy.read_bytes() == b"content"


@pytest.mark.parametrize("url", ["nonsense://x/y", "s3:/x"])
def test_a_url_that_cannot_be_opened_is_named(url: str) -> None:
    if url.startswith("nonsense"):
        with pytest.raises(BadInput, match="nonsense://x/y cannot be opened"):
            place(url)
    else:  # one slash: a folder of an odd name
        assert place(url) == Path(url)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a server of its own, which MOTION_HMR_MOTO (or the path) has as moto_server."""
    pytest.importorskip("s3fs")
    server = os.environ.get("MOTION_HMR_MOTO", "moto_server")
    try:
        process = subprocess.Popen([server, "-p", "5791"], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("pip install 'moto[server]' gives the S3 server of this test")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:5791",
    }.items():
        monkeypatch.setenv(name, value)
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    for _ in range(120):
        try:
            store.mkdir("motion")
            break
        except Exception:
            time.sleep(0.5)
    yield "s3://motion/set/shards"
    process.terminate()
    process.wait()


@pytest.mark.slow
def test_a_bucket_holds_what_a_folder_holds_whoever_was_killed(bucket: str, tmp_path: Path) -> None:
    assert run(tmp_path / "x", "--num-shards", "4") == 0
    options = [*SMALL, "--num-shards", "4", "--out", bucket, "--workers", "2"]
    command = [sys.executable, "-m", "datagen.launch", *options]
    killed = subprocess.Popen(command)
    while not sizes(place(bucket)).get("shard-000000.tar"):
        assert killed.poll() is None
        time.sleep(0.2)
    killed.kill()
    killed.wait()
    subprocess.run(command, check=True)
    assert hashes(bucket) == hashes(tmp_path / "x")
    assert verify([bucket]) == 0
    root = place("s3://motion/set")
    assert {path.name for path in root.iterdir()} >= {"manifests", "library", "shards"}
    assert run("s3://nobody-made-this/x") == 2
