"""Data sets of shards, in a folder or behind a URL, described by their dataset.json."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainer.data.inputs import InputSpec
from trainer.data.places import Place, Selection, select
from trainer.data.store import ShardFile, Store
from trainer.data.transfer import Absent, names_in
from trainer.errors import BadInput
from trainer.model.body import UNKNOWN, JointRegressor, read_body, regressor_hash
from trainer.model.build import ModelSpec

CHECKED_SINCE = 3
"""First revision of the records whose members have checksums."""
UNCHECKED = (
    "note     {} was made by an older release, without checksums: damage inside a clip may go "
    "unseen; datagen.verify finds it"
)
NUMBERED = re.compile(r"shard-(\d{6,})\.tar")


@dataclass(frozen=True)
class Shard:
    """A tar of clips, and what its data set records of it."""

    place: Place
    fingerprint: str = ""
    """Of its data set."""
    size: int | None = None
    """Bytes; None where nobody wrote them down."""
    clips: int | None = None
    """Clips; None where they may be any number."""
    checked: bool = False
    """Whether every member has a checksum."""
    store: Store = field(default_factory=Store, repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.place)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.place.name

    @property
    def number(self) -> str:
        """The digits in its name, with which its clips' keys begin; none in any other name."""
        found = NUMBERED.fullmatch(self.name)
        return found[1] if found else ""

    def open(self, ahead: Sequence[Place] = ()) -> ShardFile:
        """Return the open shard; errors as `Store.open`."""
        return self.store.open(self.place, self.fingerprint, ahead)

    def read(self, offset: int, size: int) -> bytes:
        """Return some bytes of the shard while it is not open."""
        return self.store.read(self.place, self.fingerprint, offset, size)

    def forget(self) -> None:
        """Remove a kept copy, which turned out damaged."""
        self.store.forget(self.place, self.fingerprint)


@dataclass(frozen=True)
class MixedSet:
    """One of the data sets that are mixed."""

    fingerprint: str
    shards: int
    weight: float
    """Share of it that an epoch reads."""


@dataclass(frozen=True)
class DataSet:
    """Shards and their metadata; several data sets that are mixed count as one."""

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
    """Which of several truths the joints are, where a data set has a choice."""
    joint_regressor: JointRegressor = UNKNOWN
    """What the true evaluation joints are regressed by."""
    labels_only: bool = False
    """Whether the records are motions without pictures, flow or keypoints."""
    keypoints_only: bool = False
    """Whether the records have neither pictures nor flow."""
    bodies: tuple[Path, ...] = ()
    """Body files of all genders; `body` is the first of them."""
    parts: tuple[MixedSet, ...] = ()
    """The data sets that are mixed, in the order of their shards; none for one data set as it is.
    """
    checked: bool = False
    """Whether its records have checksums."""
    text: str = ""
    """The folder, URL or pattern that it was opened by; the first one's of a mixture."""

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
                f"{self.folder} holds keypoints alone, without the flow or pictures that "
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
        """Return what a run must remember of its data to know it again."""
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
    """Return what regresses the true evaluation joints; older data sets do not name it."""
    if found := metadata.get("joint_regressor"):
        return JointRegressor(str(found["name"]), str(found["sha256"]))
    if metadata.get("truth_source") or not body.is_file():  # measured joints
        return UNKNOWN
    return JointRegressor("", regressor_hash(read_body(body)))


