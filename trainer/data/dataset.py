"""A folder of shards as a data set, described by its dataset.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.data.inputs import InputSpec
from trainer.errors import BadInput
from trainer.model.body import UNKNOWN, JointRegressor, read_body, regressor_hash
from trainer.model.build import ModelSpec


@dataclass(frozen=True)
class DataSet:
    """A folder of shards and its metadata."""

    folder: Path
    shards: tuple[Path, ...]
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
        return identity(self.fingerprint, [shard.name for shard in self.shards])


def identity(fingerprint: str, names: Sequence[str]) -> dict[str, object]:
    """Return what tells data sets apart: dataset.json's fingerprint and the shards by name."""
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


def open_dataset(folder: Path, option: str = "--shards", *, truth: bool = True) -> DataSet:
    """Return the data set in a folder; BadInput if there is none or it lacks what is needed.

    option: what the user named the folder by. truth: whether true poses are needed, which footage
    of no more than a camera has not.
    """
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is not a folder; point {option} at one that datagen.launch or "
            "datagen.ingest made."
        )
    path = folder / "dataset.json"
    try:
        metadata = json.loads(path.read_text())
    except OSError:
        raise BadInput(
            f"{folder} has no dataset.json; point {option} at a folder that datagen.launch or "
            "datagen.ingest made."
        ) from None
    except ValueError as error:
        raise BadInput(f"{path} is not valid JSON ({error}); make the data set again.") from None
    if metadata.get("version") != 1:
        raise BadInput(
            f"{path} has version {metadata.get('version')!r}; this trainer reads version 1."
        )
    if truth and not metadata.get("truth", True):
        raise BadInput(
            f"{folder} ({option}) holds footage without true poses, which is for trainer.predict "
            "and for trainer.fit's --dann-shards."
        )
    shards = tuple(sorted(folder.glob("shard-*.tar")))
    if not shards:
        raise BadInput(f"{folder} ({option}) holds no shard-*.tar; finish the run that makes them.")
    try:
        return DataSet(
            folder=folder,
            shards=shards,
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
            body=folder / metadata["body"],
            clips=int(metadata["clips"]),
            clips_per_shard=int(metadata["clips_per_shard"]),
            fingerprint=str(metadata["fingerprint"]),
            split=str(metadata.get("split", "")),
            person_diagonal=float(metadata.get("person_diagonal", 0)),
            truth_source=str(metadata.get("truth_source", "")),
            joint_regressor=_joint_regressor(metadata, folder / metadata["body"]),
            labels_only=bool(metadata.get("labels_only", False)),
            keypoints_only=bool(metadata.get("keypoints_only", False)),
            bodies=tuple(folder / name for name in metadata.get("bodies", [metadata["body"]])),
        )
    except (KeyError, TypeError) as error:
        raise BadInput(f"{path} lacks {error}; make the data set again.") from None
