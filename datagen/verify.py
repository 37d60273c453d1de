"""Check a data set: re-hash every shard, re-count and open every record.

python -m datagen.verify shards/
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from datagen import command
from datagen.output import check, dataset
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest


@dataclass(frozen=True)
class VerifyConfig:
    """What to check."""

    shards: tyro.conf.Positional[Path]
    """Folder of shards, with dataset.json in it."""


def verify(cfg: VerifyConfig) -> int:
    """Print what is wrong with the data set; return 0 if nothing is, else 1."""
    layout = Layout(cfg.shards.expanduser().resolve())
    content = dataset.read(layout)
    lines = Manifest(layout.manifests / "shards.jsonl").latest("shard")
    found = list(tqdm(check.problems(layout, content, lines), desc="verify", unit="shard"))
    wrong = [text for _, text in found if text]
    for text in wrong:
        print(f"error: {text}")
    if wrong:
        print(f"{len(wrong)} of {len(found)} shards are damaged or missing in {layout.shards}")
        return 1
    size = sum(line["bytes"] for line in lines.values()) / 1e6
    clips = sum(line["clips"] for line in lines.values())
    print(f"{len(found)} shards, {clips} clips, {size:.1f} MB: all as the manifest says")
    return 0


def main(args: list[str] | None = None) -> int:
    """Run the checker with command line `args` and return its exit status."""
    return command.run(VerifyConfig, verify, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
