"""Run folders as written by trainer.fit and trainer.evaluate, local or at a URL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem

from trainer.common.files import json_lines
from trainer.common.npz import read_npz
from trainer.data.dataset import identity
from trainer.data.transfer import file_system
from trainer.errors import BadInput, near
from trainer.evaluation.frame_errors import CLIPS, FRAMES

FORMER_NAMES = {"said": "predicted"}
"""Arrays of frames.npz by their names in former versions."""
MOST = 1 << 30
"""Bytes of its arrays: five million frames."""
LIMIT = np.float32(1e6)
"""Millimetres or metres beyond which an error or a joint is damaged."""
AXES = {"names": "E", "keys": "C", "clip": "N", "frame": "N", "counted": "N", "occluded": "N",
        "error": "N E", "mpjpe": "N", "visibility": "N E", "truth": "N E 3",
        "predicted": "N E 3"}  # fmt: skip


class Run:
    """One run's folder; what is missing in it is None or empty."""

    def __init__(self, folder: str, evaluation: str | None = None) -> None:
        """`evaluation` is the folder of evaluation.json, if it is not the run's own."""
        self.folder = str(folder).rstrip("/")
        self.evaluation_folder = str(evaluation or folder).rstrip("/")
        self.name = self.folder.rsplit("/", 1)[-1]

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        return _lines(f"{self.folder}/metrics.jsonl")

    @cached_property
    def config(self) -> dict[str, Any]:
        return _json(f"{self.folder}/config.json") or {}

    @property
    def validated_on_training(self) -> bool:
        """Whether a validation set is one of the training sets, as the options name them."""
        sets = [
            {str(text).partition("::")[0].rstrip("/") for text in self.config.get(name) or ()}
            for name in ("shards", "val_shards")
        ]
        return bool(sets[0] & sets[1])

    @cached_property
    def evaluation(self) -> dict[str, Any] | None:
        return _json(f"{self.evaluation_folder}/evaluation.json")

    @cached_property
    def clips(self) -> list[dict[str, Any]]:
        return _lines(f"{self.evaluation_folder}/{CLIPS}")

    @cached_property
    def frames(self) -> dict[str, np.ndarray] | None:
        """The arrays of `trainer.evaluation.frame_errors`."""
        data = _bytes(f"{self.evaluation_folder}/{FRAMES}")
        if data is None:
            return None
        try:
            arrays = read_npz(data, MOST)
            frames = {FORMER_NAMES.get(name, name): array for name, array in arrays.items()}
            _require_shapes(frames)
        except ValueError as error:
            raise BadInput(
                f"{self.evaluation_folder}/{FRAMES} is damaged ({error}); evaluate again."
            ) from None
        return frames

    @property
    def checkpoint(self) -> str:
        """The checkpoint to evaluate: best.pt of a run that was validated, else last.pt."""
        files, root = file_system(self.folder)
        return f"{self.folder}/{'best' if files.exists(f'{root}/best.pt') else 'last'}.pt"

    @property
    def name_with_inputs(self) -> str:
        inputs = self.config.get("inputs")
        return f"{self.name} ({inputs})" if inputs else self.name


def find_runs(folders: str | Sequence[str], shards: str | None = None) -> list[Run]:
    """Return the runs at or below folders or URLs, by name.

    shards: data set of the evaluations to compare, as errors on different data are not comparable.
    Default: the one that most runs were evaluated on. A run that was not evaluated on it has no
    evaluation; of several, that of last.pt with default options is preferred.

    Raises BadInput if there is no run in one of them, or no data set in `shards`.
    """
    found: dict[str, dict[str, str]] = {}
    for folder in [folders] if isinstance(folders, str) else folders:
        found |= _evaluated_runs(folder)
    often = Counter(data for places in found.values() for data in places).most_common(1)
    wanted = _key(_identity(shards)) if shards else often[0][0] if often else ""
    runs = [Run(run, found[run].get(wanted, f"{run}/evaluation")) for run in found]
    names = Counter(run.name for run in runs)
    for run in runs:
        if names[run.name] > 1:  # a/run and b/run
            run.name = "/".join(run.folder.rsplit("/", 2)[-2:])
    return runs


