"""Options of datagen.overlay."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from datagen.common.options import option, require
from datagen.flow.options import FlowName

MADE_HERE = (
    "checkpoint", "refine", "keypoints", "layout", "threshold", "person", "image_size", "flow",
    "flow_weights", "flow_dtype", "raft_iterations",
)  # fmt: skip
"""Options of predictions that are made by the command itself."""


ExportName = Literal["bvh", "trc", "mot", "json"]
"""Written when asked for; .glb and .npz are always."""


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """What to show, and how."""

    inputs: tyro.conf.Positional[list[Path]] = field(default_factory=list)
    """Videos, pictures, folders of videos, folders of pictures (numbered ones of one size are a
    video of 30 frames per second); with --live the number of a camera."""
    predictions: Path | None = None
    """Folder (or one file) written by trainer.predict, instead of predictions made here."""
    shards: Path | None = None
    """Folder of shards that the --predictions were made of."""
    video: Path | None = None
    """The video that the --predictions were made of (default: show the stored crops); without them
    the same as a video given by its name alone."""
    live: bool = False
    """Show a camera as it films, in a browser, until Ctrl-C."""
    checkpoint: Path | None = None
    """Network that predicts. Default: the one that ships with the trainer."""
    refine: bool = False
    """Fit the joints to the keypoints before the body, as trainer.predict --refine does."""
    keypoints: Path | None = None
    """The one video's 2D keypoints, as datagen.ingest takes them. Default: MediaPipe's networks
    find them."""
    layout: str | None = None
    """What the --keypoints are, as datagen.ingest takes it."""
    threshold: float | None = None
    """Confidence above which a keypoint is seen, as datagen.ingest takes it."""
    person: str = "largest"
    """Whom to follow where there are several: largest (box times frames), all, a rank by size from
    0, or X,Y, a pixel of the first frame that shows somebody there."""
    image_size: int | None = None
    """Side of the crop, pixels. Default: as in the shards that the network was trained on."""
    flow: FlowName | str | None = None
    """Estimator of the flow. Default: that of the shards that the network was trained on; none if
    it sees keypoints alone."""
    flow_weights: Path | None = None
    """The estimator's weights, the same as for those shards (refused if not)."""
    flow_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the estimator."""
    raft_iterations: int = 12
    """Refinement steps of RAFT."""
    body: Path | None = None
    """SMPL body model (file or folder; its neutral body is drawn).
    Default: the embedded open body, as it is for training."""
    out: Path = Path("overlay")
    """Folder of the results: film, contact sheet, mesh and motion of each person. What another
    video or another network made there stays."""
    film: bool = True
    """Draw the film and the contact sheet; without, only the mesh and the motion are written."""
    export: list[ExportName] = field(default_factory=list)
    """More files of each motion. bvh: skeleton for Blender (import with scale 0.01), Maya, Unity
    and Unreal; trc, mot: marker places and joint angles for OpenSim, with Pose2Sim's names; json:
    the joints in 2D and 3D. All files have the body on the ground, from the origin on."""
    smooth: float | None = None
    """Low-pass the motion in these files (not in the film) at so many Hz, by a Butterworth filter
    of order 4 without delay; Pose2Sim's is at 6. Default: none."""
    people: int | None = None
    """Show this many predictions at most. Default: all."""
    degrees: float = 60.0
    """The turned view's angle."""
    opacity: float = 0.9
    """Of the body over the picture."""

    def __post_init__(self) -> None:
        require(0 < self.opacity <= 1, f"--opacity must lie in (0, 1], got {self.opacity}")
        require(self.people is None or self.people >= 1, "--people must be at least 1")
        require(
            self.smooth is None or self.smooth > 0, f"--smooth must be positive, got {self.smooth}"
        )
        if self.predictions is None:
            self._check_inputs()
            return
        require(not self.inputs, "--predictions are of a --video; name it so")
        require(not self.live, "--live is for predictions made here; omit --predictions")
        for name in MADE_HERE:
            require(
                getattr(self, name) == getattr(type(self), name),
                f"{option(name)} is for predictions that are made of a --video; omit it, "
                "or --predictions",
            )
        require(
            (self.shards or self.video) is not None,
            "--predictions need the --shards or the --video that they were made of",
        )

    def _check_inputs(self) -> None:
        require(
            bool(self.inputs or self.video) and self.shards is None,
            "give the video to look at, or --predictions and --shards (and --video)",
        )
        require(
            not (self.inputs and self.video),
            "name all videos without --video, or the one with it",
        )
        require(
            not self.live or (len(self.inputs) == 1 and self.keypoints is None),
            "--live shows one camera, by its number, and finds the keypoints itself",
        )
        require(
            self.keypoints is None or len(self.inputs) <= 1,
            f"--keypoints are of one video, not of {len(self.inputs)}",
        )
