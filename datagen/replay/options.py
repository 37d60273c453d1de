"""Options of datagen.overlay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datagen.common.options import option, require
from datagen.flow.options import FlowName


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """What to show, and how."""

    predictions: Path | None = None
    """Folder (or one file) written by trainer.predict."""
    shards: Path | None = None
    """Folder of shards that the predictions were made of."""
    video: Path | None = None
    """The video that the shards were made of. Default: show the stored crops."""
    checkpoint: Path | None = None
    """Instead of --predictions and --shards: ingest the video and predict with this checkpoint.
    Default: the network that ships with the trainer."""
    refine: bool = False
    """Without --predictions: fit the joints to the keypoints before the body, as trainer.predict
    --refine does."""
    keypoints: Path | None = None
    """Without --predictions: the video's 2D keypoints, as datagen.ingest takes them.
    Default: MediaPipe finds them."""
    image_size: int | None = None
    """Without --predictions: side of the crop, pixels. Default: as in the shards that the network
    was trained on."""
    flow: FlowName | str | None = None
    """Without --predictions: estimator of the flow. Default: that of the shards that it was trained
    on."""
    flow_weights: Path | None = None
    """Without --predictions: the estimator's weights, the same as for those shards (refused if
    not)."""
    flow_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Without --predictions: precision of the estimator."""
    raft_iterations: int = 12
    """Without --predictions: refinement steps of RAFT."""
    body: Path | None = None
    """SMPL body model (file or folder; its neutral body is drawn).
    Default: the embedded open body, as it is for training."""
    out: Path = Path("overlay")
    """Folder of the results."""
    people: int | None = None
    """Show this many predictions at most. Default: all."""
    degrees: float = 60.0
    """The turned view's angle."""
    opacity: float = 0.9
    """Of the body over the picture."""

    def __post_init__(self) -> None:
        require(0 < self.opacity <= 1, f"--opacity must lie in (0, 1], got {self.opacity}")
        require(self.people is None or self.people >= 1, "--people must be at least 1")
        if self.predictions is None:
            require(
                self.video is not None and self.shards is None,
                "give the --video to look at, or --predictions and --shards (and --video)",
            )
        else:
            for name in ("checkpoint", "refine", "keypoints", "image_size", "flow", "flow_weights",
                         "flow_dtype", "raft_iterations"):  # fmt: skip
                require(
                    getattr(self, name) == getattr(type(self), name),
                    f"{option(name)} is for predictions that are made of a --video; omit it, "
                    "or --predictions",
                )
            require(
                (self.shards or self.video) is not None,
                "--predictions need the --shards or the --video that they were made of",
            )
