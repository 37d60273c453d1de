"""Options of trainer.evaluate and trainer.predict; the fields' docstrings are their --help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.common.options import at_least
from trainer.data.options import keypoint_errors, require_size

RELEASE = Path(__file__).parents[1] / "assets" / "motion-joints" / "model.safetensors"
"""The network that ships, the default of predict, evaluate and overlay."""


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """How a checkpoint is run on a folder of shards."""

    checkpoint: Path | None = None
    """A checkpoint of trainer.fit (last.pt or best.pt) or a model.safetensors. Default: the network
    that ships with the trainer (trainer/assets/motion-joints)."""
    shards: str
    """Folder of shards with its dataset.json, or its URL, a brace pattern, a single tar or a
    `pipe:` command, as trainer.fit takes them."""
    cache: Path | None = None
    """Folder in which shards of URLs are cached for all processes. Default: none."""
    cache_size: str = "200GB"
    """Largest size of the cache; the least recently read shards are removed first."""
    frames: int | None = None
    """Window length, frames. Default: as trained."""
    stride: int | None = None
    """Frames (of the network) from window to window; overlapping windows keep their centre parts.
    Default: half a window (the paper does not say)."""
    batch_size: int = 4
    """Windows per batch."""
    max_clips: int | None = None
    """Stop after this many clips. Default: all."""
    raw_weights: bool = False
    """Use the last weights instead of their exponential moving average (EMA)."""
    mirror: bool = False
    """Average each window's prediction with that of its mirror image, in twice the time (as
    VideoPose3D does; the paper does not)."""
    refine: bool = False
    """Refine the joint head's joints of each clip so that they agree with the keypoints, limbs keep
    their length and motion is smooth; about 5 ms per frame. It helps a weak network more than a
    strong one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to run on."""
    on_damage: Literal["skip", "stop"] = "skip"
    """What happens on a damaged shard: it is named and skipped, or the command stops."""

    def __post_init__(self) -> None:
        at_least(self, 1, "frames", "stride", "batch_size", "max_clips")
        require_size(self.cache_size)

    @property
    def network(self) -> Path:
        """The checkpoint's file."""
        return self.checkpoint or RELEASE


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(InferenceConfig):
    """Measure a checkpoint on a folder of shards."""

    out: Path | None = None
    """Folder for evaluation.json and the pictures. Default: one for this data set in the
    checkpoint's folder, evaluation/<data set>/, with `-best` added for best.pt."""
    body: bool = False
    """Measure the body that trainer.predict fits to the joint head's joints, one shape per clip,
    instead of the joints themselves; about 5 ms per frame."""
    pictures: int = 6
    """Number of clips to draw, with predicted beside true skeletons."""
    keypoint_noise: float = 0.0
    """Noise on input keypoints as in trainer.fit, pixels of the stored crop: synthetic keypoints
    are exact, a detector's are not."""
    keypoint_drop: float = 0.0
    """Chance that an input keypoint is dropped."""
    keypoint_gaps: float = 0.0
    """Chance that a limb's input keypoints are missing for a stretch of a clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        keypoint_errors(self)


@dataclass(frozen=True, kw_only=True)
class PredictConfig(InferenceConfig):
    """Write a checkpoint's predictions for shards: one .npz per clip or filmed track."""

    out: Path = Path("predictions")
    """Folder of the predictions; one checkpoint and one data set per folder."""
