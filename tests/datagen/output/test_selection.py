"""verify and inspect of shards behind URLs, by brace pattern, and one by one."""

import hashlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from faulty_server import serving

from datagen.common.files import place, sha256
from datagen.inspect import main as inspect
from datagen.report import reader
from datagen.verify import main as verify


@pytest.fixture
def made(small_set: Path, tmp_path: Path) -> Path:
    """A copy of a set of two shards, without its library."""
    shutil.copytree(small_set, tmp_path / "set" / "shards")
    shutil.copytree(small_set.parent / "manifests", tmp_path / "set" / "manifests")
    return tmp_path / "set" / "shards"


def test_a_url_without_listing_a_pattern_and_a_tar_are_verified(made: Path, capsys) -> None:
    """The server answers for files alone, as an object store behind https does."""
    with open(made / "shard-000001.tar", "r+b") as file:
        file.seek(700)
        file.write(b"x")
    with serving(made.parent) as (http, _):
        for folder in (str(made), f"{http}/shards"):
            assert verify([f"{folder}/"]) == 1
            assert "shard-000001.tar differs" in capsys.readouterr().out
            assert verify([f"{folder}/shard-{{000000..000000}}.tar"]) == 0
            assert "1 shard, 2 clips" in capsys.readouterr().out
            assert verify([f"{folder}/shard-000001.tar"]) == 1
            capsys.readouterr()
            assert verify([f"{folder}/shard-{{000000..000099}}.tar"]) == 2
            assert "without shard-000002.tar" in capsys.readouterr().err
        (made / "shard-000000.tar").unlink()
        assert verify([f"{http}/shards"]) == 1
        assert "shard-000000.tar is missing" in capsys.readouterr().out
    assert verify([f"{http}/shards"]) == 2
    error = capsys.readouterr().err
    assert f"{http}/shards cannot be read" in error and error.count("\n") == 1


def test_some_shards_are_looked_at_by_pattern_and_over_http(made, tmp_path, capsys) -> None:
    out = ["--out", str(tmp_path / "x.html")]
    with serving(made.parent) as (http, _):
        for folder in (f"{http}/shards", str(made)):
            assert inspect([f"{folder}/shard-{{000001..000001}}.tar", *out]) == 0
            assert "x.html (1 shard, 2 clips)" in capsys.readouterr().out
        assert inspect([f"{http}/shards/", *out]) == 0
        assert "x.html (2 shards, 4 clips)" in capsys.readouterr().out


def test_a_plain_http_server_lists_no_sizes_and_sends_whole_files(
    small_set: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    """`python -m http.server` beside a set with its library, the first thing that one tries."""
    monkeypatch.setattr(reader, "AHEAD", 1000)  # less than a shard, as in a real set
    large = bytes(range(256)) * 24_000  # more than a block of fsspec's
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "large").write_bytes(large)
    for name in ("shards", "manifests", "library"):
        (tmp_path / "set" / name).symlink_to(small_set.parent / name)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=f"{tmp_path}/set"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        http = f"http://127.0.0.1:{server.server_port}"
        assert verify([f"{http}/shards"]) == 0
        assert capsys.readouterr().out.count("\n") == 1
        assert inspect([f"{http}/shards", "--out", str(tmp_path / "x.html")]) == 0
        assert "x.html (2 shards, 4 clips)" in capsys.readouterr().out
        assert sha256(place(f"{http}/large")) == hashlib.sha256(large).hexdigest()
        for name in ("shards", "manifests"):
            shutil.copytree(small_set.parent / name, tmp_path / "set" / "torn" / name)
        (tmp_path / "set" / "torn" / "shards" / "shard-000001.tar").write_bytes(b"x")
        assert verify([f"{http}/torn/shards"]) == 1
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == (
            "To repair it, run `python -m datagen.verify SHARDS --repair` where the shards are "
            "stored: http is read-only"
        )
        assert verify([f"{http}/torn/shards", "--repair"]) == 2
        assert "error: --repair cannot write to http://" in capsys.readouterr().err
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pipe:cat x/shard-000000.tar", "shards cannot be selected from a command"),
        ("https://host/x/shard-000000.tar?key=1", "signed URL"),
        ("x/{a", "is not a valid brace pattern"),
        ("x/other.tar", "does not name shards of one folder"),
        ("{a,b}/shard-000000.tar", "does not name shards of one folder"),
    ],
)
def test_what_names_no_shards_is_one_sentence(text: str, words: str, capsys) -> None:
    for command in (verify, inspect):
        assert command([text]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
