"""A dead Ray is found out at once: by the first bytes of a gRPC server."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from ray._common.utils import get_default_ray_temp_dir

from datagen.cluster import ray_address
from datagen.cluster.backends import open_backend
from datagen.cluster.options import ClusterConfig
from datagen.common.errors import BadInput

SETTINGS = bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)) + bytes((0, 4, 0, 64, 0, 0))
"""The first frame of every HTTP/2 server, so of gRPC's (RFC 9113, 3.4 and 6.5)."""


@contextmanager
def answering(words: bytes) -> Iterator[str]:
    """A server that sends these words to everyone, and nothing more."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.sendall(words)
                    held.append(client)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for client in held:
        client.close()


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_ray_that_was_killed_is_not_waited_for(variable: str, tmp_path, monkeypatch) -> None:
    """`ray start` notes its address where these variables say; Ray itself tries for minutes."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert get_default_ray_temp_dir() == str(tmp_path / "ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_address.local_cluster() is None
    record = tmp_path / "ray" / "ray_current_cluster"
    record.parent.mkdir()
    with answering(SETTINGS) as address:
        record.write_text(address)
        assert ray_address.joined(None) == ray_address.joined("auto") == address
        assert ray_address.described(None) == f"the Ray cluster at {address}"
    assert ray_address.joined(None) is None and ray_address.silence("auto")
    assert ray_address.described(None) == "a local Ray"


@pytest.mark.parametrize("named", ["RAY_ADDRESS", "--address"])
def test_a_dead_ray_is_one_sentence_at_once(named: str, monkeypatch) -> None:
    """Its port is closed; or what took the port is silent, or is no Ray."""
    monkeypatch.setattr(ray_address, "ANSWER", 0.5)
    monkeypatch.setattr("ray.init", lambda *_, **__: pytest.fail("Ray would wait for minutes"))
    with answering(b"") as silent, answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as web:
        with socket.create_server(("127.0.0.1", 0)) as server:
            closed = f"127.0.0.1:{server.getsockname()[1]}"
        for address in (closed, f"ray://{closed}", silent, web, "nowhere.invalid:6379"):
            monkeypatch.setenv("RAY_ADDRESS", address if named == "RAY_ADDRESS" else "")
            given = None if named == "RAY_ADDRESS" else address
            began = time.monotonic()
            with (
                pytest.raises(BadInput, match=f"{address}.*omit {named}"),
                open_backend(ClusterConfig(address=given)),
            ):
                pass
            assert time.monotonic() - began < 20
    with answering(SETTINGS) as alive:
        assert ray_address.silence(alive) == ""
