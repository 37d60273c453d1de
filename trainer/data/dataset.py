"""Data sets of shards, in a folder or behind a URL, described by their dataset.json."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.data.inputs import InputSpec
from trainer.data.metadata import CHECKED_SINCE, read_metadata, require_truth, revision
from trainer.data.places import Place, Selection, select
from trainer.data.shard import Shard, list_shards
from trainer.data.store import Store
from trainer.data.transfer import Absent
from trainer.errors import BadInput
from trainer.model.body import UNKNOWN, JointRegressor, read_body, regressor_hash
from trainer.model.build import ModelSpec

UNCHECKED = (
    "note     {} was made by an older release, without checksums: damage inside a clip may go "
    "unnoticed; datagen.verify finds it"
)


@dataclass(frozen=True)
class MixedSet:
    """One of the data sets that are mixed."""

    fingerprint: str
    shards: int
    weight: float
    """Share of the data set that an epoch reads."""


@dataclass(frozen=True)
class DataSet:
    """Shards and their metadata; a mixture of several data sets counts as one."""

    folder: Place
    shards: tuple[Shard, ...]
    clip_length: int
    image_size: int
    joints: tuple[str, ...]
    keypoints: tuple[int, ...]
    evaluation_joints: tuple[int, ...]
    mirror: tuple[int, ...]
    flow_stride: int
    flow_name: str
    rgb: bool
    fps: float
    body: Path
    clips: int
    clips_per_shard: int
    fingerprint: str
    split: str = ""
    person_diagonal: float = 0.0
    """The people's size in a crop of 224 px; 0 where it is not recorded."""
    truth_source: str = ""
    """Name of the ground truth, where a data set offers several."""
    joint_regressor: JointRegressor = UNKNOWN
    """Regressor of the true evaluation joints."""
    labels_only: bool = False
    """Whether the records are motions without pictures, flow or keypoints."""
    keypoints_only: bool = False
    """Whether the records have neither pictures nor flow."""
    bodies: tuple[Path, ...] = ()
    """Body files of all genders; `body` is the first."""
    parts: tuple[MixedSet, ...] = ()
    """The mixed data sets, in the order of their shards; empty for a single data set.
    """
    checked: bool = False
    """Whether the records have checksums."""
    text: str = ""
    """The folder, URL or pattern that it was opened by (the first one's for a mixture)."""

    def input_spec(self, model: ModelSpec) -> InputSpec:
        """Return how this data set's records become a model's input."""
        if self.labels_only and model.inputs != "keypoints":
            raise BadInput(
                f"{self.folder} holds motions without pictures or flow, which --inputs "
                f"{model.inputs} needs; pass --inputs keypoints, or make the data set without "
                "--labels-only."
            )
        if self.keypoints_only and model.inputs != "keypoints":
            raise BadInput(
                f"{self.folder} holds keypoints only, without the flow or pictures that "
                f"{model.inputs} needs; make the data set with datagen.ingest."
            )
        if "rgb" in model.inputs and not self.rgb:
            raise BadInput(
                f"{self.folder} holds no pictures, which --inputs {model.inputs} needs; "
                "make the data set without --no-rgb or choose flow and keypoints."
            )
        return InputSpec(
            inputs=model.inputs,
            image_size=model.image_size,
            stored_size=self.image_size,
            flow_stride=self.flow_stride,
            keypoints=self.keypoints,
            mirror=self.mirror,
            names=self.joints,
            lift=model.name == "lifter",
            coordinates=model.coordinates,
            rays=model.rays,
            spacing=model.spacing,
        )

    @property
    def evaluation_names(self) -> tuple[str, ...]:
        """Names of the evaluation joints."""
        return tuple(self.joints[i] for i in self.evaluation_joints)

    def identity(self) -> dict[str, object]:
        """Return what a run stores to recognise its data."""
        names = [shard.name for shard in self.shards]
        return identity(self.fingerprint, [*names, *map(str, self.parts)])


def identity(fingerprint: str, names: Sequence[str]) -> dict[str, object]:
    """Return what distinguishes data sets: dataset.json's fingerprint and the shards by name."""
    return {
        "fingerprint": fingerprint,
        "shards": len(names),
        "names": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }


def _joint_regressor(metadata: dict[str, Any], body: Path) -> JointRegressor:
    """Return the regressor of the true evaluation joints; older data sets do not name it."""
    if found := metadata.get("joint_regressor"):
        return JointRegressor(str(found["name"]), str(found["sha256"]))
    if metadata.get("truth_source") or not body.is_file():  # measured joints
        return UNKNOWN
    return JointRegressor("", regressor_hash(read_body(body)))


def _clips(metadata: dict[str, Any], named: int) -> int:
    """Return the clips of the named shards, the most possible if they differ in size; 0: of all."""
    total, each = int(metadata["clips"]), int(metadata["clips_per_shard"])
    return min(total, named * each) if named and each else total


