"""dataset.json: the description of a data set that the trainer reads."""

from __future__ import annotations

import json
from typing import Any

from datagen.common import record
from datagen.common.errors import BadInput
from datagen.common.files import write_json
from datagen.output import fingerprint
from datagen.output.layout import Layout


def contract(
    identity: dict[str, Any], flow_name: str, flow_stride: int, person_diagonal: float
) -> dict[str, Any]:
    """Return the part of dataset.json that every data set has: its options and its fields."""
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

    Raises BadInput if the folder holds none.
    """
    try:
        return json.loads(layout.dataset.read_text())
    except FileNotFoundError:
        inner = Layout(layout.shards / "shards")
        if inner.dataset.exists():
            raise BadInput(
                f"{layout.shards} holds no dataset.json; did you mean {inner.shards}?"
            ) from None
        raise BadInput(
            f"{layout.shards} holds no dataset.json: it is not a folder of shards; "
            f"make one with python -m datagen.launch --out {layout.shards}"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{layout.dataset} is damaged ({error}); run python -m datagen.verify --repair"
        ) from None


def refuse_other(layout: Layout, identity: dict[str, Any]) -> None:
    """Raise BadInput if the output folder holds shards made with something else than `identity`."""
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
            "which knew folders of inputs by names and sizes alone; they can be trained on as they "
            "are, but for more, of the same options too, choose another --out"
        )
    if lines:
        raise BadInput(
            f"{layout.shards} holds shards of another configuration ({'; '.join(lines)}); "
            f"choose another --out, or repeat the options it was made with"
        )


def write(layout: Layout, content: dict[str, Any]) -> None:
    """Write dataset.json, whole or not at all."""
    write_json(layout.dataset, content)
