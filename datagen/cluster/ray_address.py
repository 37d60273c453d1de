"""Finds the Ray to join and checks that it answers: Ray itself would try a dead one for minutes."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

from datagen.common.errors import BadInput

LOCAL = "a local Ray"
"""How messages name a Ray that the launcher starts."""
ANSWER = 5.0
"""Seconds to wait for a cluster, on connecting and for the first bytes."""


def joined(address: str | None) -> str | None:
    """Return the address of the cluster to join, None for a local Ray.

    Raises BadInput for the address of a dashboard, which only `ray job submit` can use.
    """
    if address in (None, "auto"):
        address = os.environ.get("RAY_ADDRESS") or address
    if address and address.startswith(("http://", "https://")):
        raise BadInput(
            f"{source(address)} {address} is a dashboard's address (for `ray job submit`); "
            "datagen.launch needs HEAD:6379: set that, or unset it"
        )
    if address in (None, "auto"):
        address = local_cluster() or address
    return address


def local_cluster() -> str | None:
    """Return the address of the cluster that `ray start` started on this machine, if it answers.

    Ray would find it itself, but would wait minutes for one that was killed.
    """
    address = _recorded()
    return address if address and not silence(address) else None


def _recorded() -> str:
    """Return the address that `ray start` recorded on this machine, "" if none."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # Ray's own order
    with suppress(OSError):
        return (Path(folder) / "ray" / "ray_current_cluster").read_text().strip()
    return ""


def described(address: str | None) -> str:
    """Return in words which Ray `joined` gives."""
    found = joined(address)
    return f"the Ray cluster at {found}" if found else LOCAL


def source(address: str) -> str:
    """Return the origin of the address: RAY_ADDRESS or --address."""
    return "RAY_ADDRESS" if address == os.environ.get("RAY_ADDRESS") else "--address"


def silence(address: str) -> str:
    """Return the reason why no Ray answers at an address, "" if one does or it cannot be checked.

    Ray's servers use gRPC, so they first send an HTTP/2 SETTINGS frame to any client.
    """
    if address == "auto":
        address = _recorded()
    answers: list[str] = []
    # In a thread, because nothing else limits the time of a name lookup.
    asking = threading.Thread(target=lambda: answers.append(_ask(address)), daemon=True)
    asking.start()
    asking.join(3 * ANSWER)
    return answers[0] if answers else f"no answer within {3 * ANSWER:.0f} s"


def wants_token(address: str) -> bool:
    """Return whether the Ray at an address refuses a call without a token; False if unknown.

    Ray itself tries for 20 s and then says only that it cannot connect (2.60).
    """
    with suppress(ImportError):
        import grpc

        call = "/ray.rpc.NodeInfoGcsService/CheckAlive"
        with grpc.insecure_channel(_server(address)) as channel:
            try:
                channel.unary_unary(call)(b"", timeout=ANSWER)
            except grpc.RpcError as error:
                return error.code() is grpc.StatusCode.UNAUTHENTICATED  # pyright: ignore
    return False


def _server(address: str) -> str:
    return address.removeprefix("ray://").partition("/")[0].partition("?")[0]


def _ask(address: str) -> str:
    host, _, port = _server(address).rpartition(":")
    if not host or not port.isdigit() or os.environ.get("RAY_USE_TLS", "0") != "0":
        return ""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER) as server:
            server.settimeout(ANSWER)
            server.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            head = b""
            while len(head) < 4 and (more := server.recv(9)):
                head += more
            return "" if head[3:4] == b"\x04" else "the server there is not Ray"
    except (OSError, OverflowError, UnicodeError) as error:
        return str(error)
