"""The rows of the paper's Tables 1-3 as options of trainer.fit.

PA-MPJPE in mm on 3DPW's test split, as printed in the paper. A training may be used in several
rows: flow and keypoints on the full data is in all three tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from trainer.common.options import flag, named_object
from trainer.data.dataset import DataSet
from trainer.data.store import Store
from trainer.errors import BadInput

Options = dict[str, object]
"""Options of trainer.fit by their names on the command line, without dashes in front."""

FRAMES = 31
"""Clip length of every row but those of Table 3."""
VARIANTS = {
    "full": "",
    "no-occluders": "--no-occluders",
    "no-tracking": "--no-occluders --no-track-camera",
    "static": "--no-occluders --background static",
}
"""Table 2's data sets: the options of datagen.launch that make them."""
DANN_WEIGHTS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Our guess: the paper trains five times with different weights and does not say which."""

FILES = ("body", "joint_regressor", "textures", "motions", "surreal", "videos", "flow_weights")
"""Options that dataset.json records by content only."""


@dataclass(frozen=True)
class RowNetwork:
    """One network to train, without its seed."""

    name: str
    options: Options
    data: str = "full"
    frames: int = FRAMES
    real: bool = False
    """Whether it needs unlabelled real clips (DANN)."""


@dataclass(frozen=True)
class Row:
    """One row of a table: its trainings, empty if the paper only quotes the figure."""

    title: str
    paper: str
    trainings: tuple[RowNetwork, ...] = ()
    best: bool = False
    """Report the best training and, in brackets, the mean, as the paper does for DANN."""


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables."""

    number: int
    title: str
    rows: tuple[Row, ...]
    order: tuple[tuple[str, str], ...] = field(default=())
    """Pairs of rows of which the paper finds the first better."""


FLOW_KEYPOINTS = RowNetwork("flow+keypoints", {"inputs": "flow+keypoints"})
"""The paper's own network, which is in all three tables."""


def tables(dann_weights: tuple[float, ...] = DANN_WEIGHTS) -> tuple[PaperTable, ...]:
    """Return the paper's tables."""
    return inputs_table(dann_weights), data_table(), length_table()


def own_table(name: str, others: Iterable[PaperTable]) -> PaperTable:
    """Return the table that a user's `module:factory` makes.

    Raises BadInput if it is no PaperTable, or if another table has its number or one of its
    networks' names.
    """
    others = list(others)
    table = named_object(name, "--own-tables")()
    if not isinstance(table, PaperTable):
        raise BadInput(f"--own-tables {name} must return a trainer.paper.rows.PaperTable")
    if table.number in {other.number for other in others}:
        raise BadInput(f"--own-tables {name} is Table {table.number}, which already exists")
    known = networks(others)
    for own in networks([table]).values():
        if known.get(own.name, own) != own:
            raise BadInput(f"--own-tables {name} has another network called {own.name}; rename it")
    return table


def networks(tables: Iterable[PaperTable]) -> dict[str, RowNetwork]:
    """Return the networks of all rows by name, each once."""
    return {
        training.name: training
        for table in tables
        for row in table.rows
        for training in row.trainings
    }


def inputs_table(dann_weights: tuple[float, ...]) -> PaperTable:
    """Return Table 1."""

    def inputs(name: str) -> tuple[RowNetwork, ...]:
        return (RowNetwork(name, {"inputs": name}),)

    dann = tuple(
        RowNetwork(f"rgb+dann-{weight:g}", {"inputs": "rgb", "dann-weight": weight}, real=True)
        for weight in dann_weights
    )
    lifter = RowNetwork("lifter", {"model": "lifter", "inputs": "keypoints"})
    return PaperTable(
        1,
        "Inputs of the network",
        (
            Row("RGB", "105.6", inputs("rgb")),
            Row("RGB + DANN", "103.0 (107.5)", dann, best=True),
            Row("Flow", "100.1", inputs("flow")),
            Row("RGB + keypoints", "82.4", inputs("rgb+keypoints")),
            Row("Keypoints", "77.6", inputs("keypoints")),
            Row("Flow + keypoints", "74.7", (FLOW_KEYPOINTS,)),
            Row("Martinez et al., lifting keypoints", "157.0", (lifter,)),
            Row("HMR (trained on real 3D labels)", "77.2"),
            Row("Temporal HMR (real 3D labels)", "80.1"),
            Row("Temporal HMR + InstaVariety (real)", "72.4"),
            Row("HMR + Kinetics (real)", "72.2"),
        ),
        (
            ("Flow", "RGB"),
            ("Keypoints", "Flow"),
            ("Keypoints", "RGB + keypoints"),
            ("Flow + keypoints", "Keypoints"),
        ),
    )


