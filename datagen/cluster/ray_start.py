"""Starts or joins Ray: reachable only from this machine, with a time limit, at most twice."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from functools import cache
from typing import Any

from datagen.cluster import ray_address
from datagen.cluster.deadline import deadline, kill_below
from datagen.common.errors import BadInput, BadMachine

PATIENCE = 180.0
"""Time limit in seconds for starting or joining Ray; on a laptop it takes 5 to 20."""
GIVE_UP = "run the same command again, or use --backend processes"
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # suppresses a warning about a future default
    "RAY_USAGE_STATS_ENABLED": "0",  # suppresses the question about usage reports
}
_ALONE = {
    # Ray's single-machine switch, made for Windows and macOS: servers listen only on 127.0.0.1.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Otherwise the driver waits for its first workers, forever if one dies (Ray 2.60).
    "RAY_prestart_worker_first_driver": "0",
}


def start(address: str | None, cores: int | None, variables: dict[str, str]) -> None:
    """Join the cluster at `address`, or start a Ray with `cores` cores that only this machine
    reaches.

    variables: the workers' environment. Raises BadInput if no cluster answers there or it refuses
    the token, BadMachine if Ray does not start.
    """
    for name, value in (_QUIET if address else {**_QUIET, **_ALONE}).items():
        os.environ.setdefault(name, value)
    if not address and "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        # Other users of this machine can reach 127.0.0.1 too. Ray's default token, used if Ray has
        # already been imported, is in the home folder, where others may be able to read it.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=_token())
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if not address:
        options |= {"num_cpus": cores, "include_dashboard": False}
    options["runtime_env"] = {"env_vars": variables}
    stop = signal.getsignal(signal.SIGTERM)
    reason = ray_address.silence(address) if address else ""
    try:
        if reason:
            raise ConnectionError(reason)
        if address and not _has_token() and ray_address.wants_token(address):
            raise BadInput(_refused(address))
        _twice(address, options)
    except ConnectionError as error:
        if address and not reason and ray_address.wants_token(address):
            raise BadInput(_refused(address)) from None
        raise BadInput(
            f"no Ray cluster answers at {address!r} ({error}); start one with `ray start --head`, "
            f"or omit {ray_address.source(address or '')} for a local Ray"
        ) from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)  # Ray's own handler would end this process immediately


def _twice(address: str | None, options: dict[str, Any]) -> None:
    """Call ray.init, and once more if it fails, because a Ray process may have died or been
    slow."""
    import ray

    for last in (False, True):
        try:
            with deadline(PATIENCE, f"Ray did not start within {PATIENCE:g} s; {GIVE_UP}"):
                ray.init(address or "local", **options)
            return
        except (ConnectionError, ValueError):  # the address is wrong
            raise
        except Exception as error:  # Ray raises plain exceptions
            ray.shutdown()
            if not address:
                kill_below(os.getpid(), "/ray/")
            if last:
                why = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise BadMachine(f"Ray does not start ({why:.200}); {GIVE_UP}") from error


def _has_token() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def _refused(address: str) -> str:
    """Return the sentence for a cluster that refuses this process's token, or the lack of one."""
    remedy = (
        "give the head's token in RAY_AUTH_TOKEN or ~/.ray/auth_token"
        if _has_token()
        else "export RAY_AUTH_MODE=token"
    )
    return f"the Ray cluster at {address} refused the token: {remedy}"


@cache
def _token() -> str:
    """Return this process's token; Ray caches the first one it sees."""
    return secrets.token_hex(32)
