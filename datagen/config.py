"""Every option of the pipeline: one frozen dataclass a stage, its docstrings are `--help`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from datagen.files import place

Split = Literal["train", "val", "test", "all"]
BackendName = Literal["ray", "processes", "serial"]
RAYS_OWN = ("address", "flow_gpus", "flow_actors")  # what the other backends have no use for
_RANGE = re.compile(r"\s*\d{1,6}(-\d{1,6})?\s*")
Folder = Annotated[
    Path,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH|URL",
        instance_from_str=lambda words: place(words[0]),
        is_instance=lambda value: hasattr(value, "joinpath"),
        str_from_instance=lambda path: [str(path)],
    ),
]
"""An option that takes a folder, or the URL of one that fsspec knows."""


def require(ok: bool, rule: str) -> None:
    """Raise ValueError(rule) unless ok: the one way configs refuse a value."""
    if not ok:
        raise ValueError(rule)


def option(name: str) -> str:
    """Return a field's name as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class BodiesConfig:
    """Stage 1: people."""

    body: Path | None = None
    """SMPL body model: an .npz or official .pkl, or a folder with male/female/neutral files.
    Default: the embedded open bodies (CC0 MakeHuman, SMPL's layout)."""
    joint_regressor: Path | None = None
    """Evaluation joints of SMPL's surface: a .npy of H36M's or cocoplus's rows (17 or 19 x 6890).
    Default: the body file's own, else SMPL's kinematic joints."""
    textures: Path | None = None
    """Folder of SURREAL's texture scans, for bodies with SMPL's UVs.
    Default: procedural clothes on skin of every tone."""
    motions: Path | None = None
    """Folder of motion capture, searched recursively (AMASS .npz, .bvh, .asf/.amc, DeepMimic .txt).
    Default: the embedded open motions."""
    surreal: Path | None = None
    """Folder of the real SURREAL (its .mp4, _info.mat, _segm.mat, searched recursively): its
    people instead of rendered ones. Give SMPL's own --body, whose joints its labels are."""
    motion_limit: int | None = None
    """Use this many of the motions at most, drawn by their names: for a quick look."""
    stride: int = 50
    """Frames between the starts of a sequence's clips (SURREAL's first run: 50)."""
    max_clip_frames: int = 100
    """Longest person clip, frames at 30 fps (SURREAL: 100)."""
    width: int = 320
    """Rendered frame width, pixels."""
    height: int = 240
    """Rendered frame height, pixels."""
    focal: float = 600.0
    """Focal length, pixels (SURREAL: 60 mm on a 32 mm sensor at 320 px)."""
    depth_mean: float = 7.0
    """Mean distance of the first frame's pelvis, metres (SURREAL: camDist 8 minus 1)."""
    depth_std: float = 1.0
    """Its standard deviation, metres."""
    camera_pitch: tuple[float, float] = (0.0, 0.0)
    """Least and most degrees by which the camera looks down on the person, drawn uniformly.
    SURREAL's camera is level; real ones are not."""
    camera_roll: float = 0.0
    """Standard deviation of the camera's tilt to a side, degrees. SURREAL's has none."""

    def __post_init__(self) -> None:
        require(
            self.surreal is None or (self.width, self.height, self.focal) == (320, 240, 600),
            "--surreal has pictures of 320x240 and focal length 600; leave --width, --height and "
            f"--focal at that, got {self.width}, {self.height} and {self.focal}",
        )
        require(
            self.surreal is None or self.motions is None,
            "--surreal and --motions exclude each other; give one of them",
        )
        limit = self.motion_limit
        require(limit is None or limit > 0, f"--motion-limit must be at least 1, got {limit}")
        require(
            min(self.width, self.height) >= 16,
            f"--width and --height must be at least 16, got {self.width} and {self.height}",
        )
        require(
            self.depth_mean > 0 <= self.depth_std,
            "--depth-mean must be positive and --depth-std not negative, "
            f"got {self.depth_mean} and {self.depth_std}",
        )
        low, high = self.camera_pitch
        require(
            -80 <= low <= high <= 80 and 0 <= self.camera_roll <= 180,
            "--camera-pitch must be two angles of at most 80 degrees, the smaller first, and "
            f"--camera-roll must lie in [0, 180], got {low:g} {high:g} and {self.camera_roll:g}",
        )
        require(
            self.surreal is None or (low, high, self.camera_roll) == (0, 0, 0),
            "--surreal has pictures of a level camera; leave --camera-pitch and --camera-roll out",
        )
        require(self.stride > 0, f"--stride must be at least 1, got {self.stride}")
        require(
            self.max_clip_frames >= self.stride,
            f"--max-clip-frames must be at least --stride ({self.stride}), "
            f"got {self.max_clip_frames}",
        )
        require(self.focal > 0, f"--focal must be positive, got {self.focal}")