def data_table() -> PaperTable:
    """Return Table 2."""
    names = {
        "full": ("Full", "74.7"),
        "no-occluders": ("No occlusions", "77.2"),
        "no-tracking": ("No occlusions, no background tracking", "80.3"),
        "static": ("No occlusions, static background", "88.9"),
    }
    return PaperTable(
        2,
        "Composition of the training clips (flow + keypoints)",
        tuple(
            Row(
                title,
                paper,
                (
                    FLOW_KEYPOINTS
                    if data == "full"
                    else RowNetwork(data, FLOW_KEYPOINTS.options, data),
                ),
            )
            for data, (title, paper) in names.items()
        ),
        (
            ("Full", "No occlusions"),
            ("No occlusions", "No occlusions, no background tracking"),
            ("No occlusions, no background tracking", "No occlusions, static background"),
        ),
    )


def length_table() -> PaperTable:
    """Return Table 3."""
    lengths = {8: "79.0", 16: "77.8", FRAMES: "74.7", 56: "76.2"}
    return PaperTable(
        3,
        "Clip length (flow + keypoints)",
        tuple(
            Row(
                f"{frames} frames",
                paper,
                (
                    FLOW_KEYPOINTS
                    if frames == FRAMES
                    else RowNetwork(f"frames-{frames}", FLOW_KEYPOINTS.options, frames=frames),
                ),
            )
            for frames, paper in lengths.items()
        ),
        (
            ("16 frames", "8 frames"),
            ("31 frames", "16 frames"),
            ("31 frames", "56 frames"),
        ),
    )


SMALL: Options = {
    "backbone": "small",
    "image-size": 32,
    "lstm-width": 128,
    "residual": True,
    "batch-size": 8,
    "lr": 1e-3,
    "steps": 1800,
    "save-every": 200,
    "val-every": 200,
    "val-clips": 32,
    "workers": 0,
}
"""A network that two CPU cores train in minutes. At 64 px a step costs four times as much, and the
ten layers do not learn more. Keypoints reach 60 mm on held-out clips in these steps."""


def words(options: Options) -> list[str]:
    """Return options as command-line words; a boolean becomes its name, or its name after no-."""
    line: list[str] = []
    for name, value in options.items():
        if isinstance(value, bool):
            line.append(flag(name, value))
        else:
            line += [flag(name), str(value)]
    return line


CLIPS = 3
"""The paper's clips of 31 frames per GPU."""


def clips_per_step(frames: int, usual: int) -> int:
    """Return the clips per step for a clip length, given the number for 31 frames.

    In the paper's proportions: per GPU 6 clips of 8 or 16 frames, 3 of 31, 2 of 56.
    """
    return max(1, round(usual * {8: 2.0, 16: 2.0, 56: 2 / 3}.get(frames, 1.0)))


OWN = frozenset({"inputs", "model", "frames", "seed", "dann-weight"})
"""Options that define a row and so cannot be set for all rows."""
OF_KEYPOINTS = frozenset({"feedback", "head", "keypoints"})
"""Options that only networks with keypoints have, besides those named keypoint-…"""
NOT_LIFTER = frozenset({"feedback", "weights", "head", "keypoints"})
"""Options that the lifter does not have."""


def suits(name: str, training: RowNetwork) -> bool:
    """Return whether an option for all rows applies to this one."""
    if name in NOT_LIFTER and training.options.get("model") == "lifter":
        return False
    of_keypoints = name in OF_KEYPOINTS or name.startswith("keypoint-")
    return not of_keypoints or "keypoints" in str(training.options.get("inputs", "flow+keypoints"))


def fit_options(training: RowNetwork, common: Options, seed: int) -> Options:
    """Return the options of trainer.fit for a training: the common ones, overridden by its own."""
    shared = {name: value for name, value in common.items() if suits(name, training)}
    options: Options = {**shared, "frames": training.frames, "seed": seed, **training.options}
    usual = common.get("batch-size", CLIPS)
    assert isinstance(usual, int)
    options["batch-size"] = clips_per_step(training.frames, usual)
    if training.options.get("model") == "lifter":
        options["lr"] = 1e-3  # Martinez et al.'s own
    return options


def launch_command(variant: str, full: DataSet | None) -> str:
    """Return the command that makes a variant of `full` with the same people and scenes.

    Options that name files or folders are recorded by content only; the command has `…` for them.
    """
    if full is None:
        return f"python -m datagen.launch --clip-length 56 {VARIANTS[variant]}".strip() + (
            f" --num-shards 5000 --out {variant}"
        )
    metadata = json.loads(Store().small_bytes(full.folder / "dataset.json"))
    words = ["python -m datagen.launch", f"--num-shards {metadata['shards']}"]
    library = full.folder.parent if full.folder.name == "shards" else full.folder
    for stage in ("bodies", "backgrounds", "clips", "flow", "output"):
        for name, value in metadata["config"].get(stage, {}).items():
            words += option(name, value)
    out = full.folder.with_name(variant)
    words += [VARIANTS[variant], f"--library {library / 'library'}", f"--out {out}"]
    return " ".join(word for word in words if word)


def option(name: str, value: Any) -> list[str]:
    """Return an option of datagen with its value, as words of a command line."""
    word = flag(name)
    if value is None:
        return []
    if name in FILES:
        return [f"{word} …"]
    if isinstance(value, bool):
        return [flag(name, value)]
    if isinstance(value, list):
        return [word, *map(str, value)]
    return [f"{word} {value}"]
