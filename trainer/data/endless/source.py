"""The motions of a data set, for endless clips in training and for fixed validation clips.

Letters: L frames of a take.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trainer.data.dataset import DataSet
from trainer.data.endless.clips import EndlessClips, RecordLayout, seeded
from trainer.data.endless.motions import gather
from trainer.data.endless.options import VALIDATION, EndlessConfig
from trainer.data.npz import npz_arrays
from trainer.data.records import LABELS, META, Damaged, Record, read_shard
from trainer.errors import BadInput
from trainer.model.body import BodyJoints, read_body

MOTION = frozenset({"pose", "trans"})
"""Arrays of every motion."""
EXTRA = frozenset({"betas", "gravity"})
"""Optional arrays."""
FIXED_CLIPS = 256
"""Number of clips that a data set of motions is evaluated on, at least one per take."""
FIXED_FRAMES = 32
"""Frames of such a clip (one second)."""


class MotionLabels(NamedTuple):
    """One record's motion."""

    record: Record
    labels: dict[str, np.ndarray]
    """pose [L, 72], trans [L, 3], optionally betas [10] and gravity [3]."""


def read_takes(dataset: DataSet) -> Iterator[MotionLabels | Damaged]:
    """Yield the motions of a data set's records in order; damaged records come as error values."""
    places = [shard.place for shard in dataset.shards]
    for number, shard in enumerate(dataset.shards):
        try:
            for record in read_shard(shard, places[number + 1 : number + 3]):
                try:
                    yield read_take(record)
                except Damaged as error:
                    yield error
        except Damaged as error:
            yield error


def read_take(record: Record) -> MotionLabels:
    """Return a record's motion; Damaged if it has none or wrong arrays."""
    wanted = frozenset({LABELS, META}) & frozenset(record.places)
    record.load(wanted | {LABELS})
    try:
        labels = npz_arrays(record.members[LABELS], MOTION | EXTRA, optional=set(EXTRA))
    except Exception as error:  # a broken archive may raise anything
        raise Damaged(f"{record.shard}: clip {record.key} cannot be decoded ({error})") from None
    wrong = fault_of(labels)
    if wrong:
        raise Damaged(f"{record.shard}: clip {record.key} holds no motion: {wrong}")
    return MotionLabels(record, labels)


def fault_of(labels: dict[str, np.ndarray]) -> str:
    """Return what is wrong with a motion's arrays; empty if nothing is."""
    length = len(labels["pose"]) if labels["pose"].ndim else 0
    shapes = {"pose": (length, 72), "trans": (length, 3), "betas": (10,), "gravity": (3,)}
    if not length:
        return "it has no frames"
    for name, value in labels.items():
        if value.dtype.kind not in "fiu":
            return f"{name} holds {value.dtype}, not numbers"
        if value.shape != shapes[name]:
            return f"{name} is {value.shape}, not {shapes[name]}"
        if not np.isfinite(value).all():
            return f"{name} holds numbers that are not finite"
    if "gravity" in labels and not np.linalg.norm(labels["gravity"].astype(np.float64)) > 1e-3:
        return "gravity has no direction"
    return ""


def usable_takes(dataset: DataSet, on_damage: str) -> list[MotionLabels]:
    """Return a data set's motions; damaged records are named and skipped, or end the run."""
    takes = []
    for item in read_takes(dataset):
        if not isinstance(item, Damaged):
            takes.append(item)
        elif on_damage == "stop":
            raise BadInput(f"{item}; make that shard again with datagen.launch.")
        else:
            print(f"skipped: {item}", file=sys.stderr)
    return takes


def bodies_of(dataset: DataSet) -> list[BodyJoints]:
    """Return the data set's bodies, of all genders that it has."""
    return [BodyJoints(read_body(path)) for path in dataset.bodies]


def endless_clips(
    dataset: DataSet, config: EndlessConfig, *, frames: int, spacing: int, on_damage: str = "skip"
) -> EndlessClips:
    """Return the EndlessClips of a data set's motions."""
    bodies = bodies_of(dataset)
    pelvis = bodies[0].rest[0].numpy()
    motions = gather((take.labels for take in usable_takes(dataset, on_damage)), pelvis)
    layout = RecordLayout.of(dataset)
    return EndlessClips(motions, bodies, layout, config, frames=frames, spacing=spacing)


def fixed_clips(
    dataset: DataSet, config: EndlessConfig = VALIDATION, *, count: int = FIXED_CLIPS
) -> Iterator[tuple[Record, dict[str, np.ndarray]] | Damaged]:
    """Yield the clips that a data set of motions is evaluated on, the same at every call.

    About `count` clips of FIXED_FRAMES frames are distributed over the takes in proportion to their
    lengths, and a take's clips are seeded by its number. First comes one clip of each take, then
    the second ones and so on, so that the first clips cover as many takes as possible. Records keep
    their take's meta.json.
    """
    bodies, layout = bodies_of(dataset), RecordLayout.of(dataset)
    pelvis = bodies[0].rest[0].numpy()
    takes = []
    for item in read_takes(dataset):
        if isinstance(item, Damaged):
            yield item
        elif len(item.labels["pose"]) >= FIXED_FRAMES:
            takes.append(item)
    frames = sum(len(take.labels["pose"]) for take in takes)
    shares = [max(1, round(count * len(take.labels["pose"]) / frames)) for take in takes]
    for part in range(max(shares, default=0)):
        for number, (record, labels) in enumerate(takes):
            if part >= shares[number]:
                continue
            motions = gather([labels], pelvis)
            clips = EndlessClips(motions, bodies, layout, config, frames=FIXED_FRAMES)
            batch = clips.draw(1, seeded(number, part))
            arrays = {name: value[0].numpy() for name, value in batch.items()}
            arrays["source"] = np.arange(FIXED_FRAMES, dtype=np.int32)
            key = f"{record.key}_{part:03d}"
            yield Record(record.shard, key, record.places, record.members), arrays
