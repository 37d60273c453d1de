"""Options of real footage: common ones, and a dataclass for each kind of source."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from datagen.common.options import require
from datagen.common.record import STRIP_ROWS
from datagen.flow.options import FlowConfig
from datagen.footage.layouts import LAYOUTS, layout_of
from datagen.footage.tracking import place_of

LEAST = 96
"""Frames of a piece that must fit at any crop size: 64 of its neighbours, and 32 of its own."""


@dataclass(frozen=True, kw_only=True)
class FootageConfig:
    """Real footage → shards, with the same crop and flow as the training clips."""

    out: Path = Path("footage")
    """Output folder of the shards. Running the same command again resumes; new inputs are added."""
    flow: FlowConfig = field(default_factory=FlowConfig)
    image_size: int = 224
    """Side of the square crop, pixels; as in the training clips."""
    person_diagonal: float = 150.0
    """Diagonal of the box around the visible joints in the crop, pixels at 224; as in the training
    clips."""
    rgb: bool = True
    """Store the frames as one JPEG strip per record."""
    keypoints_only: Annotated[bool, tyro.conf.Suppress] = False
    """Store neither flow nor pictures; used by datagen.overlay for networks with only keypoint
    input."""
    unlabelled: int | None = None
    """Cut clips of this many frames (31) for trainer.fit --dann-shards, instead of whole tracks."""
    body: Path | None = None
    """SMPL body model: an .npz or official .pkl, or a folder with male/female/neutral files.
    Default: the embedded open bodies."""
    joint_regressor: Path | None = None
    """Regressor of the evaluation joints from SMPL's surface: a .npy with H36M's or cocoplus's rows
    (17 or 19 x 6890). Default: the body file's own, otherwise SMPL's kinematic joints."""
    workers: int = 1
    """Inputs to process in parallel; each takes a core and 200 MB."""
    max_bad: float = 0.5
    """Fail if more than this share of the inputs is bad."""

    def __post_init__(self) -> None:
        require(self.image_size >= 16, f"--image-size must be at least 16, got {self.image_size}")
        require(
            self.person_diagonal > 0,
            f"--person-diagonal must be positive, got {self.person_diagonal}",
        )
        require(
            self.unlabelled is None or self.unlabelled >= 2,
            f"--unlabelled must be at least 2 frames, got {self.unlabelled}",
        )
        frames = self.unlabelled or LEAST
        require(
            not self.rgb or frames * self.image_size <= STRIP_ROWS,
            f"--image-size must be at most {STRIP_ROWS // frames} for {frames} frames in one JPEG, "
            f"got {self.image_size}; or omit the pictures with --no-rgb",
        )
        require(
            self.joint_regressor is None or self.body is not None,
            "--joint-regressor is for SMPL's surface; give --body with it or omit it",
        )
        require(self.workers >= 1, f"--workers must be at least 1, got {self.workers}")
        require(0 <= self.max_bad <= 1, f"--max-bad must lie in [0, 1], got {self.max_bad}")


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """Any videos: one person in each, or all people with --person all."""

    videos: Annotated[
        tyro.conf.Positional[list[Path]], tyro.conf.arg(help_behavior_hint="(required)")
    ]
    """Video files, pictures, or folders of numbered pictures (30 frames per second, or the rate in
    an fps.txt in the folder)."""
    footage: FootageConfig = field(default_factory=FootageConfig)
    keypoints: Annotated[list[Path], tyro.conf.arg(help_behavior_hint="(this or --detector)")] = (
        field(default_factory=list)
    )
    """Keypoints of each video, in the order of the videos: a folder of OpenPose's JSON; an array
    (.npy or .json, [T,K,3] or [T,P,K,3]: x, y, confidence); a .json of AlphaPose, MMPose,
    Ultralytics or COCO results; an .npz of Detectron (as VideoPose3D writes it) or of this program.
    One entry per frame of the video, in stored pixels after applying the rotation flag."""
    layout: str | None = None
    """Order of the keypoints. Default: recognised from the points. coco17, coco12, coco18 (with a
    neck), wholebody133, halpe26, halpe136, openpose18, openpose25, openpose25b, mediapipe33,
    crowdpose14, aic14, mpii16, h36m17, limbs or evaluation (this program's 12 and 14); append -yx
    if y comes first; or your own as my_module:layout (CONTRIBUTING.md)."""
    detector: Literal["none", "mediapipe"] = "none"
    """Detect the keypoints with MediaPipe's pose networks, which come with the program."""
    threshold: float | None = None
    """Confidence above which a keypoint is seen. Default: 0.1 for OpenPose (HMMR's), 0.3 for COCO,
    0.2 for MediaPipe, which gives low confidence to self-occluded joints, although training clips
    show them."""
    person: str = "largest"
    """Which person to use if there are several: largest (box size times frames), all, a rank by
    size from 0, or X,Y: a pixel on the person in the first frame that shows someone there."""
    min_frames: int = 8
    """Skip people seen in fewer frames; for a picture, one frame suffices."""

    def __post_init__(self) -> None:
        require(len(self.videos) > 0, "give at least one video")
        require(
            (self.detector == "none") != (not self.keypoints),
            "give either --keypoints FILE or --detector mediapipe",
        )
        require(
            not self.keypoints or len(self.keypoints) == len(self.videos),
            f"--keypoints must name a file or folder for each of the {len(self.videos)} videos, "
            f"got {len(self.keypoints)}",
        )
        require(
            self.person in ("largest", "all")
            or self.person.isdecimal()
            or place_of(self.person) is not None,
            f"--person must be largest, all, a rank from 0 or X,Y in pixels, got {self.person}",
        )
        require(self.min_frames >= 1, f"--min-frames must be at least 1, got {self.min_frames}")
        require(
            self.threshold is None or self.threshold >= 0,
            f"--threshold must not be negative, got {self.threshold}",
        )
        require(
            self.layout is None or ":" in self.layout or layout_of(self.layout) is not None,
            f"--layout must be one of {', '.join(LAYOUTS)}, with -yx appended if y comes first, "
            f"or module:name, got {self.layout}",
        )


@dataclass(frozen=True, kw_only=True)
class ThreeDPWConfig:
    """A split of 3DPW (requires registration): images, OpenPose's keypoints, SMPL ground truth."""

    root: Path
    """Folder with 3DPW's sequenceFiles/ and imageFiles/."""
    split: Literal["train", "validation", "test"] = "test"
    """Split of the sequences."""
    footage: FootageConfig = field(default_factory=FootageConfig)

    def __post_init__(self) -> None:
        require(
            self.footage.body is not None or self.footage.unlabelled is not None,
            "3DPW's ground truth is SMPL pose: give --body (SMPL, male and female), "
            "or --unlabelled 31 for clips without ground truth",
        )


@dataclass(frozen=True, kw_only=True)
class AspsetConfig:
    """A split of ASPset-510 (CC0): amateur athletes outdoors, with measured 3D joints."""

    root: Path
    """Folder with its splits.csv and the unpacked archives (test/, trainval/)."""
    split: Literal["train", "val", "test"] = "test"
    """Split of the clips; each test clip was filmed by a single camera."""
    keypoints: Path | None = None
    """Folder with a keypoint file for each video, with the video's name (04ac-0026-mid.json).
    Default: detect keypoints with MediaPipe's networks."""
    footage: FootageConfig = field(default_factory=FootageConfig)


@dataclass(frozen=True, kw_only=True)
class Pose2SimConfig:
    """The Pose2Sim demo: four cameras, one real person, measured 3D joints; for evaluation only."""

    embedded: bool = False
    """Use only the 50 bundled frames of one camera; nothing is downloaded."""

    root: Path | None = None
    """Folder with the unpacked wheels pose2sim 0.9.8 and 0.4.0. Default: pip downloads them (52 MB)
    to ~/.cache/motion-hmr/pose2sim."""
    truth: Literal["trc", "refined"] = "trc"
    """Ground truth joints. trc: the published ones, triangulated frame by frame. refined: all views
    adjusted jointly, with constant bone lengths (datagen.footage.multiview)."""
    keypoints: Literal["openpose", "mediapipe"] = "openpose"
    """Input keypoints: the package's OpenPose keypoints, from which the ground truth was made, or
    those of this program's own detector."""
    scene: Literal["single", "multi"] = "single"
    """Which videos. multi: the same recording of the same man, partly occluded by a rendered woman;
    only with --keypoints mediapipe."""
    footage: FootageConfig = field(default_factory=FootageConfig)

    def __post_init__(self) -> None:
        require(
            self.root is None or not self.embedded,
            "--embedded is the bundled clip; omit --root",
        )
        require(
            not self.embedded or (self.keypoints, self.scene) == ("openpose", "single"),
            "--embedded has only OpenPose's keypoints and one scene; omit --keypoints and --scene",
        )
        require(
            self.scene == "single" or self.keypoints == "mediapipe",
            "the package has no keypoints of --scene multi; give --keypoints mediapipe",
        )
