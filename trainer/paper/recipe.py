"""How the data of a row is made: commands of datagen, which the trainer knows by name only."""

from __future__ import annotations

import json
from typing import Any

from trainer.data.dataset import DataSet
from trainer.paper.rows import VARIANTS

FILES = ("body", "joint_regressor", "textures", "motions", "surreal", "videos", "flow_weights")
"""Options that dataset.json remembers by content only."""


def launch_command(variant: str, full: DataSet | None) -> str:
    """Return the command that makes a variant as `full` was made: same people, same scenes.

    Options that name files or folders are known by their content only: the command has `…` there.
    """
    if full is None:
        return f"python -m datagen.launch --clip-length 56 {VARIANTS[variant]}".strip() + (
            f" --num-shards 5000 --out {variant}"
        )
    told = json.loads((full.folder / "dataset.json").read_text())
    words = ["python -m datagen.launch", f"--num-shards {told['shards']}"]
    library = full.folder.parent if full.folder.name == "shards" else full.folder
    for stage in ("bodies", "backgrounds", "clips", "flow", "output"):
        for name, value in told["config"].get(stage, {}).items():
            words += option(name, value)
    out = full.folder.with_name(variant)
    words += [VARIANTS[variant], f"--library {library / 'library'}", f"--out {out}"]
    return " ".join(word for word in words if word)


def option(name: str, value: Any) -> list[str]:
    """Return an option of datagen with its value, as words of a command line."""
    flag = name.replace("_", "-")
    if value is None:
        return []
    if name in FILES:
        return [f"--{flag} …"]
    if isinstance(value, bool):
        return [f"--{'' if value else 'no-'}{flag}"]
    if isinstance(value, list):
        return [f"--{flag}", *map(str, value)]
    return [f"--{flag} {value}"]
