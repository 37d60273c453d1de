"""Options of the trainer: one frozen dataclass per command, whose docstrings are `--help`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from trainer.errors import BadInput

Inputs = Literal["flow+keypoints", "keypoints", "flow", "rgb", "rgb+keypoints"]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
RELEASE = Path(__file__).parent / "assets" / "motion-joints" / "model.safetensors"
"""The network that ships, the default of predict, evaluate and overlay."""


def require(ok: bool, rule: str) -> None:
    """Raise BadInput(rule) unless ok: the one way configs refuse a value."""
    if not ok:
        raise BadInput(rule)


def flag(name: str, on: bool = True) -> str:
    """Return a field's name as an option of the command line: --batch-size; off: --no-flip."""
    return f"--{'' if on else 'no-'}{name.replace('_', '-')}"


def at_least(config: object, least: int, *names: str) -> None:
    """Raise BadInput if one of these fields is set and less."""
    for name in names:
        value = getattr(config, name)
        rule = f"{flag(name)} must be at least {least}, got {value}"
        require(value is None or value >= least, rule)


class KeypointErrors(NamedTuple):
    """What a poor detector does to keypoints; false if it does nothing."""

    noise: float = 0.0
    drop: float = 0.0
    gaps: float = 0.0

    def __bool__(self) -> bool:
        return any(self)


EXACT = KeypointErrors()
"""Synthetic clips' keypoints as they are."""


def keypoint_errors(config: FitConfig | EvaluateConfig) -> KeypointErrors:
    """Return a config's keypoint errors; BadInput for what cannot be one."""
    at_least(config, 0, "keypoint_noise")
    for name in ("keypoint_drop", "keypoint_gaps"):
        chance = getattr(config, name)
        require(0 <= chance <= 1, f"{flag(name)} must lie in [0, 1], got {chance}")
    return KeypointErrors(config.keypoint_noise, config.keypoint_drop, config.keypoint_gaps)


@dataclass(frozen=True, kw_only=True)
class EndlessConfig:
    """Keypoint clips drawn from motions while training. The paper has none of this."""

    distance: tuple[float, float] = (2.0, 9.0)
    """Least and greatest distance of the camera, metres; drawn uniformly in its logarithm."""
    pitch: tuple[float, float] = (-20.0, 50.0)
    """Least and greatest angle by which the camera looks down, degrees."""
    roll: float = 8.0
    """Standard deviation of the camera's roll, degrees."""
    mirror: bool = True
    """Show half of the clips in a mirror."""
    betas: float = 1.2
    """Standard deviation of the shape parameters."""
    bones: float = 0.06
    """Standard deviation of each bone's length, as a share of it; the trunk's is 1.3 times that."""
    speed: float = 2.0
    """Most that a motion is sped up or slowed down; 1 leaves it alone, as 3 in 10 clips are."""
    upper: float = 0.3
    """Chance that the upper body moves as in another motion."""
    limbs: float = 0.3
    """Chance, for each arm and each leg, that it moves as in another motion."""
    flex: float = 0.3
    """Standard deviation of the share by which knees and elbows bend more or less."""
    turn: float = 12.0
    """Root mean square of the angle by which joints are turned for a whole clip, degrees."""
    tilt: float = 8.0
    """Standard deviation of the tilt of the whole body, degrees."""
    noise: float = 0.012
    """Most standard deviation of a keypoint's jitter, as a share of the person's box diagonal."""
    bias: float = 0.012
    """The same of an error that holds for the clip (1.3 times as much at the hips)."""
    drift: float = 0.01
    """The same of an error that changes slowly."""
    drop: float = 0.06
    """Most chance that a keypoint of a frame is missing."""
    gap: float = 0.3
    """Most chance, halved, that a keypoint is missing for a stretch of the clip."""
    outlier: float = 0.01
    """Chance that a keypoint of a frame lies somewhere else on the person."""
    burst: float = 0.0
    """Chance that a joint is found in a wrong place for a stretch of the clip; wrists twice it."""
    occluder: float = 0.25
    """Chance that a bar hides a part of the person for a stretch of the clip."""
    blackout: float = 0.2
    """Chance that the whole person is hidden for a stretch of the clip (total occlusion)."""
    fixed_levels: bool = False
    """Whether noise, bias and drift have their full size in every clip, not a drawn share of it."""

    def __post_init__(self) -> None:
        near, far = self.distance
        refuse(not 0 < near <= far, "distance", "two lengths above 0, the lesser first", near, far)
        low, high = self.pitch
        refuse(
            not -90 <= low <= high <= 90, "pitch", "two of -90 to 90, the lesser first", low, high
        )
        refuse(not self.speed >= 1, "speed", "at least 1", self.speed)
        for name in SIZES:
            value = getattr(self, name)
            refuse(not 0 <= value < float("inf"), name, "a number of at least 0", value)
        for name in CHANCES:
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, name, "in [0, 1]", value)


