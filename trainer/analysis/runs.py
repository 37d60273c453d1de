"""Run folders as trainer.fit and trainer.evaluate leave them, in a folder or at a URL."""

from __future__ import annotations

import io
import json
from collections import Counter
from functools import cached_property
from typing import Any

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem

from trainer.data.dataset import identity
from trainer.errors import BadInput
from trainer.evaluation.frame_errors import CLIPS, FRAMES


class Run:
    """One run's folder; what is missing in it is None or empty."""

    def __init__(self, folder: str, evaluation: str | None = None) -> None:
        """`evaluation` is the folder of evaluation.json, if it is not the run's own."""
        self.folder = str(folder).rstrip("/")
        self.judged = str(evaluation or folder).rstrip("/")
        self.name = self.folder.rsplit("/", 1)[-1]

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        return _lines(f"{self.folder}/metrics.jsonl")

    @cached_property
    def config(self) -> dict[str, Any]:
        return _json(f"{self.folder}/config.json") or {}

    @cached_property
    def evaluation(self) -> dict[str, Any] | None:
        return _json(f"{self.judged}/evaluation.json")

    @cached_property
    def clips(self) -> list[dict[str, Any]]:
        return _lines(f"{self.judged}/{CLIPS}")

    @cached_property
    def frames(self) -> dict[str, np.ndarray] | None:
        """The arrays of `trainer.evaluation.frame_errors`."""
        data = _bytes(f"{self.judged}/{FRAMES}")
        if data is None:
            return None
        with np.load(io.BytesIO(data)) as arrays:
            return dict(arrays)

    @property
    def name_with_inputs(self) -> str:
        inputs = self.config.get("inputs")
        return f"{self.name} ({inputs})" if inputs else self.name


def find_runs(folder: str, shards: str | None = None) -> list[Run]:
    """Return the runs below a folder or URL (or the one that it is), by name.

    shards: data set whose evaluations to look at; default: the one that most runs were evaluated
    on, as errors on different data cannot be compared. A run not evaluated on it has none; of
    several evaluations, last.pt's is taken, and one of all clips as they are.

    Raises BadInput if there is no run, or no data set in `shards`.
    """
    files, root = fsspec.url_to_fs(str(folder))
    paths = sorted(files.find(root, maxdepth=5)) if files.exists(root) else []

    def holding(name: str) -> list[str]:
        places = [path.rsplit("/", 1)[0] for path in paths if path.endswith(f"/{name}")]
        local = isinstance(files, LocalFileSystem)
        return places if local else [files.unstrip_protocol(place) for place in places]

    runs, judged = holding("metrics.jsonl"), holding("evaluation.json")
    if not runs:
        raise BadInput(f"{folder} holds no run (metrics.jsonl); train one with trainer.fit.")
    told = {place: _json(f"{place}/evaluation.json") or {} for place in judged}

    def first_choice(place: str) -> tuple[bool, bool]:
        said = told[place]
        mirror = said.get("window", {}).get("mirror")
        odd = any([*said.get("keypoints", {}).values(), said.get("max_clips"), mirror])
        plain = not odd and not said.get("raw_weights")
        return plain, str(said.get("checkpoint")).endswith("last.pt")

    judged.sort(key=first_choice)
    found = {
        run: {
            _key(told[place].get("data")): place
            for place in judged
            if f"{place}/".startswith(f"{run}/")
        }
        for run in runs
    }
    often = Counter(known for places in found.values() for known in places).most_common(1)
    wanted = _key(_identity(shards)) if shards else often[0][0] if often else ""
    return [Run(run, found[run].get(wanted, f"{run}/evaluation")) for run in runs]


def _key(data: object) -> str:
    return json.dumps(data, sort_keys=True)


def _identity(shards: str) -> dict[str, object]:
    """Return a data set's identity, as trainer.evaluate noted it. BadInput if there is none."""
    told = _json(f"{str(shards).rstrip('/')}/dataset.json")
    if told is None:
        raise BadInput(f"{shards} has no dataset.json; give what the runs were evaluated on.")
    files, root = fsspec.url_to_fs(str(shards))
    names = sorted(path.rsplit("/", 1)[-1] for path in files.glob(f"{root}/shard-*.tar"))
    return identity(str(told["fingerprint"]), names)


def judgements(run: Run) -> dict[str, np.ndarray]:
    """Return the run's `frames`. BadInput if it was not evaluated."""
    if run.frames is None:
        raise BadInput(f"{run.judged} has no {FRAMES}; run trainer.evaluate on {run.folder}.")
    return run.frames


def _bytes(url: str) -> bytes | None:
    try:
        with fsspec.open(url, "rb") as file:
            return file.read()  # type: ignore[union-attr]
    except FileNotFoundError:
        return None


def _json(url: str) -> dict[str, Any] | None:
    data = _bytes(url)
    return None if data is None else json.loads(data)


def _lines(url: str) -> list[dict[str, Any]]:
    """Return the whole lines of a .jsonl file; a run that is still writing has a torn last one."""
    data = _bytes(url) or b""
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