def open_datasets(
    texts: Sequence[str | Path],
    option: str = "--shards",
    *,
    truth: bool = True,
    store: Store | None = None,
) -> DataSet:
    """Return one or several data sets, of which each epoch reads the share that its weight gives.

    texts: as `places.select` takes them. Raises BadInput as `open_dataset`, and if they do not go
    together.
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
        raise BadInput(f"{option}: the weights leave less than one shard an epoch; raise them.")
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
    """Raise BadInput if the records of two data sets do not mean the same."""
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
    """Return the data set that a text names; BadInput if there is none or it lacks what is needed.

    text: as `places.select` takes it. option: what the user named it by. truth: whether true poses
    are needed, which footage of one camera lacks.
    """
    store = store or Store()
    chosen = text if isinstance(text, Selection) else select(text, option)
    if chosen.weight != 1:
        raise BadInput(f"{option} {text}: a weight mixes training sets; omit it here.")
    metadata = _metadata(chosen, option, store)
    folder = chosen.folder
    if truth:
        _require_truth(metadata, folder, option)
    try:
        body = store.small(chosen.described.with_name(metadata["body"]))
        return DataSet(
            folder=folder,
            text=chosen.text,
            shards=_shards(chosen, metadata, option, store),
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
            clips=int(metadata["clips"]),
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
            checked=_revision(metadata) >= CHECKED_SINCE,
        )
    except Absent as error:
        raise BadInput(f"{error}; copy the whole data set.") from None
    except KeyError as error:
        raise BadInput(f"{chosen.described} lacks {error}; make the data set again.") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{chosen.described} is damaged ({error}); make the data set again."
        ) from None


def _require_truth(metadata: dict[str, Any], folder: object, option: str) -> None:
    """Raise BadInput for footage of no more than a camera."""
    if not metadata.get("truth", True):
        raise BadInput(
            f"{folder} ({option}) holds footage without true poses, which is for trainer.predict "
            "and for trainer.fit's --dann-shards."
        )


def _metadata(chosen: Selection, option: str, store: Store) -> dict[str, Any]:
    """Return the content of dataset.json; BadInput if it cannot be read or is another version's."""
    folder, path = chosen.folder, chosen.described
    made = "that datagen.launch or datagen.ingest made"
    if isinstance(folder, Path) and not folder.is_dir():
        raise BadInput(f"{folder} is not a folder; point {option} at one {made}.")
    try:
        metadata = json.loads(store.small_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(
            f"{folder} has no dataset.json; point {option} at a folder {made}."
        ) from None
    except OSError as error:
        raise BadInput(f"{path} ({option}) cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not valid JSON ({error}); make the data set again.") from None
    version = metadata.get("version") if isinstance(metadata, dict) else None
    if version != 1:
        raise BadInput(f"{path} has version {version!r}; this trainer reads version 1.")
    if wrong := _fault(metadata):
        raise BadInput(f"{path} is damaged ({wrong}); make the data set again.")
    return metadata


def _fault(metadata: dict[str, Any]) -> str:
    """Return what no data set can mean; nothing of keys that are missing."""
    joints = metadata.get("joints", [])
    if not isinstance(joints, list) or not all(isinstance(name, str) for name in joints):
        return "joints are no names"
    for name in ("keypoints", "evaluation_joints", "mirror"):
        places = metadata.get(name, [])
        if not isinstance(places, list) or not all(
            isinstance(place, int) and 0 <= place < len(joints) for place in places
        ):
            return f"{name} are no joints"
    if len(metadata.get("mirror", joints)) != len(joints):
        return "mirror does not name a counterpart of each joint"
    for name, least in {
        "clip_length": 1,
        "image_size": 1,
        "clips": 0,
        "clips_per_shard": 0,
    }.items():
        value = metadata.get(name, least)
        if not isinstance(value, int) or not least <= value < 1 << 40:
            return f"{name} is {value!r:.40}"
    rate = metadata.get("fps", 30)
    if not isinstance(rate, int | float) or not 0 < rate < 10_000:
        return f"fps is {rate!r:.40}"
    for name in (metadata.get("body", ""), *metadata.get("bodies", [])):
        if not isinstance(name, str) or "/" in name or "\\" in name or name.startswith("."):
            return f"{name!r:.40} is no file beside it"
    return ""


def _revision(metadata: dict[str, Any]) -> int:
    """Return the revision of a data set's records, 0 where none is named."""
    config = metadata.get("config")
    return int(config.get("record", 0)) if isinstance(config, dict) else 0


def _shards(
    chosen: Selection, metadata: dict[str, Any], option: str, store: Store
) -> tuple[Shard, ...]:
    """Return the shards of a data set; BadInput if some that it should have are missing."""
    sizes = _sizes(chosen, store)
    total, clips = int(metadata.get("shards", 0)), int(metadata["clips"])
    each = int(metadata["clips_per_shard"])
    places = chosen.shards or _found(chosen, metadata, sizes)
    if not places:
        raise BadInput(
            f"{chosen.folder} ({option}) holds no shard-*.tar; finish the run that makes them."
        )
    if chosen.shards:
        lost = [p for p in places if isinstance(p, Path) and not p.is_file()]
        if lost:
            raise BadInput(f"{lost[0]} ({option}) does not exist.")
    elif total and len(places) != total:
        raise BadInput(
            f"{chosen.folder} ({option}) holds {len(places)} of the {total} shards in its "
            "dataset.json; finish the run that makes them, or name those to read, such as "
            f"'{chosen.folder}/shard-{{000000..{len(places) - 1:06d}}}.tar'."
        )
    return tuple(
        Shard(
            place=place,
            fingerprint=str(metadata["fingerprint"]),
            size=sizes.get(place.name),
            clips=each if total * each == clips and not metadata.get("real") else None,
            checked=_revision(metadata) >= CHECKED_SINCE,
            store=store,
        )
        for place in places
    )


def _found(chosen: Selection, metadata: dict[str, Any], sizes: dict[str, int]) -> tuple[Place, ...]:
    """Return the shards in a folder, in order.

    Where a folder cannot be listed (https), they are those of croissant.json, or else as many as
    dataset.json counts.
    """
    folder = chosen.folder
    if isinstance(folder, Path):
        return tuple(sorted(folder.glob("shard-*.tar")))
    names = names_in(folder)
    if names is None:
        total = int(metadata.get("shards", 0))
        names = sorted(sizes) or [f"shard-{number:06d}.tar" for number in range(total)]
    return tuple(folder / name for name in names if NUMBERED.fullmatch(name))


def _sizes(chosen: Selection, store: Store) -> dict[str, int]:
    """Return the bytes of each shard by its name, from croissant.json; none without a good one."""
    try:
        content = json.loads(store.small_bytes(chosen.described.with_name("croissant.json")))
        return {
            file["name"]: int(file["contentSize"].split()[0])
            for file in content["distribution"]
            if NUMBERED.fullmatch(file["name"]) and "contentSize" in file
        }
    except (OSError, BadInput, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}