SIZES = ("roll", "betas", "bones", "flex", "turn", "tilt", "noise", "bias", "drift")
"""Options that are a spread."""
CHANCES = ("upper", "limbs", "drop", "gap", "outlier", "burst", "occluder", "blackout")
"""Options that are a chance."""


def refuse(wrong: bool, name: str, rule: str, *values: float) -> None:
    """Raise BadInput for an option's values if they are wrong."""
    if wrong:
        given = " ".join(f"{value:g}" for value in values)
        raise BadInput(f"--endless.{name} must be {rule}, got {given}")


VALIDATION = EndlessConfig(
    distance=(2.5, 6.0), pitch=(-5.0, 35.0), roll=5.0, bones=0.04, speed=1.0, upper=0.0, limbs=0.0,
    flex=0.0, turn=0.0, tilt=0.0, noise=0.006, bias=0.006, drift=0.004, drop=0.04, gap=0.15,
    outlier=0.003, occluder=0.0, blackout=0.0, fixed_levels=True,
)  # fmt: skip
"""What a network is validated on: motions as they are, ordinary cameras, an ordinary detector."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Train on a folder of shards. Options left unset are chosen for the machine and printed."""

    HELP_GROUPS: ClassVar = {
        "shards": "data", "model": "model", "steps": "optimiser", "flip": "augmentation",
        "device": "machine",
    }  # fmt: skip
    """Groups of options in --help, by their first options."""

    shards: Path
    """Folder of shards with its dataset.json."""
    out: Path | None = None
    """Run folder: config, metrics, checkpoints; never overwritten. Default: runs/<time>."""
    resume: Path | None = None
    """Go on from this checkpoint exactly (its run's options must be given again; what was chosen
    for its machine is kept)."""
    val_shards: tuple[Path, ...] = ()
    """Held-out data sets for validation during training; of several the mean error counts."""
    val_every: int = 1000
    """Steps between validations."""
    val_clips: int = 64
    """Clips of each validation, the first of its shards."""

    model: Literal["motion-hmr", "lifter"] = "motion-hmr"
    """`lifter` is Martinez et al.'s frame-by-frame baseline: 12 keypoints → 14 joints."""
    inputs: Inputs = "flow+keypoints"
    """What the network sees; the total-occlusion flag is always added."""
    keypoints: Literal["heatmaps", "coordinates"] = "heatmaps"
    """How it sees keypoints: as heatmaps through the CNN (the paper), or as the coordinates of
    their rays; coordinates alone need no CNN, beside flow or RGB they are added to its heatmaps."""
    head: Literal["smpl", "joints"] = "smpl"
    """What it predicts: SMPL's pose, shape and camera by HMR's regressor (the paper), or the joints
    along the keypoints' rays, mostly their depth, to which a body is fitted afterwards."""
    clips: Literal["stored", "endless"] = "stored"
    """Train on the clips of the shards, or on endless keypoint clips that are drawn from the
    shards' motions under virtual cameras (--inputs keypoints); see --endless.* below."""
    endless: EndlessConfig = field(default_factory=EndlessConfig)
    """How endless clips are drawn."""
    init: Path | None = None
    """Start from the weights of this checkpoint, of a network of the same size; what it lacks (a
    CNN) begins afresh."""
    backbone: Literal["small", "resnet18", "resnet34", "resnet50"] | None = None
    """CNN per frame. Default: resnet50 (the paper's) on a GPU, resnet18 on a CPU. `small` is a
    thin ResNet of 10 layers for demonstrations: a fifth of resnet18's work."""
    image_size: int | None = None
    """Side of the network's input, pixels. Default: 224 on a GPU, 112 on a CPU, or the stored
    crops' if that is less."""
    frames: int | None = None
    """Frames of a training clip (a random part of a longer stored one). Default: as stored (31), 16
    for endless clips."""
    spacing: int = 1
    """Stored frames from one frame of a training clip to the next: 2 sees 15 frames a second."""
    lstm_width: int | None = None
    """LSTM units per direction. Default: 1024 on a GPU (HMR's 2048 features), 256 on a CPU, 128 for
    coordinates."""
    lstm_layers: int = 1
    """Layers of the LSTM."""
    residual: bool = False
    """Add the CNN's features to the LSTM's (as VIBE does; the paper does not say): small networks
    learn faster. The LSTM's two directions must then be as wide as the CNN."""
    feedback: bool = False
    """Tell the regressor, each time it refines a pose, how far the joints' reprojection lies from
    the keypoints (as PyMAF feeds its projected mesh back; the paper does not)."""
    rotation: Literal["6d", "axis-angle"] = "6d"
    """How the regressor writes rotations; `axis-angle` is HMR's."""
    initial_pose: Literal["data", "rest"] = "data"
    """Where refinement starts: the mean pose and shape of the first clips, or the rest pose."""
    weights: Path | None = None
    """Start the CNN from a torchvision state dict (ImageNet); of its first layer
    what looks at colour (with RGB among the inputs; flow and heatmaps begin afresh)."""

    steps: int | None = None
    """Optimiser steps. Default: 100000 on a GPU, 2000 on a CPU."""
    batch_size: int | None = None
    """Clips per step and rank. Default: what the GPU's memory holds (at most 48), 4 on a CPU. The
    paper's: 3 a GPU of 31 frames, 6 of 8 or 16, 2 of 56."""
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
    """On convolutions and matrices, not on norms and biases."""
    clip_grad: float = 1.0
    """Largest gradient norm; 0 does not clip."""
    ema: float = 0.999
    """Decay of the averaged weights that are validated and evaluated (the paper says nothing of
    any); 0 keeps none."""

    weight_2d: float = 10.0
    """Weight of the reprojection error. At HMR's 60 a small network stays for a thousand steps
    where it does not know which way people face (keypoints, 400 steps: 95 mm, not 76)."""
    weight_3d: float = 600.0
    """Weight of the aligned 3D error, m² (with HMR's 60 x ½ the other one bends the pose)."""
    weight_betas: float = 1e-3
    """Weight of |betas|², which nothing else holds."""
    weight_rotations: float = 0.01
    """Weight of the joint head's rotations beside its joints; HMR's regressor has no such loss."""

    flip: bool = True
    """Mirror half of the clips."""
    turn: float = 0.0
    """Standard deviation of each clip's in-plane rotation, degrees: cameras that tilt (0: SURREAL's
    is level)."""
    keypoint_noise: float = 0.0
    """Gaussian noise on input keypoints, stored-crop pixels, half of its variance held for a clip
    (0: the paper's are exact)."""
    keypoint_drop: float = 0.0
    """Chance that an input keypoint is dropped."""
    keypoint_gaps: float = 0.0
    """Chance that a limb's input keypoints (elbow and wrist, knee and ankle) are lost for a stretch
    of a clip, as detectors lose what the body hides."""

    dann_shards: Path | None = None
    """Unlabelled shards of real clips: train domain-adversarially against them (RGB + DANN)."""
    dann_weight: float = 0.03
    """Weight of the domain loss (the paper varies it and reports the best)."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    precision: Precision | None = None
    """Default: bf16 where the hardware multiplies it natively, else fp32."""
    compile: bool | None = None
    """Compile the CNN. Default: on a GPU, if a C compiler and Python's headers are there."""
    workers: int | None = None
    """Threads per rank that read and decode ahead; 0 reads in the training's own.
    Default: 1, up to 8 for pictures on a GPU."""
    threads: int | None = None
    """CPU threads. Default: torch's choice."""
    sync_bn: bool = False
    """Batch statistics over all ranks (on GPUs)."""
    shuffle: int = 256
    """Clips that each loader holds back to shuffle."""
    on_damage: Literal["skip", "stop"] = "skip"
    """What a damaged shard does: it is named and skipped, or the run stops."""
    seed: int = 0
    """Seed of weights, order, augmentation and dropout."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl (the first 10 steps are all logged)."""
    save_every: int = 1000
    """Steps between checkpoints; the last step is always saved."""
    tensorboard: bool = False
    """Also write TensorBoard events (needs the tensorboard package)."""

    def __post_init__(self) -> None:
        at_least(self, 1, "frames", "steps", "batch_size", "accumulate", "log_every", "save_every",
                 "val_every", "val_clips", "shuffle", "lstm_width", "lstm_layers",
                 "spacing", "threads")  # fmt: skip
        at_least(self, 32, "image_size")
        at_least(self, 0, "seed", "warmup", "workers", "lr_min", "weight_decay", "clip_grad",
                 "weight_2d", "weight_3d", "weight_betas", "weight_rotations",
                 "turn", "dann_weight")  # fmt: skip
        require(0 <= self.ema < 1, f"--ema must lie in [0, 1), got {self.ema}")
        require(self.lr is None or self.lr > 0, f"--lr must be positive, got {self.lr}")
        require(
            self.lr is None or self.lr_min <= self.lr,
            f"--lr-min {self.lr_min:g} must be at most --lr, got {self.lr}",
        )
        require(
            not keypoint_errors(self) or "keypoints" in self.inputs,
            f"--keypoint-noise, -drop and -gaps change nothing for --inputs {self.inputs}",
        )
        require(
            self.model != "lifter" or self.inputs == "keypoints",
            f"--model lifter lifts keypoints alone; pass --inputs keypoints, not {self.inputs}",
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
            f"--clips endless has keypoints alone; pass --inputs keypoints, not {self.inputs}",
        )
        require(
            self.clips == "stored" or not (self.turn or self.dann_shards or keypoint_errors(self)),
            "--clips endless turns, disturbs and mirrors by --endless.*; leave --turn, "
            "--keypoint-noise, -drop, -gaps and --dann-shards out",
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
            "--weights are those of a CNN, which --model lifter has not",
        )


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """How a checkpoint looks at a folder of shards."""

    checkpoint: Path | None = None
    """A checkpoint of trainer.fit (last.pt or best.pt) or a model.safetensors. Default: the network
    that ships with the trainer (trainer/assets/motion-joints)."""
    shards: Path
    """Folder of shards with its dataset.json."""
    frames: int | None = None
    """Window length. Default: as trained."""
    stride: int | None = None
    """The network's frames between windows; overlapping windows keep their centre parts.
    Default: half a window (the paper does not say)."""
    batch_size: int = 4
    """Windows at a time."""
    max_clips: int | None = None
    """Stop after this many clips. Default: all."""
    raw_weights: bool = False
    """Use the last weights instead of their average (EMA)."""
    mirror: bool = False
    """Let Motion HMR see each window also in a mirror and take the mean, in twice the time (as
    VideoPose3D does; the paper does not)."""
    refine: bool = False
    """Adjust the joint head's joints of each clip to its keypoints, limbs of constant length and
    steady motion, some 5 ms a frame. It helps a weak network more than a strong one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run."""
    on_damage: Literal["skip", "stop"] = "skip"
    """What a damaged shard does: it is named and skipped, or the command stops."""

    def __post_init__(self) -> None:
        at_least(self, 1, "frames", "stride", "batch_size", "max_clips")

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
    pictures: int = 6
    """Clips to draw: predicted beside true skeletons."""
    keypoint_noise: float = 0.0
    """Noise on input keypoints as trainer.fit's, stored-crop pixels: those of synthetic clips are
    exact, a detector's are not."""
    keypoint_drop: float = 0.0
    """Chance that an input keypoint is dropped."""
    keypoint_gaps: float = 0.0
    """Chance that a limb's input keypoints are lost for a stretch of a clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        keypoint_errors(self)


@dataclass(frozen=True, kw_only=True)
class PredictConfig(InferenceConfig):
    """Write what a checkpoint sees in a folder of shards: one .npz a clip or filmed track."""

    out: Path = Path("predictions")
    """Folder of the predictions, of one checkpoint on one data set."""


@dataclass(frozen=True, kw_only=True)
class TablesConfig:
    """Make the paper's tables from data sets that lie ready."""

    data: tuple[str, ...] = ()
    """Training sets as NAME=FOLDER, named as Table 2's rows: full, no-occluders, no-tracking,
    static. The first serves Tables 1 and 3 too, whose longest clips have 56 frames."""
    test: tuple[str, ...] = ()
    """Evaluation sets as NAME=FOLDER; `3dpw` is the paper's. All rows are evaluated on all."""
    real: Path | None = None
    """Unlabelled shards of real clips, for the row RGB + DANN."""
    out: Path = Path("tables")
    """Folder of the runs and the report."""
    tables: tuple[int, ...] = (1, 2, 3)
    """Which of the paper's tables."""
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
    the rows that see some. What a row is (inputs, model, frames) and its seed stay its own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train and evaluate."""
    plan: bool = False
    """Print the commands that would be run, and run none."""

    def __post_init__(self) -> None:
        require(bool(self.test), "--test NAME=FOLDER is needed: without clips to test on, no table")
        at_least(self, 1, "seeds")
        wrong = set(self.tables) - {1, 2, 3}
        require(not wrong, f"--tables may be 1, 2 and 3, got {sorted(wrong)}")
        require(
            all(weight > 0 for weight in self.dann_weights),
            f"--dann-weights must be positive, got {self.dann_weights}",
        )
