"""Options of trainer.tables; the fields' docstrings are its --help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.common.options import at_least, require
from trainer.data.options import require_size


@dataclass(frozen=True, kw_only=True)
class TablesConfig:
    """Make the paper's tables from data sets that lie ready."""

    data: tuple[str, ...] = ()
    """Training sets as NAME=SHARDS, named as Table 2's rows: full, no-occluders, no-tracking,
    static. SHARDS is what trainer.fit takes: a folder, a URL, a brace pattern, a tar. The first
    serves Tables 1 and 3 too, whose longest clips have 56 frames."""
    test: tuple[str, ...] = ()
    """Evaluation sets as NAME=SHARDS; `3dpw` is the paper's. All rows are evaluated on all."""
    real: str | None = None
    """Unlabelled shards of real clips, for the row RGB + DANN."""
    cache: Path | None = None
    """Folder that keeps whole shards of URLs for all commands. Default: none."""
    cache_size: str = "200GB"
    """Most that the cache may hold; the shards that were read longest ago make room."""
    out: Path = Path("tables")
    """Folder of the runs and the report."""
    tables: tuple[int, ...] = (1, 2, 3)
    """Which of the paper's tables."""
    own_tables: tuple[str, ...] = ()
    """Tables of your own beside them, each as my_module:factory (CONTRIBUTING.md)."""
    seeds: int = 1
    """Trainings of each row, seeds 0, 1, …; the paper's rows differ by less than seeds may."""
    dann_weights: tuple[float, ...] = ()
    """Weights of the domain loss, a training each. Default: 0.003 to 0.3, of which --small takes
    two."""
    small: bool = False
    """A small network: all rows of the tables train in some 70 minutes on two CPU cores.
    Default: the trainer's own settings, the paper's network on a GPU."""
    options: tuple[str, ...] = ()
    """More options of trainer.fit for all rows, as steps=100 batch-size=8; those of keypoints go to
    the rows that see some. What a row is (inputs, model, frames) and its seed stay its own.
    batch-size is that of 31 frames; 8 and 16 frames get twice as many clips, 56 two thirds.
    Default: the paper's 3 a GPU, and so 6, 6 and 2."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train and evaluate."""
    plan: bool = False
    """Print the commands that would be run, and run none."""

    def __post_init__(self) -> None:
        require(bool(self.test), "--test NAME=SHARDS is needed: without clips to test on, no table")
        at_least(self, 1, "seeds")
        require_size(self.cache_size)
        wrong = set(self.tables) - {1, 2, 3}
        require(not wrong, f"--tables may be 1, 2 and 3, got {sorted(wrong)}")
        require(
            all(weight > 0 for weight in self.dann_weights),
            f"--dann-weights must be positive, got {self.dann_weights}",
        )
