"""Arrange the splits of a data set as one Hugging Face repository, with one card.

    python -m datagen.publish train/shards val/shards test/shards --to published/
    python -m datagen.publish train/shards val/shards --to hf://datasets/USER/NAME --write

Without --write it prints what it would do. Uploading needs `pip install huggingface_hub` and a
token (`hf auth login`, or HF_TOKEN). After an interruption, the same command resumes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from tqdm import tqdm

from datagen.common import cli
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.files import make_folder, whole, write_json
from datagen.common.options import require
from datagen.output import publication
from datagen.output.card import file_size
from datagen.output.publication import PublishedSplit

HUB = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/?")
BATCH = 50
"""Files per commit on the hub."""


@dataclass(frozen=True)
class PublishConfig:
    """Which splits to publish, and where."""

    shards: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(help_behavior_hint="(required)")
    ]
    """Folders of shards, one per split of the data set."""
    to: str
    """hf://datasets/USER/NAME, or a folder to be arranged like that repository."""
    write: bool = False
    """Write or upload. Default: only print what would be done."""

    def __post_init__(self) -> None:
        require(bool(self.shards), "name at least one folder of shards")
        require(
            "://" not in self.to or HUB.fullmatch(self.to) is not None,
            f"--to takes a folder or hf://datasets/USER/NAME, got {self.to}",
        )


def publish(cfg: PublishConfig) -> int:
    """Print the repository's plan and, with --write, carry it out; return 0."""
    splits = publication.read_splits(cfg.shards)
    files = {
        f"{split.name}/{name}": split.layout.shards / name
        for split in splits
        for name in split.files
    }
    size = sum(split.bytes for split in splits)
    print(f"{publication.name_of(splits)} → {cfg.to}")
    for split in splits:
        clips, shards = split.dataset["clips"], count(len(split.shards), "shard")
        print(f"  {split.name:<12}{clips:>9,} clips in {shards}, {file_size(split.bytes)}")
    print(
        f"  {count(len(files) + 2, 'file')}, {file_size(size)}, with README.md and croissant.json"
    )
    if not cfg.write:
        words = " ".join(shlex.quote(str(folder)) for folder in cfg.shards)
        print("Nothing was written.")
        print(f"Next: python -m datagen.publish {words} --to {cfg.to} --write")
        return 0
    found = HUB.fullmatch(cfg.to)
    if found:
        upload(found[1], splits, files)
    else:
        arrange(Path(cfg.to).expanduser(), splits, files)
    print(f"Next: python -m trainer.fit --shards {cfg.to.rstrip('/')}/{splits[0].name}")
    return 0


def arrange(folder: Path, splits: Sequence[PublishedSplit], files: dict[str, Path]) -> None:
    """Write the repository to a folder; shards are hard-linked if the file system allows it.

    Raises BadInput if the folder holds something else.
    """
    content = publication.croissant(splits)
    if folder.exists() and any(folder.iterdir()) and _known(folder) != content["name"]:
        raise BadInput(f"{folder} holds something else; choose another --to or empty it")
    make_folder(folder)
    write_json(folder / "croissant.json", content)  # first: it records the folder's purpose
    for name, source in tqdm(files.items(), unit="file"):
        target = folder / name
        make_folder(target.parent)
        with whole(target) as temporary:
            temporary.unlink(missing_ok=True)
            try:
                os.link(source.resolve(), temporary)
            except OSError:  # another disk, or links are not supported
                shutil.copyfile(source, temporary)
    with whole(folder / "README.md") as temporary:
        temporary.write_text(publication.readme(splits))


def _known(folder: Path) -> str:
    """Return the name of the data set for which a folder was arranged."""
    try:
        return str(json.loads((folder / "croissant.json").read_text())["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def upload(repository: str, splits: Sequence[PublishedSplit], files: dict[str, Path]) -> None:
    """Upload the repository in commits of BATCH files; the card comes last.

    Raises BadInput if the package, the permission or the network connection is missing.
    """
    try:
        from huggingface_hub import (  # pyright: ignore[reportMissingImports]
            CommitOperationAdd,
            HfApi,
        )
        from huggingface_hub.errors import (  # pyright: ignore[reportMissingImports]
            HfHubHTTPError,
        )
    except ImportError:
        raise BadInput(
            "hf:// needs the package huggingface_hub: pip install huggingface_hub"
        ) from None
    api: Any = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", exist_ok=True)
        there = set(api.list_repo_files(repository, repo_type="dataset"))
        todo: list[tuple[str, Path | bytes]] = [
            (name, path) for name, path in files.items() if name not in there
        ]
        batches = [todo[first : first + BATCH] for first in range(0, len(todo), BATCH)]
        card = publication.readme(splits).encode()
        index = (json.dumps(publication.croissant(splits), indent=1) + "\n").encode()
        batches.append([("croissant.json", index), ("README.md", card)])
        for number, batch in enumerate(tqdm(batches, unit="commit"), 1):
            api.create_commit(
                repository,
                [
                    CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
                    for name, content in batch
                ],
                commit_message=f"Files, part {number} of {len(batches)}",
                repo_type="dataset",
            )
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadInput(
            f"hf://datasets/{repository} cannot be written ({reason}); check the token (hf auth "
            "login) and run the same command again"
        ) from error


def main(args: list[str] | None = None) -> int:
    """Run the command with command line `args` and return its exit status."""
    return cli.run(PublishConfig, publish, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
