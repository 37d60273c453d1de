"""The metadata of a data set: its dataset.json, read and checked."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from trainer.data.places import Selection
from trainer.data.store import Store
from trainer.errors import BadInput, near

CHECKED_SINCE = 3
"""First revision of records with checksums."""


CHECK, CHECK_LENGTH = "check", 16
"""Field of the checksum in dataset.json, and its number of hexadecimal digits."""
LEAST = {"clip_length": 1, "image_size": 1, "clips": 0, "clips_per_shard": 0, "shards": 0}
"""Counts in dataset.json, and the least value of each."""
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
"""Names of files beside it: nothing that a path, a URL or a shell takes for more."""


def require_truth(metadata: dict[str, Any], folder: object, option: str) -> None:
    """Raise BadInput for footage without ground truth."""
    if not metadata.get("truth", True):
        raise BadInput(
            f"{folder} ({option}) holds footage without ground truth, which only trainer.predict "
            "and trainer.fit's --dann-shards can use."
        )


def read_metadata(chosen: Selection, option: str, store: Store) -> dict[str, Any]:
    """Return the content of dataset.json; BadInput if unreadable or of another version."""
    folder, path = chosen.folder, chosen.described
    made = "that datagen.launch or datagen.ingest made"
    if isinstance(folder, Path) and not folder.is_dir():
        raise BadInput(f"{folder} is not a folder{near(folder)}; point {option} at one {made}.")
    try:
        metadata = json.loads(store.small_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(
            f"{folder} has no dataset.json{_inner(folder)}; point {option} at a folder {made}."
        ) from None
    except OSError as error:
        raise BadInput(f"{path} ({option}) cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not valid JSON ({error}); make the data set again.") from None
    if isinstance(metadata, dict) and not _checksum_holds(metadata):
        raise BadInput(f"{path} differs from its checksum; copy or make the data set again.")
    version = metadata.get("version") if isinstance(metadata, dict) else None
    if version != 1:
        raise BadInput(f"{path} has version {version!r}; this trainer reads version 1.")
    if wrong := _fault(metadata):
        raise BadInput(f"{path} is damaged ({wrong}); make the data set again.")
    return metadata


def _inner(folder: object) -> str:
    """Return " (do you mean X?)", X the folder of shards in a data set's folder; "" without one."""
    inside = isinstance(folder, Path) and (folder / "shards" / "dataset.json").is_file()
    return f" (do you mean {folder}/shards?)" if inside else ""


def _checksum_holds(metadata: dict[str, Any]) -> bool:
    """Return whether the last field is the checksum of the other fields, as datagen writes it.

    Data sets of older releases have none.
    """
    last = next(reversed(metadata), "")
    rest = {name: value for name, value in metadata.items() if name != last}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    right = metadata.get(last) == digest[:CHECK_LENGTH]
    return right if CHECK in metadata else not right


def _fault(metadata: dict[str, Any]) -> str:
    """Return what is wrong with the metadata, empty if nothing; missing keys are ignored."""
    joints = metadata.get("joints", [])
    if not isinstance(joints, list) or not all(isinstance(name, str) for name in joints):
        return "joints are not names"
    for name in ("keypoints", "evaluation_joints", "mirror"):
        places = metadata.get(name, [])
        if not isinstance(places, list) or not all(
            isinstance(place, int) and 0 <= place < len(joints) for place in places
        ):
            return f"{name} are not joints"
    if len(metadata.get("mirror", joints)) != len(joints):
        return "mirror does not name a counterpart of each joint"
    flow = metadata.get("flow")
    stride = flow.get("stride", 1) if isinstance(flow, dict) else 1
    least_stride = 0 if metadata.get("labels_only") is True else 1  # without pictures, no flow
    for name, least, value in (
        *((name, low, metadata.get(name, low)) for name, low in LEAST.items()),
        ("the stride of flow", least_stride, stride),
    ):
        if not isinstance(value, int) or not least <= value < 1 << 40:
            return f"{name} is {value!r:.40}"
    rate = metadata.get("fps", 30)
    if not isinstance(rate, int | float) or not 0 < rate < 10_000:
        return f"fps is {rate!r:.40}"
    bodies = metadata.get("bodies", [])
    if not isinstance(bodies, list):
        return "bodies are not files beside it"
    for name in (metadata.get("body", "body.npz"), *bodies):
        # a command such as `pipe:ssh host cat DIR/shard-000000.tar` fetches it under this name
        if not isinstance(name, str) or not PLAIN.fullmatch(name):
            return f"{name!r:.40} is not a file beside it"
    return ""


def revision(metadata: dict[str, Any]) -> int:
    """Return the revision of a data set's records, 0 where none is named."""
    config = metadata.get("config")
    return int(config.get("record", 0)) if isinstance(config, dict) else 0
