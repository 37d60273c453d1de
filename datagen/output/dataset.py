"""dataset.json: the description of a data set that the trainer reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from datagen.common import checksum, record
from datagen.common.errors import BadInput
from datagen.common.files import write_json
from datagen.output import fingerprint
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest


def contract(
    identity: dict[str, Any], flow_name: str, flow_stride: int, person_diagonal: float
) -> dict[str, Any]:
    """Return the part of dataset.json that all data sets have: options and fields."""
    return {
        "version": record.VERSION,
        "fingerprint": fingerprint.digest(identity),
        "config": identity,
        "fps": record.FPS,
        "person_diagonal": person_diagonal,
        "joints": record.JOINTS,
        "keypoints": [record.JOINTS.index(name) for name in record.KEYPOINTS],
        "evaluation_joints": [record.JOINTS.index(name) for name in record.EVAL_JOINTS],
        "mirror": record.mirrored(record.JOINTS),
        "flow": {"name": flow_name, "stride": flow_stride, "upsample": "bilinear"},
        "body": "body.npz",
        "bodies": ["body.npz"],
    }


def read(layout: Layout) -> dict[str, Any]:
    """Return dataset.json as a dictionary.

    Raises BadInput if it is missing or damaged.
    """
    try:
        content = json.loads(layout.dataset.read_text())
        _require(content)
        return checksum.removed(content)
    except FileNotFoundError:
        inner = Layout(layout.shards / "shards")
        if inner.dataset.exists():
            raise BadInput(
                f"{layout.shards} holds no dataset.json (do you mean {inner.shards}?)"
            ) from None
        raise BadInput(
            f"{layout.shards} holds no dataset.json: it is not a folder of shards; "
            f"make one with python -m datagen.launch --out {layout.shards}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{layout.dataset} is damaged ({error!s:.200}); run python -m datagen.verify --repair"
        ) from None


def _require(content: Any) -> None:
    """Raise ValueError for impossible numbers; missing fields are not checked."""
    if not isinstance(content, dict) or not isinstance(content.get("config", {}), dict):
        raise ValueError("it is not an object")
    if not checksum.holds(content):
        raise ValueError("it differs from its checksum")
    flow = content.get("flow", {})
    stride = flow.get("stride", 1) if isinstance(flow, dict) else None
    least = {"clip_length": 1, "image_size": 1, "shards": 0, "clips_per_shard": 0, "clips": 0}
    numbers = {name: (content.get(name, low), low) for name, low in least.items()}
    lowest = 0 if content.get("labels_only") is True else 1  # motions without pictures have no flow
    for name, (value, low) in {**numbers, "the stride of flow": (stride, lowest)}.items():
        most = 1 << 24 if name == "shards" else 1 << 40
        if type(value) is not int or not low <= value <= most:
            raise ValueError(f"{name} is {value!r:.40}")


def refuse_other(
    layout: Layout,
    identity: dict[str, Any],
    performers: Callable[[], Mapping[str, str]] = dict,
) -> None:
    """Raise BadInput if the output folder holds shards of another identity.

    performers: returns the performer of each motion by its name; called only if inputs differ.
    """
    if not layout.found():
        return
    if not layout.dataset.exists():
        raise BadInput(
            f"{layout.shards} holds shards but no dataset.json, so they cannot be continued; "
            f"choose another --out or empty it"
        )
    before = read(layout)["config"]
    if ("footage" in before) != ("footage" in identity):
        kinds = ("real footage", "rendered people")
        held, asked = kinds if "footage" in before else kinds[::-1]
        raise BadInput(f"{layout.shards} holds shards of {held}, not {asked}; choose another --out")
    lines = fingerprint.differences(before, identity)
    if lines and (before.get("record", 0) < record.REVISION or fingerprint.by_size(before)):
        raise BadInput(
            f"{layout.shards} holds shards of an older release (record {before.get('record')}), "
            "which identified inputs by file names and sizes only; they can be used for training, "
            "but to make more, even with the same options, choose another --out"
        )
    if any(line.startswith("--motions ") for line in lines):
        _refuse_moved(layout, performers())
        lines.append("a file there was changed, added or removed, or has another performer now")
    if lines:
        raise BadInput(
            f"{layout.shards} holds shards of another configuration ({'; '.join(lines)}); "
            "choose another --out, or use the options it was made with"
        )


def _refuse_moved(layout: Layout, performers: Mapping[str, str]) -> None:
    """Raise BadInput if motions of the data set are now assigned to another performer."""
    people = Manifest(layout.manifests / "bodies.jsonl").lines()
    listed = Manifest(layout.manifests / "shards.jsonl").lines()
    known = {str(line.get("name")): line.get("subject") for line in people}
    for line in (motion for shard in listed for motion in shard.get("motions", [])):
        known[str(line.get("motion"))] = line.get("subject")
    moved = {
        name: (was, performers[name])
        for name, was in sorted(known.items())
        if was is not None and performers.get(name, was) != was
    }
    if moved:
        name, (was, now) = next(iter(moved.items()))
        others = f" and {len(moved) - 1:,} more such motions" if len(moved) > 1 else ""
        raise BadInput(
            f"{layout.shards} was made with {was} as the performer of {name}, which is now {now}"
            f"{others}: people may have moved between train, val and test; the shards can be used "
            "for training, but to make more, choose another --out and make all splits again, or "
            "name the former performers in a subjects.csv beside the motions"
        )


def write(layout: Layout, content: dict[str, Any]) -> None:
    """Write dataset.json atomically."""
    write_json(layout.dataset, checksum.added(content))
