"""The splits of one data set as one repository: a card, one croissant.json, a folder per split.

    README.md  croissant.json
    train/       dataset.json body.npz README.md croissant.json shard-000000.tar …
    validation/  …

Each folder is the split as it was made, so that `trainer.fit --shards hf://datasets/USER/NAME/train`
and `datagen.verify` read it. croissant.json has Croissant's responsible-AI fields
(https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from datagen.common.errors import BadInput
from datagen.common.record import Line
from datagen.output import card, jsonld
from datagen.output.dataset import read
from datagen.output.layout import Layout, shard_number

MOST_FILES = 10_000
"""Files that Hugging Face allows in a folder."""
LARGEST_FILE = 50 * 10**9
"""Largest file in bytes that Hugging Face allows."""
ALIKE = ("version", "clip_length", "image_size", "joints", "keypoints", "evaluation_joints", "fps",
         "flow", "rgb", "person_diagonal", "labels_only")  # fmt: skip
"""Fields of dataset.json that must be equal for the splits of one data set."""
RENDERED = (
    "None: every labelled person is rendered from a body model, clothes and recorded motion; "
    "nobody was filmed or photographed."
)
FILMED = (
    " The scenes are real videos supplied by the creator; they may show real people, "
    "under the terms of those videos."
)


@dataclass(frozen=True)
class PublishedSplit:
    """A folder of shards to be published in a repository."""

    name: str
    """train, validation or test."""
    layout: Layout
    dataset: Line
    files: dict[str, Line]
    """`bytes` and `sha256` of every file, by name."""

    @property
    def shards(self) -> list[str]:
        """The names of its shards."""
        return [name for name in self.files if shard_number(name) is not None]

    @property
    def bytes(self) -> int:
        """The bytes of all files."""
        return sum(line["bytes"] for line in self.files.values())


def read_split(folder: Path) -> PublishedSplit:
    """Return a finished folder of shards as a split.

    Raises BadInput if it is not finished, holds footage, or exceeds Hugging Face's limits.
    """
    layout = Layout(folder)
    dataset = read(layout)
    if dataset.get("real"):
        raise BadInput(f"{folder} holds footage of real people, which is not published")
    try:
        listed = json.loads(layout.croissant.read_text())["distribution"]
        files = {
            file["name"]: {"bytes": int(file["contentSize"].split()[0]), "sha256": file["sha256"]}
            for file in listed
            if "contentSize" in file
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{folder} has no readable croissant.json ({error}); finish its run"
        ) from None
    own = layout.croissant.read_bytes()
    files[layout.croissant.name] = {
        "bytes": len(own), "sha256": hashlib.sha256(own).hexdigest()
    }  # fmt: skip
    split = PublishedSplit(card.hub_split(dataset), layout, dataset, files)
    _refuse_unfinished(split, folder)
    return split


def _refuse_unfinished(split: PublishedSplit, folder: Path) -> None:
    if len(split.shards) != split.dataset["shards"]:
        raise BadInput(
            f"{folder} has {len(split.shards)} of {split.dataset['shards']} shards; finish it first"
        )
    for name, line in split.files.items():
        path = folder / name
        if not path.exists() or path.stat().st_size != line["bytes"]:
            raise BadInput(
                f"{path} is missing or has another size than in croissant.json; "
                f"run python -m datagen.verify {folder} --repair"
            )
        if line["bytes"] > LARGEST_FILE:
            raise BadInput(f"{path} is larger than the 50 GB that Hugging Face allows in a file")
    if len(split.files) >= MOST_FILES:
        raise BadInput(
            f"{folder} has {len(split.files):,} files, and Hugging Face allows fewer than "
            f"{MOST_FILES:,} in a folder; make it with more --clips-per-shard"
        )


def read_splits(folders: Sequence[Path]) -> list[PublishedSplit]:
    """Return the splits of one data set; BadInput if they belong to different data sets."""
    splits = [read_split(folder) for folder in folders]
    first = splits[0]
    for other in splits[1:]:
        for name in ALIKE:
            if first.dataset.get(name) != other.dataset.get(name):
                raise BadInput(
                    f"{other.layout.shards} and {first.layout.shards} differ in {name}: they are "
                    "not splits of one data set"
                )
    names = [split.name for split in splits]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"two of the folders are the split {name}; give one folder per split")
    return sorted(splits, key=lambda split: ("train validation test".find(split.name), split.name))


def name_of(splits: Sequence[PublishedSplit]) -> str:
    """Return the name of the whole data set: the same for the same splits."""
    known = "".join(split.dataset["fingerprint"] for split in splits)
    return f"motion-hmr-{hashlib.sha256(known.encode()).hexdigest()[:16]}"


def readme(splits: Sequence[PublishedSplit]) -> str:
    """Return the repository's README.md, with Hugging Face's front matter."""
    first = splits[0].dataset
    clips = sum(split.dataset["clips"] for split in splits)
    data = {**first, "clips": clips}
    front = card.front_matter(data, {split.name: f"{split.name}/shard-*.tar" for split in splits})
    members = "\n".join(f"| `{name}` | {text} |" for name, (_, text) in card.members(first).items())
    table = "\n".join(
        f"| {split.name} | {split.dataset['clips']:,} | {len(split.shards):,} | "
        f"{card.file_size(split.bytes)} | `{split.dataset['fingerprint']}` |"
        for split in splits
    )
    return f"""{front}
