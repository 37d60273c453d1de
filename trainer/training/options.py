"""Options of trainer.fit; the fields' docstrings are its --help."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from trainer.common.options import at_least, require
from trainer.data.endless.options import EndlessConfig
from trainer.data.options import keypoint_errors, require_size
from trainer.training.tracking import Service, require_package

Inputs = Literal["flow+keypoints", "keypoints", "flow", "rgb", "rgb+keypoints"]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Train on a folder of shards. Options left unset are chosen for the machine and printed."""

    HELP_GROUPS: ClassVar = {
        "shards": "data", "model": "model", "steps": "optimiser", "flip": "augmentation",
        "device": "machine",
    }  # fmt: skip
    """Groups of options in --help, each by its first option."""

    shards: tuple[str, ...]
    """Folder of shards with its dataset.json, or its URL (s3, gs, hf, https, file, whatever fsspec
    knows), a brace pattern such as 'shards/shard-{000000..004999}.tar', a single tar, or
    webdataset's `pipe:` command. Several are mixed; of DIR::0.3 an epoch
    reads three tenths."""
    out: Path | None = None
    """Run folder: config, metrics, checkpoints; never overwritten. Default: runs/<time>."""
    resume: Path | None = None
    """Continue exactly from this checkpoint (give its run's options again; values that were chosen
    for its machine are kept)."""
    cache: Path | None = None
    """Folder in which shards of URLs are cached for all processes of this machine. Default: none;
    they are streamed again in every epoch."""
    cache_size: str = "200GB"
    """Largest size of the cache; the least recently read shards are removed first."""
    val_shards: tuple[str, ...] = ()
    """Held-out data sets, named as --shards, for validation during training; with several, their
    mean error counts."""
    val_every: int = 1000
    """Steps between validations."""
    val_clips: int = 64
    """Clips of each validation, the first of its shards."""

    model: Literal["motion-hmr", "lifter"] = "motion-hmr"
    """`lifter` is Martinez et al.'s frame-by-frame baseline: 12 keypoints → 14 joints."""
    inputs: Inputs = "flow+keypoints"
    """Inputs of the network; the total-occlusion flag is always added."""
    keypoints: Literal["heatmaps", "coordinates"] = "heatmaps"
    """How keypoints are given to the network: as heatmaps through the CNN (the paper), or as the
    coordinates of their rays. Coordinates alone need no CNN; with flow or RGB they are added to its
    heatmaps."""
    head: Literal["smpl", "joints"] = "smpl"
    """What the network predicts: SMPL's pose, shape and camera by HMR's regressor (the paper), or
    the joints along the keypoints' rays (mostly their depth), to which a body is fitted
    afterwards."""
    clips: Literal["stored", "endless"] = "stored"
    """Train on the clips of the shards, or on endless keypoint clips drawn from the shards' motions
    and seen by virtual cameras (--inputs keypoints); see --endless.* below."""
    endless: EndlessConfig = field(default_factory=EndlessConfig)
    """How endless clips are drawn."""
    init: Path | None = None
    """Start from the weights of this checkpoint, of a network of the same size; layers that are
    missing in it (such as a CNN) start from random weights."""
    keep_init: bool = False
    """Freeze the weights of --init and train only the other layers."""
    backbone: Literal["small", "maps", "resnet18", "resnet34", "resnet50"] | None = None
    """CNN per frame. Default: resnet50 (the paper's) on a GPU, resnet18 on a CPU. `small` is a
    thin ResNet of 10 layers for demonstrations, with a fifth of resnet18's computation. `maps` is
    `small` with feature maps of twice the side, which keep positions; it computes three times as
    much."""
    image_size: int | None = None
    """Side of the network's input, pixels. Default: 224 on a GPU, 112 on a CPU, but at most the
    stored crops' side."""
    frames: int | None = None
    """Frames of a training clip (a random part of a longer stored clip). Default: as stored (31),
    16 for endless clips."""
    spacing: int = 1
    """Stored frames from one frame of a training clip to the next; 2 gives 15 frames per second."""
    lstm_width: int | None = None
    """LSTM units per direction. Default: 1024 on a GPU (HMR's 2048 features), 256 on a CPU, 128 for
    coordinates."""
    lstm_layers: int = 1
    """Layers of the LSTM."""
    residual: bool = False
    """Add the CNN's features to the LSTM's (as VIBE does; the paper does not say). Small networks
    then learn faster. The LSTM's two directions together must be as wide as the CNN's features."""
    feedback: bool = False
    """At each refinement, give the regressor the distance from the joints' reprojection to the
    keypoints (as PyMAF feeds its projected mesh back; the paper does not)."""
    rotation: Literal["6d", "axis-angle"] = "6d"
    """The regressor's representation of rotations; `axis-angle` is HMR's."""
    initial_pose: Literal["data", "rest"] = "data"
    """Where refinement starts: the mean pose and shape of the first clips, or the rest pose."""
    weights: Path | None = None
    """Start the CNN from a torchvision state dict (ImageNet). Its first layer is used only for RGB
    inputs; the filters for flow and heatmaps start random."""

    steps: int | None = None
    """Optimiser steps. Default: 100000 on a GPU, 2000 on a CPU."""
    batch_size: int | None = None
    """Clips per step and rank. Default: as many as the GPU's memory holds (at most 48), 4 on a
    CPU. The paper's, per GPU: 3 of 31 frames, 6 of 8 or 16, 2 of 56."""
    accumulate: int = 1
    """Batches whose gradients are summed into one step."""
    lr: float | None = None
    """Peak learning rate. Default: 1e-4 for resnet50, 5e-4 for resnet18 and -34, 1e-3 for
    `small` and the lifter."""
    lr_min: float = 1e-6
    """Learning rate at the end of the cosine."""
    warmup: int | None = None
    """Steps of linear warm-up. Default: 2000, or a twentieth of the run if that is less."""
    weight_decay: float = 1e-4
    """Weight decay of convolutions and matrices; norms and biases have none."""
    clip_grad: float = 1.0
    """Gradient norm above which gradients are clipped; 0 turns clipping off."""
    ema: float = 0.999
    """Decay of the exponential moving average of the weights, which is validated and evaluated (the
    paper does not mention one); 0 turns it off."""

    weight_2d: float = 10.0
    """Weight of the reprojection error. At HMR's 60, a small network does not learn for
    a thousand steps which way people face (keypoints, 400 steps: 95 mm instead of 76)."""
    weight_3d: float = 600.0
    """Weight of the aligned 3D error, m² (at HMR's 60 x ½, the reprojection distorts the pose)."""
    weight_betas: float = 1e-3
    """Weight of |betas|², the only term that bounds the shape."""
    weight_rotations: float = 0.01
    """Weight of the joint head's loss on rotations; HMR's regressor has no such loss."""

    flip: bool = True
    """Mirror half of the clips."""
    turn: float = 0.0
    """Standard deviation of each clip's in-plane rotation, degrees, for cameras that roll (0:
    SURREAL's is level)."""
    keypoint_noise: float = 0.0
    """Standard deviation of Gaussian noise on input keypoints, pixels of the stored crop; half of
    the variance is constant over a clip (0: the paper's keypoints are exact)."""
    keypoint_drop: float = 0.0
    """Chance that an input keypoint is dropped."""
    keypoint_gaps: float = 0.0
    """Chance that a limb's input keypoints (elbow and wrist, knee and ankle) are missing for a
    stretch of a clip, as detectors miss what the body hides."""

    dann_shards: str | None = None
    """Unlabelled shards of real clips: train domain-adversarially against them (RGB + DANN)."""
    dann_weight: float = 0.03
    """Weight of the domain loss (the paper varies it and reports the best)."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to train on."""
    precision: Precision | None = None
    """Precision of the network's layers. Default: bf16 if the hardware supports it natively, else
    fp32."""
    compile: bool | None = None
    """Compile the CNN. Default: on a GPU, if a C compiler and Python's headers are installed."""
    workers: int | None = None
    """Threads per rank that read and decode ahead; 0 reads in the training thread.
    Default: 1; for pictures on a GPU up to 8."""
    threads: int | None = None
    """CPU threads. Default: torch's choice."""
    sync_bn: bool = False
    """Synchronise batch statistics over all ranks (on GPUs)."""
    shuffle: int = 256
    """Clips that each loader holds back to shuffle."""
    on_damage: Literal["skip", "stop"] = "skip"
    """What happens on a damaged shard: it is named and skipped, or the run stops."""
    seed: int = 0
    """Seed of weights, order, augmentation and dropout."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl (the first 10 steps are all logged)."""
    save_every: int = 1000
    """Steps between checkpoints; the last step is always saved."""
    tracking: Service = "none"
    """Where figures go in addition to metrics.jsonl: TensorBoard's events in the run's folder,
    Weights & Biases or MLflow (each by its own environment variables)."""

    def __post_init__(self) -> None:
        for name in ("shards", "val_shards"):  # callers may pass one, and paths
            named = getattr(self, name)
            named = (named,) if isinstance(named, str | Path) else named
            object.__setattr__(self, name, tuple(map(str, named)))
        require_size(self.cache_size)
        at_least(self, 1, "frames", "steps", "batch_size", "accumulate", "log_every", "save_every",
                 "val_every", "val_clips", "shuffle", "lstm_width", "lstm_layers",
                 "spacing", "threads")  # fmt: skip
        at_least(self, 32, "image_size")
        at_least(self, 0, "seed", "warmup", "workers", "lr_min", "weight_decay", "clip_grad",
                 "weight_2d", "weight_3d", "weight_betas", "weight_rotations",
                 "turn", "dann_weight")  # fmt: skip
        require(
            not self.keep_init or self.init is not None,
            "--keep-init keeps the weights of --init; pass one",
        )
        require(0 <= self.ema < 1, f"--ema must lie in [0, 1), got {self.ema}")
        require(self.lr is None or self.lr > 0, f"--lr must be positive, got {self.lr}")
        require(
            self.lr is None or self.lr_min <= self.lr,
            f"--lr-min {self.lr_min:g} must be at most --lr, got {self.lr}",
        )
        require_package(self.tracking)
        self._refuse_combinations()

    def _refuse_combinations(self) -> None:
        """Refuse options that have no effect with the chosen network, inputs or clips."""
        require(
            not keypoint_errors(self) or "keypoints" in self.inputs,
            f"--keypoint-noise, -drop and -gaps have no effect with --inputs {self.inputs}",
        )
        require(
            self.model != "lifter" or self.inputs == "keypoints",
            f"--model lifter uses only keypoints; pass --inputs keypoints, not {self.inputs}",
        )
        require(
            not self.feedback or (self.model != "lifter" and "keypoints" in self.inputs),
            "--feedback needs keypoints among the --inputs of --model motion-hmr",
        )
        require(
            (self.head == "smpl" and self.keypoints == "heatmaps" and self.clips == "stored")
            or (self.model != "lifter" and "keypoints" in self.inputs),
            "--head joints, --keypoints coordinates and --clips endless need keypoints among the "
            "--inputs of --model motion-hmr",
        )
        require(
            not self.feedback or (self.head == "smpl" and self.keypoints == "heatmaps"),
            "--feedback is for --head smpl with --keypoints heatmaps",
        )
        require(
            self.clips == "stored" or self.inputs == "keypoints",
            f"--clips endless provides keypoints only; pass --inputs keypoints, not {self.inputs}",
        )
        require(
            self.clips == "stored" or not (self.turn or self.dann_shards or keypoint_errors(self)),
            "--clips endless rotates, mirrors and adds noise by --endless.*; omit --turn, "
            "--keypoint-noise, -drop, -gaps and --dann-shards",
        )
        require(
            self.head == "smpl" or self.dann_shards is None,
            "--dann-shards is for --head smpl",
        )
        require(
            self.model != "lifter" or self.dann_shards is None,
            "--dann-shards needs the features of --model motion-hmr",
        )
        require(
            self.model != "lifter" or self.weights is None,
            "--weights sets the weights of a CNN, which --model lifter does not have",
        )