@dataclass(frozen=True, kw_only=True)
class BackgroundsConfig:
    """Stage 2: scenes seen by a moving camera."""

    videos: Path | None = None
    """Folder of real videos (Kinetics), searched recursively.
    Default: embedded open scenes seen by a virtual hand-held camera."""
    videos_csv: Path | None = None
    """Kinetics list (youtube_id, time_start, time_end; further columns are ignored): only its
    clips below --videos are used, files called <youtube_id>_<start>_<end> with six digits a time.
    --split divides them by their YouTube video; the list's own `split` is that of its file."""
    video_limit: int | None = None
    """Use this many of the videos at most, drawn by their names: for a quick look."""
    windows_per_video: int = 4
    """Windows taken from each video at most, evenly spread."""
    segments_min: int = 20
    """Fewest supervoxels asked of SLIC per window (the number is drawn between min and max)."""
    segments_max: int = 60
    """Most supervoxels asked of SLIC per window."""
    slic_scale: int = 4
    """SLIC runs at 1/scale of the frame's width and height."""
    slic_compactness: float = 10.0
    """SLIC's weight of space against colour."""
    slic_time_spacing: float = 0.25
    """Length of one frame step in SLIC's space; < 1 makes segments last through the window."""
    min_inlier_ratio: float = 0.3
    """A frame pair whose RANSAC inlier share is below this rejects its window."""
    min_inliers: int = 20
    """A frame pair with fewer RANSAC inliers than this rejects its window."""
    max_shift: float = 25.0
    """A frame pair that moves more pixels than this is a cut and rejects its window."""
    max_contest: float = 0.5
    """A window is rejected in which another motion than the background's is seen in more than this
    share of the background's area, in half of the frame pairs."""

    def __post_init__(self) -> None:
        require(
            self.videos_csv is None or self.videos is not None,
            "--videos-csv lists clips below a folder; give that folder with --videos",
        )
        limit = self.video_limit
        require(limit is None or limit > 0, f"--video-limit must be at least 1, got {limit}")
        require(
            self.windows_per_video > 0,
            f"--windows-per-video must be at least 1, got {self.windows_per_video}",
        )
        require(
            1 < self.segments_min <= self.segments_max <= 255,
            "--segments-min and --segments-max must satisfy 2 <= min <= max <= 255, "
            f"got {self.segments_min} and {self.segments_max}",
        )
        require(self.slic_scale >= 1, f"--slic-scale must be at least 1, got {self.slic_scale}")
        for name in ("slic_compactness", "slic_time_spacing", "max_shift"):
            value = getattr(self, name)
            require(value > 0, f"{option(name)} must be positive, got {value}")
        require(
            0 <= self.min_inlier_ratio <= 1,
            f"--min-inlier-ratio must lie in [0, 1], got {self.min_inlier_ratio}",
        )


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """Stage 3: a person and a scene become a labelled clip (the paper's Figure 2)."""

    clip_length: int = 31
    """Frames per clip T; T+1 are composed so that every frame has its flow to the next."""
    image_size: int = 224
    """Side of the square crop, pixels."""
    background: Literal["video", "static"] = "video"
    """`static` repeats one frame and drops camera motion (the paper's Table 2)."""
    track_camera: bool = True
    """Offset the person by the estimated camera motion (off in Table 2)."""
    occluders: bool = True
    """Cut the person by a superpixel and hide it totally for a while (off in Table 2)."""
    occluder_sampling: Literal["mixed", "touching", "uniform"] = "mixed"
    """Draw the superpixel among those touching the person, among all, or either with even odds
    (`mixed`). The paper says only "at random"."""
    drop_occluded_keypoints: float = 0.5
    """Chance that a joint behind the occluder counts as unseen. Our guess."""
    total_occlusion: float = 0.3
    """Share of clips with one totally occluded stretch. Our guess for the paper's "some"."""
    total_occlusion_max: int = 10
    """Longest such stretch, frames. Our guess for the paper's "small number"."""
    flag_absent: bool = True
    """Flag frames that show none of the limbs' 12 keypoints (the person has left the picture) as
    totally occluded, as the empty frames of real tracks are at test time. Our choice: the paper
    says nothing of either."""
    person_diagonal: float = 150.0
    """Diagonal of the visible-joint box in the crop, pixels at 224 (HMR's rule)."""
    jitter_translation: float = 20.0
    """Crop shift, uniform ± pixels at 224 (HMMR)."""
    jitter_translation_step: float = 3.0
    """Its steps from frame to frame, uniform ± pixels at 224 before smoothing (HMMR).
    0 holds the clip's first draw."""
    jitter_scale: float = 0.3
    """Crop scale, uniform ± log2 (HMMR)."""
    jitter_scale_step: float = 0.05
    """Its steps from frame to frame, uniform ± log2 before smoothing (HMMR).
    0 holds the clip's first draw."""

    def __post_init__(self) -> None:
        require(self.clip_length >= 2, f"--clip-length must be at least 2, got {self.clip_length}")
        require(self.image_size >= 16, f"--image-size must be at least 16, got {self.image_size}")
        for name in ("drop_occluded_keypoints", "total_occlusion"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{option(name)} must lie in [0, 1], got {value}")
        require(
            self.total_occlusion_max >= 1,
            f"--total-occlusion-max must be at least 1, got {self.total_occlusion_max}",
        )
        require(
            self.person_diagonal > 0,
            f"--person-diagonal must be positive, got {self.person_diagonal}",
        )
        for name in (item.name for item in fields(self) if item.name.startswith("jitter")):
            value = getattr(self, name)
            require(value >= 0, f"{option(name)} must not be negative, got {value}")


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Stage 4: optical flow, frozen."""

    flow: Literal["dis", "flownets", "raft_small", "raft_large"] = "dis"
    """Estimator. `flownets` is the paper's; `raft_small` and `raft_large` are slower and better
    and need --flow-weights; `dis` is OpenCV's."""
    flow_weights: Path | None = None
    """Checkpoint. flownets: flownets_EPE1.951.pth of ClementPinard/FlowNetPytorch or the output
    of `python -m datagen.flow.train` (its width is read from the file), by default the embedded
    narrow one; raft: raft-small.pth, raft-sintel.pth or raft-things.pth of princeton-vl/RAFT."""
    flow_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the networks. `auto` is bfloat16 where the processor or GPU computes it
    natively, else float32: as good on every test of ours, and up to twice as fast."""
    raft_iterations: int = 12
    """Refinement steps of RAFT."""

    def __post_init__(self) -> None:
        sources = {
            "raft_small": "raft-small.pth of princeton-vl/RAFT",
            "raft_large": "raft-sintel.pth or raft-things.pth of princeton-vl/RAFT",
        }
        require(
            self.flow not in sources or self.flow_weights is not None,
            f"--flow {self.flow} needs --flow-weights FILE ({sources.get(self.flow)})",
        )
        require(
            self.flow != "dis" or self.flow_weights is None,
            "--flow dis has no weights; name the network with --flow or leave --flow-weights out",
        )
        require(
            self.raft_iterations >= 1,
            f"--raft-iterations must be at least 1, got {self.raft_iterations}",
        )


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """Stage 5: tar shards."""

    num_shards: int = 8
    """Shards in the data set. Asking for more later adds the missing ones."""
    shards: str | None = None
    """Make exactly these of them, such as 17,40-59. Default: all."""
    clips_per_shard: int = 64
    """Clips in each shard."""
    out: Folder = Path("shards")
    """Folder of the shards, or its URL (s3://bucket/data; needs `pip install s3fs`, gs: gcsfs).
    If it is called `shards`, manifests/ and library/ lie beside it,
    otherwise inside it."""
    library: Folder | None = None
    """Folder of people and scenes to take from and add to, such as another data set's `library`:
    what only the later stages of two data sets tell apart is then made once for both.
    Default: `library`, beside or inside --out."""
    rgb: bool = True
    """Store the frames as one JPEG strip a clip; flow and keypoint training do not need them."""
    split: Split = "train"
    """Which people and videos to use: splits share neither a subject nor a video."""
    seed: int = 0
    """Seed of everything drawn; 0 is a seed like any other."""

    def __post_init__(self) -> None:
        require(self.num_shards >= 1, f"--num-shards must be at least 1, got {self.num_shards}")
        require(
            1 <= self.clips_per_shard <= 10_000,
            f"--clips-per-shard must lie in [1, 10000], got {self.clips_per_shard}",
        )
        require(self.seed >= 0, f"--seed must not be negative, got {self.seed}")
        require(
            self.shards is None or all(map(_RANGE.fullmatch, self.shards.split(","))),
            f"--shards must be numbers and ranges such as 17,40-59, got {self.shards!r}",
        )
        require(bool(self.wanted()), f"--shards names no shard, got {self.shards!r}")

    def wanted(self) -> list[int]:
        """Return the numbers of the shards to make, sorted."""
        if self.shards is None:
            return list(range(self.num_shards))
        ends = (part.partition("-")[::2] for part in self.shards.split(","))
        return sorted(
            {i for first, last in ends for i in range(int(first), int(last or first) + 1)}
        )


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Who does the work; none of this changes a byte of the result."""

    backend: BackendName = "ray"
    """`ray` runs on a local Ray or the cluster; the others need no Ray."""
    address: str | None = None
    """Ray cluster to join (`auto`, ray://…). Default: that of RAY_ADDRESS or of `ray start` on this
    machine, else a local Ray."""
    workers: int | None = None
    """Tasks at a time. Default: every core that Ray (or the machine) has."""
    plan: bool = False
    """Make nothing: measure a few samples of every stage and print what the run would cost, in
    core-hours, GPU-hours, GB and time on these workers."""
    flow_gpus: float | None = None
    """GPUs of a flow actor, whole or a part (0.5: two share one), which all tasks send their clips
    to; on Ray only, the other backends estimate flow on the processor. Default: 1 where the cluster
    has GPUs and --flow is a network, else there are no actors."""
    flow_actors: int | None = None
    """Flow actors. Default: as many as the GPUs allow. On --flow-gpus 0 they use the processor."""
    cache: Path | None = None
    """Folder on every node for copies of the library, if that lies behind a URL; it grows to the
    library's size. Default: one in the system's folder for temporary files."""
    max_bad: float = 0.5
    """Stop when more than this share of videos, motions or shards is bad."""

    def __post_init__(self) -> None:
        require(
            self.workers is None or self.workers >= 1,
            f"--workers must be at least 1, got {self.workers}",
        )
        gpus, actors = self.flow_gpus, self.flow_actors
        require(
            gpus is None or 0 <= gpus < 1 or gpus == int(gpus) >= 1,
            f"--flow-gpus must be a whole number or lie in [0, 1), got {gpus}",
        )
        require(actors is None or actors >= 0, f"--flow-actors must be at least 0, got {actors}")
        given = [option(name) for name in RAYS_OWN if getattr(self, name) is not None]
        require(
            self.backend == "ray" or not given,
            f"--backend {self.backend} takes no {' or '.join(given)}: that is for --backend ray",
        )
        require(0 <= self.max_bad <= 1, f"--max-bad must lie in [0, 1], got {self.max_bad}")

    def on(self, backend: BackendName) -> ClusterConfig:
        """Return the same for another backend: without what only Ray has, or this Ray's address."""
        return replace(self, backend=backend, **dict.fromkeys(RAYS_OWN))


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """Make a data set: people → scenes → clips → flow → tar shards."""

    bodies: BodiesConfig = field(default_factory=BodiesConfig)
    backgrounds: BackgroundsConfig = field(default_factory=BackgroundsConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        frames, longest = self.clips.clip_length + 1, self.bodies.max_clip_frames
        require(
            self.bodies.surreal is not None or frames <= longest,
            f"--clip-length {self.clips.clip_length} needs people's clips of {frames} frames; "
            f"give --max-clip-frames {frames} or more, got {longest}",
        )
        require(
            self.flow.flow != "dis" or not self.cluster.flow_gpus,
            "--flow dis needs no GPU; name a network with --flow or leave --flow-gpus out",
        )

    def arguments(self) -> list[str]:
        """Return the command line that gives this configuration: what differs from the default."""
        return [word for stage in fields(self) for word in arguments(getattr(self, stage.name))]


def arguments(options: Any) -> list[str]:
    """Return the command line that gives a stage's options: what differs from the default."""
    words: list[str] = []
    for name in (item.name for item in fields(options)):
        value = getattr(options, name)
        if value == getattr(type(options)(), name):
            continue
        if isinstance(value, bool):
            words.append(option(name if value else f"no_{name}"))
        else:
            words += [option(name), *map(str, value if isinstance(value, tuple) else (value,))]
    return words