def open_datasets(
    texts: Sequence[str | Path],
    option: str = "--shards",
    *,
    truth: bool = True,
    store: Store | None = None,
) -> DataSet:
    """Open one or several data sets; an epoch reads of each the share given by its weight.

    texts: as `places.select` takes them. Raises BadInput as `open_dataset` does, and for data sets
    that cannot be mixed.
    """
    store = store or Store()
    chosen = [select(text, option) for text in texts]
    opened = [
        (open_dataset(one._replace(weight=1.0), option, truth=truth, store=store), one.weight)
        for one in chosen
    ]
    if not opened:
        raise BadInput(f"{option} names no data set.")
    first, weight = opened[0]
    if len(opened) == 1 and weight == 1:
        return first
    for other, _ in opened[1:]:
        refuse_mixture(first, other, option)
    parts = tuple(MixedSet(data.fingerprint, len(data.shards), weight) for data, weight in opened)
    if sum(part.shards * part.weight for part in parts) < 1:
        raise BadInput(f"{option}: the weights leave less than one shard per epoch; raise them.")
    return replace(
        first,
        shards=tuple(shard for data, _ in opened for shard in data.shards),
        clips=round(sum(data.clips * weight for data, weight in opened)),
        clip_length=min(data.clip_length for data, _ in opened),
        rgb=all(data.rgb for data, _ in opened),
        checked=all(data.checked for data, _ in opened),
        fingerprint="+".join(part.fingerprint for part in parts),
        parts=parts,
    )


def refuse_mixture(first: DataSet, other: DataSet, option: str) -> None:
    """Raise BadInput if the records of two data sets differ in meaning."""
    for name in ("image_size", "flow_stride", "flow_name", "joints", "keypoints",
                 "evaluation_joints", "mirror", "fps", "labels_only", "keypoints_only",
                 "joint_regressor"):  # fmt: skip
        ours, theirs = getattr(first, name), getattr(other, name)
        if ours != theirs:
            what = f"{theirs}, not {ours}" if len(f"{ours}{theirs}") < 40 else "other ones"
            raise BadInput(
                f"{option}: {other.folder} cannot be mixed with {first.folder}: its {name} is "
                f"{what}; make both with the same options."
            )
    if len({shard.place for shard in first.shards} & {shard.place for shard in other.shards}):
        raise BadInput(f"{option}: {other.folder} is given twice.")


def open_dataset(
    text: str | Path | Selection,
    option: str = "--shards",
    *,
    truth: bool = True,
    store: Store | None = None,
) -> DataSet:
    """Return the data set that a text names; BadInput if it does not exist or is incomplete.

    text: as `places.select` takes it. option: the option that named it. truth: whether ground truth
    is needed, which footage of one camera does not have.
    """
    store = store or Store()
    chosen = text if isinstance(text, Selection) else select(text, option)
    if chosen.weight != 1:
        raise BadInput(f"{option} {text}: a weight mixes training sets; omit it here.")
    metadata = read_metadata(chosen, option, store)
    folder = chosen.folder
    if truth:
        require_truth(metadata, folder, option)
    try:
        body = store.small(chosen.described.with_name(metadata["body"]))
        return DataSet(
            folder=folder,
            text=chosen.text,
            shards=list_shards(chosen, metadata, option, store),
            clip_length=int(metadata["clip_length"]),
            image_size=int(metadata["image_size"]),
            joints=tuple(metadata["joints"]),
            keypoints=tuple(metadata["keypoints"]),
            evaluation_joints=tuple(metadata["evaluation_joints"]),
            mirror=tuple(metadata["mirror"]),
            flow_stride=int(metadata["flow"]["stride"]),
            flow_name=str(metadata["flow"]["name"]),
            rgb=bool(metadata["rgb"]),
            fps=float(metadata["fps"]),
            body=body,
            clips=_clips(metadata, len(chosen.shards)),
            clips_per_shard=int(metadata["clips_per_shard"]),
            fingerprint=str(metadata["fingerprint"]),
            split=str(metadata.get("split", "")),
            person_diagonal=float(metadata.get("person_diagonal", 0)),
            truth_source=str(metadata.get("truth_source", "")),
            joint_regressor=_joint_regressor(metadata, body),
            labels_only=bool(metadata.get("labels_only", False)),
            keypoints_only=bool(metadata.get("keypoints_only", False)),
            bodies=tuple(
                store.small(chosen.described.with_name(name))
                for name in metadata.get("bodies", [metadata["body"]])
            ),
            checked=revision(metadata) >= CHECKED_SINCE,
        )
    except Absent as error:
        raise BadInput(f"{error}; copy the whole data set.") from None
    except KeyError as error:
        raise BadInput(f"{chosen.described} lacks {error}; make the data set again.") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput(
            f"{chosen.described} is damaged ({error}); make the data set again."
        ) from None
