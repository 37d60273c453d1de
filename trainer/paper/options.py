"""Options of trainer.tables; the fields' docstrings are its --help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.common.options import at_least, require
from trainer.data.options import require_size


@dataclass(frozen=True, kw_only=True)
class TablesConfig:
    """Make the paper's tables from existing data sets."""

    data: tuple[str, ...] = ()
    """Training sets as NAME=SHARDS, named as Table 2's rows: full, no-occluders, no-tracking,
    static. SHARDS is what trainer.fit takes: a folder, a URL, a brace pattern, a tar. The first
    is also used for Tables 1 and 3, whose longest clips have 56 frames."""
    test: tuple[str, ...] = ()
    """Evaluation sets as NAME=SHARDS; `3dpw` is the paper's. Every row is evaluated on
    all of them."""
    real: str | None = None
    """Unlabelled shards of real clips, for the row RGB + DANN."""
    cache: Path | None = None
    """Folder in which shards of URLs are cached for all commands. Default: none."""
    cache_size: str = "200GB"
    """Largest size of the cache; the least recently read shards are removed first."""
    out: Path = Path("tables")
    """Folder of the runs and the report."""
    tables: tuple[int, ...] = (1, 2, 3)
    """Which of the paper's tables."""
    own_tables: tuple[str, ...] = ()
    """Your own additional tables, each as my_module:factory (CONTRIBUTING.md)."""
    seeds: int = 1
    """Number of seeds (0, 1, …) per row; the paper's rows may differ by less than seeds do."""
    dann_weights: tuple[float, ...] = ()
    """Weights of the domain loss, with one training each. Default: 0.003 to 0.3; two of them with
    --small."""
    small: bool = False
    """Train a small network: all rows take about 70 minutes on two CPU cores. Default: the
    trainer's own settings, the paper's network on a GPU."""
    options: tuple[str, ...] = ()
    """More options of trainer.fit for all rows, such as steps=100 batch-size=8; keypoint options
    only apply to rows with keypoints. The options that define a row (inputs, model, frames) and its
    seed cannot be changed. batch-size is for 31 frames; rows of 8 and 16 frames get twice as many
    clips, those of 56 two thirds. Default: the paper's 3 per GPU, and so 6, 6 and 2."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to train and evaluate on."""
    plan: bool = False
    """Only print the commands that would be run."""

    def __post_init__(self) -> None:
        require(bool(self.test), "--test NAME=SHARDS must name the clips to evaluate on")
        at_least(self, 1, "seeds")
        require_size(self.cache_size)
        wrong = set(self.tables) - {1, 2, 3}
        require(not wrong, f"--tables may be 1, 2 and 3, got {sorted(wrong)}")
        require(
            all(weight > 0 for weight in self.dann_weights),
            f"--dann-weights must be positive, got {self.dann_weights}",
        )