# {name_of(splits)}

Synthetic people in motion for training 3D human pose estimation, made by motion-hmr after
[Doersch & Zisserman, NeurIPS 2019](https://arxiv.org/abs/1907.02499). Splits share neither a
subject nor a video.

| split | clips | shards | size | fingerprint |
|---|---|---|---|---|
{table}

## A record

| member | content |
|---|---|
{members}

Each split's `dataset.json` names the joints and describes the fields, its README.md has its
statistics, and `body.npz` maps pose and shape to joints. Members carry checksums.

```python
from datasets import load_dataset

records = load_dataset("webdataset", data_files={{"train": "train/*.tar"}}, streaming=True)
```

```
python -m trainer.fit --shards hf://datasets/USER/NAME/{splits[0].name}
```

## Licence

{card.licence_of(first["config"])}

## Uses, limits and people

{RAI["rai:dataUseCases"]} {RAI["rai:dataBiases"]} {RAI["rai:dataLimitations"]}

Personal or sensitive information: {about_people(first["config"])}
"""


def about_people(config: Line) -> str:
    """Return the statement on real people in a data set made with these options."""
    return RENDERED + (FILMED if config["backgrounds"]["videos"] else "")


RAI = {
    "rai:dataCollection": (
        "Synthetic: people rendered from a parametric body, recorded motion and procedural clothes "
        "are composited onto real or virtual scenes by a program; meta.json records every draw."
    ),
    "rai:dataCollectionType": ["Software Collection"],
    "rai:dataAnnotationProtocol": (
        "None: labels are the values that the clips were rendered from, not human annotations."
    ),
    "rai:dataUseCases": (
        "Meant for training and testing estimators of 3D human pose and shape from motion; not for "
        "identifying, judging or monitoring people."
    ),
    "rai:dataBiases": (
        "Bodies, skin tones and genders are drawn uniformly or from a model's shape space and "
        "match no real population; children, old people, disabilities and loose clothes are rare; "
        "motions are those of the recorded actors."
    ),
    "rai:dataLimitations": (
        "Faces, hands, hair and clothes are simpler than real ones, and the lighting does not "
        "match the scene: errors on real video are larger than on these clips."
    ),
    "rai:dataSocialImpact": (
        "Training without footage of real people protects their privacy; better pose estimation "
        "can also be used for surveillance."
    ),
}
"""Croissant's responsible-AI fields for every data set that this program renders."""


def croissant(splits: Sequence[PublishedSplit]) -> Line:
    """Return the repository's croissant.json: every file of every split, and the RAI fields."""
    first = splits[0].dataset
    clips = sum(split.dataset["clips"] for split in splits)
    files = {f"{split.name}/{name}": line for split in splits for name, line in split.files.items()}
    held = card.members(first)
    return {
        "@context": jsonld.CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": name_of(splits),
        "description": (
            f"{clips:,} synthetic clips of people in motion with SMPL pose and shape, 3D and 2D "
            f"joints and optical flow, in {', '.join(split.name for split in splits)}."
        ),
        "datePublished": date.today().isoformat(),
        "citeAs": card.CITATION,
        "license": card.licence_of(first["config"]),
        "version": f"{first['version']}.0.0",
        "keywords": card.tags(first),
        **RAI,
        "rai:personalSensitiveInformation": [about_people(first["config"])],
        "distribution": [jsonld.file(path, line) for path, line in files.items()]
        + [
            entry
            for split in splits
            for entry in jsonld.file_sets(
                held, [f"{split.name}/{name}" for name in split.shards], f"{split.name}/"
            )
        ],
        "recordSet": [
            entry for split in splits for entry in jsonld.record_sets(held, f"{split.name}/")
        ],
    }
