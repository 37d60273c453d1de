"""Options of stage 1, people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datagen.common.options import option, require

MotionPlace = Literal["embedded"] | Path
"""Where motions come from: those that ship with the package, or a folder."""

UNITS = {
    "m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254, "yd": 0.9144,
}  # fmt: skip
"""Names of --motion-unit and their lengths in metres."""

RENDERED = ("textures", "shapes", "stride", "max_clip_frames", "depth_mean", "depth_std")
"""Options of rendered people, which the real SURREAL's are not."""


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
    motions: tuple[MotionPlace, ...] = ()
    """Folders of motion capture, searched recursively (AMASS .npz, .bvh, .asf/.amc, DeepMimic
    .txt); the word `embedded` adds the embedded open motions to them. A subjects.csv there (lines
    file,subject) names who performs where file names do not. Default: the embedded ones alone."""
    motions_only: str | None = None
    """Use only the motions whose names this regular expression matches somewhere."""
    motions_without: str | None = None
    """Leave out the motions whose names this regular expression matches somewhere."""
    motion_up: Literal["z", "y", "-y", "x", "-x", "-z"] | None = None
    """The axis of .npz motions that points up (-y: a camera's frame). Default: z, AMASS's, and
    files that seem to have another are refused."""
    motion_unit: str | None = None
    """The unit of .npz motions' trans: m, dm, cm, mm, ft, in, yd, or its length in metres.
    Default: m, AMASS's, and files that seem to have another are refused."""
    motion_rate: float | None = None
    """Frames per second of formats that carry no rate (.amc, SURREAL's smpl_data.npz).
    Default: CMU's 120."""
    surreal: Path | None = None
    """Folder of the real SURREAL (its .mp4, _info.mat, _segm.mat, searched recursively): its
    people instead of rendered ones. Give SMPL's own --body, whose joints its labels are."""
    motion_limit: int | None = None
    """Use at most this many motions, drawn by their names: for a quick look."""
    stride: tuple[int, ...] = (50,)
    """Frames between the starts of a sequence's clips. Several: as many runs over the sequences,
    with other people in each. SURREAL's 67,529 clips are of three runs, 50 30 70."""
    shapes: Literal["normal"] | Path | None = None
    """SURREAL's smpl_data.npz, whose real-scan shapes are drawn from: the first 80 % of them for
    train, the others for val and test, as SURREAL does; or normal: N(0, 1), at most 3.
    Default: those of a smpl_data.npz among --motions if there is a --body, else normal."""
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
    """Smallest and largest angle, degrees, by which the camera looks down on the person, drawn
    uniformly. SURREAL's camera is level; real ones are not."""
    camera_roll: float = 0.0
    """Standard deviation of the camera's tilt to a side, degrees. SURREAL's has none."""
    pose_noise: float = 0.0
    """Degrees (RMS) by which a clip's hips, knees, spine, shoulders and elbows are turned about
    each axis for its whole length: postures that no motion contains. SURREAL has none of it."""

    def __post_init__(self) -> None:
        self._refuse_beside_surreal()
        require(
            self.joint_regressor is None or self.body is not None,
            "--joint-regressor is for SMPL's surface; give --body with it or omit it",
        )
        for name in ("motions_only", "motions_without"):
            pattern = getattr(self, name)
            wrong = _fault(pattern) if pattern is not None else ""
            require(not wrong, f"{option(name)} {pattern!r} is no regular expression: {wrong}")
        require(
            self.motion_unit is None or _is_unit(self.motion_unit),
            f"--motion-unit must be {', '.join(UNITS)} or a number of metres, "
            f"got {self.motion_unit!r}",
        )
        rate = self.motion_rate
        require(
            rate is None or 1 <= rate <= 1000, f"--motion-rate must lie in [1, 1000], got {rate}"
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
            0 <= self.pose_noise <= 60,
            f"--pose-noise must lie in [0, 60] degrees, got {self.pose_noise:g}",
        )
        require(
            len(self.stride) > 0 and min(self.stride) > 0,
            f"--stride must be at least 1, got {self.stride}",
        )
        require(
            self.max_clip_frames >= max(self.stride),
            f"--max-clip-frames must be at least --stride ({max(self.stride)}), "
            f"got {self.max_clip_frames}",
        )
        require(
            not isinstance(self.shapes, Path) or self.body is not None,
            "--shapes are those of SMPL; give --body with them or omit them",
        )
        require(self.focal > 0, f"--focal must be positive, got {self.focal}")

    def _refuse_beside_surreal(self) -> None:
        """Refuse what real SURREAL has fixed."""
        require(
            self.surreal is None or (self.width, self.height, self.focal) == (320, 240, 600),
            "--surreal has pictures of 320x240 and focal length 600; leave --width, --height and "
            f"--focal at that, got {self.width}, {self.height} and {self.focal}",
        )
        require(
            self.surreal is None or not self.motions,
            "--surreal and --motions exclude each other; give one of them",
        )
        given = [
            option(name) for name in RENDERED if getattr(self, name) != getattr(BodiesConfig, name)
        ]
        require(
            self.surreal is None or not given,
            f"--surreal has people as they were rendered; omit {' and '.join(given)}",
        )
        require(
            self.surreal is None or (*self.camera_pitch, self.camera_roll) == (0, 0, 0),
            "--surreal has pictures of a level camera; omit --camera-pitch and --camera-roll",
        )
        require(
            self.surreal is None or self.pose_noise == 0,
            "--surreal has people as they moved; omit --pose-noise",
        )


def _is_unit(unit: str) -> bool:
    """Return whether a word names a unit, or is the length of one in metres."""
    try:
        return unit in UNITS or 1e-6 <= float(unit) <= 1e6
    except ValueError:
        return False


def _fault(pattern: str) -> str:
    """Return what is wrong with a regular expression, "" if nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return ""
