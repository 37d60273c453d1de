"""Options of datagen.overlay."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from datagen.common.options import option, require
from datagen.flow.options import FlowName

MADE_HERE = (
    "checkpoint", "refine", "keypoints", "layout", "threshold", "person", "min_frames",
    "image_size", "flow", "flow_weights", "flow_dtype", "raft_iterations",
)  # fmt: skip
"""Options that apply only to predictions made by this command."""


ExportName = Literal["bvh", "trc", "mot", "json"]
"""Kinds of files written on request; .glb and .npz are always written."""


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """What to show, and how."""

    inputs: tyro.conf.Positional[list[Path]] = field(default_factory=list)
    """Videos, pictures, or folders of them (numbered pictures of one size are read as a video at 30
    frames per second); with --live, the number of a camera."""
    predictions: Path | None = None
    """Folder or file written by trainer.predict, instead of predictions made here."""
    shards: Path | None = None
    """Folder of the shards from which the --predictions were made."""
    video: Path | None = None
    """The video from which the --predictions were made (default: show the stored crops). Without
    --predictions, the same as giving the video as input."""
    live: bool = False
    """Show a camera's live picture in a browser until Ctrl-C."""
    checkpoint: Path | None = None
    """Checkpoint of the network. Default: the one bundled with the trainer."""
    refine: bool = False
    """Fit the joints to the keypoints before fitting the body, as trainer.predict --refine does."""
    keypoints: Path | None = None
    """2D keypoints of a single video, as for datagen.ingest. Default: detect them with MediaPipe's
    networks."""
    layout: str | None = None
    """Layout of the --keypoints, as for datagen.ingest."""
    threshold: float | None = None
    """Confidence above which a keypoint is seen, as for datagen.ingest."""
    person: str = "largest"
    """Which person to use if there are several: largest (box size times frames), all, a rank by
    size from 0, or X,Y: a pixel on the person in the first frame that shows someone there. With
    all, each person gets a film and other files, of the largest clip_0.mp4; a rank or a pixel is
    added to the names too."""
    min_frames: int = 8
    """Skip people seen in fewer frames, as datagen.ingest does."""
    image_size: int | None = None
    """Side of the crop, pixels. Default: that of the network's training shards."""
    flow: FlowName | str | None = None
    """Flow estimator. Default: that of the network's training shards; none for a network with only
    keypoint input."""
    flow_weights: Path | None = None
    """The estimator's weights; must be the same as for the training shards."""
    flow_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the estimator."""
    raft_iterations: int = 12
    """Refinement steps of RAFT."""
    body: Path | None = None
    """SMPL body model (file or folder; its neutral body is drawn). Default: the embedded open body,
    as for training."""
    out: Path = Path("overlay")
    """Output folder: film, contact sheet, mesh and motion of each person. Results of other videos
    or networks in it are kept."""
    film: bool = True
    """Draw the film and the contact sheet; otherwise, only the mesh and the motion are written."""
    export: list[ExportName] = field(default_factory=list)
    """Additional files for each motion. bvh: skeleton for Blender (import with scale 0.01), Maya,
    Unity and Unreal; trc, mot: marker positions and joint angles for OpenSim, with Pose2Sim's
    names; json: joints in 2D and 3D. In all files, the body is on the ground and starts at the
    origin."""
    smooth: float | None = None
    """Cut-off frequency in Hz of a zero-lag Butterworth low-pass filter of order 4 for the motion
    in all files but the film and the contact sheet; Pose2Sim uses 6. Default: no filter."""
    people: int | None = None
    """Show at most this many predictions. Default: all."""
    degrees: float = 60.0
    """Angle of the rotated view."""
    opacity: float = 0.9
    """Opacity of the body over the picture."""

    def __post_init__(self) -> None:
        require(0 < self.opacity <= 1, f"--opacity must lie in (0, 1], got {self.opacity}")
        require(self.people is None or self.people >= 1, "--people must be at least 1")
        require(
            self.smooth is None or self.smooth > 0, f"--smooth must be positive, got {self.smooth}"
        )
        if self.predictions is None:
            self._check_inputs()
            return
        require(not self.inputs, "with --predictions, give the video with --video")
        require(not self.live, "--live makes its own predictions; omit --predictions")
        for name in MADE_HERE:
            require(
                getattr(self, name) == getattr(type(self), name),
                f"{option(name)} applies only to predictions made by this command; omit it or "
                "--predictions",
            )
        require(
            (self.shards or self.video) is not None,
            "--predictions need the --shards or the --video from which they were made",
        )

    def _check_inputs(self) -> None:
        require(
            bool(self.inputs or self.video) and self.shards is None,
            "give a video, or --predictions and --shards (and --video)",
        )
        require(
            not (self.inputs and self.video),
            "give the videos without --video, or a single one with it",
        )
        require(
            not self.live or (len(self.inputs) == 1 and self.keypoints is None),
            "--live takes the number of one camera and detects the keypoints itself",
        )
        require(
            self.keypoints is None or len(self.inputs) <= 1,
            f"--keypoints belong to one video, got {len(self.inputs)}",
        )
