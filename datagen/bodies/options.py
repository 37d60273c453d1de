"""Options of stage 1, people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datagen.common.options import option, require

MotionPlace = Literal["embedded"] | Path
"""A source of motions: the embedded ones, or a folder."""

UNITS = {
    "m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254, "yd": 0.9144,
}  # fmt: skip
"""Names of --motion-unit and their lengths in metres."""

RENDERED = ("textures", "shapes", "stride", "max_clip_frames", "depth_mean", "depth_std")
"""Options that apply only to rendered people, not to the real SURREAL's."""


@dataclass(frozen=True, kw_only=True)
class BodiesConfig:
    """Stage 1: people."""

    body: Path | None = None
    """SMPL body model: an .npz or official .pkl, or a folder with male/female/neutral files.
    Default: the embedded open bodies (CC0 MakeHuman, SMPL's layout)."""
    joint_regressor: Path | None = None
    """Regressor of the evaluation joints from SMPL's surface: a .npy with H36M's or cocoplus's rows
    (17 or 19 x 6890). Default: the body file's own, otherwise SMPL's kinematic joints."""
    textures: Path | None = None
    """Folder of SURREAL's texture scans, for bodies with SMPL's UVs.
    Default: procedural clothes on skin of every tone."""
    motions: tuple[MotionPlace, ...] = ()
    """Folders of motion capture, searched recursively (AMASS .npz, .bvh, .asf/.amc, DeepMimic
    .txt); the word `embedded` adds the embedded open motions. A subjects.csv in a folder (lines
    file,subject) names the performers if file names do not. Default: only the embedded ones."""
    motions_only: str | None = None
    """Use only motions whose names contain a match of this regular expression."""
    motions_without: str | None = None
    """Skip motions whose names contain a match of this regular expression."""
    motion_up: Literal["z", "y", "-y", "x", "-x", "-z"] | None = None
    """Axis of .npz motions that points up (-y: a camera's frame). Default: z as in AMASS; files
    that seem to have another axis up are rejected."""
    motion_unit: str | None = None
    """Unit of the trans in .npz motions: m, dm, cm, mm, ft, in, yd, or its length in metres.
    Default: m as in AMASS; files that seem to have another unit are rejected."""
    motion_rate: float | None = None
    """Frames per second of formats that do not store a rate (.amc, SURREAL's smpl_data.npz).
    Default: CMU's 120."""
    surreal: Path | None = None
    """Folder of the real SURREAL (its .mp4, _info.mat, _segm.mat, searched recursively), to use its
    people instead of rendered ones. Give SMPL's own --body, to which its labels refer."""
    motion_limit: int | None = None
    """Use at most this many motions, drawn by name: for a quick test."""
    stride: tuple[int, ...] = (50,)
    """Frames between the starts of a sequence's clips. Several values give several runs over the
    sequences, each with other people. SURREAL's 67,529 clips come from three runs: 50 30 70."""
    shapes: Literal["normal"] | Path | None = None
    """SURREAL's smpl_data.npz, to draw betas from its real scans: the first 80 % for train, the
    others for val and test, as in SURREAL; or normal: N(0, 1), clipped at 3. Default: a
    smpl_data.npz among --motions if --body is given, otherwise normal."""
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
    """Standard deviation of that distance, metres."""
    camera_pitch: tuple[float, float] = (0.0, 0.0)
    """Range of the angle in degrees by which the camera looks down on the person, drawn uniformly.
    SURREAL's camera is level; real cameras are not."""
    camera_roll: float = 0.0
    """Standard deviation of the camera's roll, degrees. SURREAL has none."""
    pose_noise: float = 0.0
    """RMS angle in degrees by which a clip's hips, knees, spine, shoulders and elbows are rotated
    about each axis, constant over the clip, to get poses that no motion contains. SURREAL has
    none."""

    def __post_init__(self) -> None:
        self._refuse_beside_surreal()
        require(
            self.joint_regressor is None or self.body is not None,
            "--joint-regressor is for SMPL's surface; give --body with it or omit it",
        )
        for name in ("motions_only", "motions_without"):
            pattern = getattr(self, name)
            wrong = _fault(pattern) if pattern is not None else ""
            require(not wrong, f"{option(name)} {pattern!r} is not a regular expression: {wrong}")
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
            "--shapes are betas of SMPL; give --body with them or omit them",
        )
        require(self.focal > 0, f"--focal must be positive, got {self.focal}")

    def _refuse_beside_surreal(self) -> None:
        """Reject options that the real SURREAL has already fixed."""
        require(
            self.surreal is None or (self.width, self.height, self.focal) == (320, 240, 600),
            "--surreal has pictures of 320x240 and focal length 600; leave --width, --height and "
            f"--focal at these values, got {self.width}, {self.height} and {self.focal}",
        )
        require(
            self.surreal is None or not self.motions,
            "--surreal and --motions cannot be combined; give one of them",
        )
        given = [
            option(name) for name in RENDERED if getattr(self, name) != getattr(BodiesConfig, name)
        ]
        require(
            self.surreal is None or not given,
            f"--surreal has rendered people already; omit {' and '.join(given)}",
        )
        require(
            self.surreal is None or (*self.camera_pitch, self.camera_roll) == (0, 0, 0),
            "--surreal has pictures from a level camera; omit --camera-pitch and --camera-roll",
        )
        require(
            self.surreal is None or self.pose_noise == 0,
            "--surreal has fixed poses; omit --pose-noise",
        )


def _is_unit(unit: str) -> bool:
    """Return whether a word is the name of a unit or its length in metres."""
    try:
        return unit in UNITS or 1e-6 <= float(unit) <= 1e6
    except ValueError:
        return False


def _fault(pattern: str) -> str:
    """Return the error in a regular expression, "" if it is valid."""
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return ""
