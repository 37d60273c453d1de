"""A dead Ray is found out at once: by the first bytes of a gRPC server."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import grpc
import pytest
from ray._common.utils import get_default_ray_temp_dir

from datagen.cluster import ray_address, ray_start
from datagen.cluster.backends import open_backend
from datagen.cluster.options import ClusterConfig
from datagen.common.errors import BadInput
from datagen.launch import main as launch

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


@pytest.mark.parametrize("named", ["RAY_ADDRESS", "--address"])
def test_a_dashboards_address_is_named_as_one(named: str, monkeypatch, capsys) -> None:
    """`ray job submit` takes http://HEAD:8265, and RAY_ADDRESS often still has it."""
    url = "http://localhost:8265"
    monkeypatch.setenv("RAY_ADDRESS", url if named == "RAY_ADDRESS" else "")
    assert launch(["--num-shards", "1", *([named, url] if named == "--address" else [])]) == 2
    assert capsys.readouterr().err == (
        f"error: {named} {url} is a dashboard's address (for `ray job submit`); datagen.launch "
        "needs HEAD:6379: set that, or unset it\n"
    )


class Refusal(grpc.ServerInterceptor):
    """A server's refusal, as Ray words it."""

    def intercept_service(self, continuation, handler_call_details):
        def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken: it is missing")
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.mark.parametrize("mode", ["disabled", "token"])
def test_a_refused_token_is_not_a_missing_cluster(mode: str, monkeypatch) -> None:
    """Ray says only that it cannot connect, after 20 s; the server says at once why."""

    def init(*_: object, **__: object) -> None:
        assert mode == "token", "Ray would try for 20 s"
        raise ConnectionError("Failed to connect to Ray cluster at 127.0.0.1:1")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    remedy = {"disabled": "export RAY_AUTH_MODE=token", "token": "give .* RAY_AUTH_TOKEN"}[mode]
    server = grpc.server(ThreadPoolExecutor(1), interceptors=[Refusal()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with pytest.raises(BadInput, match=f"Ray cluster at {address} refused the token: {remedy}"):
            ray_start.start(address, 1, {})
    finally:
        server.stop(None)
    with answering(SETTINGS) as silent:
        monkeypatch.setattr(ray_address, "ANSWER", 0.2)
        assert not ray_address.wants_token(silent)