def _evaluated_runs(folder: str) -> dict[str, dict[str, str]]:
    """Return each run below a folder with its evaluation folder per data set (by its `_key`)."""
    files, root = file_system(folder)
    paths = sorted(files.find(root, maxdepth=5)) if files.exists(root) else []
    runs = _folders_with("metrics.jsonl", paths, files)
    if not runs:
        meant = near(Path(folder)) if isinstance(files, LocalFileSystem) else ""
        raise BadInput(f"{folder} holds no run (metrics.jsonl){meant}; train one with trainer.fit.")
    evaluations = {
        place: _json(f"{place}/evaluation.json") or {}
        for place in _folders_with("evaluation.json", paths, files)
    }
    return {run: _evaluations_of(run, evaluations) for run in runs}


def _folders_with(name: str, paths: list[str], files: fsspec.AbstractFileSystem) -> list[str]:
    """Return the folders of the files with a name, as URLs unless they are local."""
    folders = [path.rsplit("/", 1)[0] for path in paths if path.endswith(f"/{name}")]
    local = isinstance(files, LocalFileSystem)
    return folders if local else [files.unstrip_protocol(folder) for folder in folders]


def _evaluations_of(run: str, evaluations: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the preferred evaluation folder of a run on each data set (by its `_key`)."""
    own = [place for place in evaluations if f"{place}/".startswith(f"{run}/")]
    own.sort(key=lambda place: _preference(evaluations[place]))  # the last one wins
    return {_key(evaluations[place].get("data")): place for place in own}


def _preference(evaluation: dict[str, Any]) -> tuple[bool, bool]:
    """Return (has default options, is of last.pt); the larger is preferred."""
    window = evaluation.get("window", {})
    changed = [*evaluation.get("keypoints", {}).values(), evaluation.get("max_clips")]
    changed += [window.get(name) for name in ("mirror", "refine", "body")]
    changed.append(evaluation.get("raw_weights"))
    return not any(changed), str(evaluation.get("checkpoint")).endswith("last.pt")


def _key(data: object) -> str:
    return json.dumps(data, sort_keys=True)


def _identity(shards: str) -> dict[str, object]:
    """Return a data set's identity, as trainer.evaluate writes it. BadInput if there is none."""
    metadata = _json(f"{str(shards).rstrip('/')}/dataset.json")
    if metadata is None:
        raise BadInput(
            f"{shards} has no dataset.json; pass the shards that the runs were evaluated on."
        )
    files, root = file_system(shards)
    names = sorted(path.rsplit("/", 1)[-1] for path in files.glob(f"{root}/shard-*.tar"))
    return identity(str(metadata["fingerprint"]), names)


def frame_errors(run: Run) -> dict[str, np.ndarray]:
    """Return the run's `frames`. BadInput if it was not evaluated."""
    if run.frames is None:
        raise BadInput(
            f"{run.evaluation_folder} has no {FRAMES}; run trainer.evaluate on {run.folder}."
        )
    return run.frames


def _require_shapes(frames: dict[str, np.ndarray]) -> None:
    """Raise ValueError if arrays are missing or not as `trainer.evaluation.frame_errors` has."""
    if missing := sorted(AXES.keys() - frames.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    lengths = {"E": frames["names"].size, "C": frames["keys"].size, "N": frames["clip"].size}
    for name, axes in AXES.items():
        wanted = tuple(lengths[axis] if axis.isalpha() else int(axis) for axis in axes.split())
        array = frames[name]
        if array.shape != wanted or (array.dtype.kind == "U") != (name in ("names", "keys")):
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not {wanted}")
        if array.dtype.kind == "f" and not (np.abs(array) < LIMIT).all():
            raise ValueError(f"{name} has NaN, infinite or absurd numbers")
    if (
        frames["clip"].dtype.kind not in "iu"
        or not np.isin(frames["clip"], range(lengths["C"])).all()
    ):
        raise ValueError("clip names clips that there are not")


def _bytes(url: str) -> bytes | None:
    files, path = file_system(url)
    try:
        with files.open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _json(url: str) -> dict[str, Any] | None:
    data = _bytes(url)
    if data is None:
        return None
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{url} is damaged ({error}).") from None
    if not isinstance(content, dict):
        raise BadInput(f"{url} is damaged (no object).")
    return content


def _lines(url: str) -> list[dict[str, Any]]:
    """Return the lines of a .jsonl file; empty if there is no file."""
    return json_lines(_bytes(url) or b"")
