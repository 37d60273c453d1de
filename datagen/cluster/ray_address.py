"""Which Ray to join, and whether it answers: Ray itself would try a dead one for minutes."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

ANSWER = 5.0
"""Seconds for a cluster's answer, on connecting and on the first words."""


def joined(address: str | None) -> str | None:
    """Return the address of the cluster to join, None for a Ray of our own."""
    if address in (None, "auto"):
        address = os.environ.get("RAY_ADDRESS") or address
    if address in (None, "auto"):
        address = local_cluster() or address
    return address


def local_cluster() -> str | None:
    """Return the address of the cluster that `ray start` has made of this machine, if it answers.

    Ray would find it by itself, and wait for minutes for one that was killed.
    """
    address = _recorded()
    return address if address and not silence(address) else None


def _recorded() -> str:
    """Return the address that `ray start` has noted on this machine, "" if none."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # Ray's own order
    with suppress(OSError):
        return (Path(folder) / "ray" / "ray_current_cluster").read_text().strip()
    return ""


def source(address: str) -> str:
    """Return what gave the address: RAY_ADDRESS or --address."""
    return "RAY_ADDRESS" if address == os.environ.get("RAY_ADDRESS") else "--address"


def silence(address: str) -> str:
    """Return why no Ray answers at an address, "" if one does or if that cannot be known.

    Its servers speak gRPC, so the first thing that they send is a SETTINGS frame of HTTP/2, whoever
    asks.
    """
    if address == "auto":
        address = _recorded()
    answers: list[str] = []
    # A thread, as nothing else limits the time that looking a name up takes.
    asking = threading.Thread(target=lambda: answers.append(_ask(address)), daemon=True)
    asking.start()
    asking.join(3 * ANSWER)
    return answers[0] if answers else f"nothing came within {3 * ANSWER:.0f} s"


def _ask(address: str) -> str:
    place = address.removeprefix("ray://").partition("/")[0].partition("?")[0]
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or os.environ.get("RAY_USE_TLS", "0") != "0":
        return ""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER) as server:
            server.settimeout(ANSWER)
            server.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            head = b""
            while len(head) < 4 and (more := server.recv(9)):
                head += more
            return "" if head[3:4] == b"\x04" else "what listens there is not Ray"
    except (OSError, OverflowError, UnicodeError) as error:
        return str(error)
