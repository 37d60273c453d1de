"""Every reader of files that others made, with small whole files to mutate.

What counts as garbage, when it is handed on without an error: NaN, infinite, complex or text where
numbers belong; numbers beyond what they can mean (radians 1e3, metres 1e6, pixels 1e6, weights of
networks 1e10, of bodies and their coordinates 1e4); an empty motion, picture or video; sizes and
strides below 1 or above 65,535; rates outside 0 to 1,000 a second; names that no file can have.
"""

from __future__ import annotations

import atexit
import functools
import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Case:
    """Files of one input, one of which is mutated."""

    files: dict[str, bytes]
    target: str
    form: str = "bytes"
    content: Any = None
    """What the target was written from, where the mutation starts from that."""


@dataclass(frozen=True)
class Reader:
    """A way into the programs."""

    name: str
    cases: Callable[[], list[Case]]
    read: Callable[[Path], Any]
    """Reads the file of this path, others of the case beside it."""
    garbage: Callable[[Any], str] = lambda value: odd(value)
    """Says what is wrong with what was read, "" if nothing."""
    share: int = 4
    """Of all files, in parts."""


def odd(value: Any, limit: float = 1e6) -> str:
    """Return what is wrong with the numbers in a value, however deep they lie."""
    if isinstance(value, torch.Tensor):
        value = value.numpy() if value.dtype != torch.bfloat16 else value.float().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiub":
            return "" if value.dtype.kind == "U" else f"array of {value.dtype}"
        most = limit if value.dtype.kind == "f" else max(limit, 1e9)
        return "" if (np.abs(value.astype(float)) <= most).all() else f"numbers beyond {most:g}"
    if is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, one.name) for one in fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next(filter(None, (odd(part, limit) for part in value)), "")
    if isinstance(value, complex) or (isinstance(value, float) and not abs(value) <= limit):
        return f"the number {value}"
    return ""


def npz(arrays: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@functools.cache
def made() -> Path:
    """A small data set, its library and a trained network, made once a run of the fuzzer."""
    folder = Path(tempfile.mkdtemp(prefix="motion-hmr-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # children leave by os._exit
    log, shards = folder / "log", str(folder / "shards")
    launch = [*tiny.options(folder / "motions", 1), "--out", shards, "--backend", "serial"]
    fit = (
        "--steps 1 --batch-size 1 --backbone small --image-size 32 --lstm-width 16 --device cpu "
        "--workers 0 --shards"
    )
    tiny.run("datagen.launch", launch, log)
    tiny.run("trainer.fit", [*fit.split(), shards, "--out", str(folder / "run")], log)
    return folder
