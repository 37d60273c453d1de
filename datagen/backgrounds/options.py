"""Options of stage 2, scenes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datagen.common.options import option, require

TIME_SPACING = 0.25
"""Length of one frame step in SLIC's space; < 1 lets segments span the whole window."""


@dataclass(frozen=True, kw_only=True)
class BackgroundsConfig:
    """Stage 2: scenes seen by a moving camera."""

    videos: Path | None = None
    """Folder of real videos (Kinetics), searched recursively.
    Default: embedded open scenes seen by a virtual hand-held camera."""
    scenes: str | None = None
    """Scenes from your own code instead, as my_module:factory (CONTRIBUTING.md)."""
    videos_csv: Path | None = None
    """Kinetics list (youtube_id, time_start, time_end; further columns are ignored). Only its clips
    below --videos are used: files named <youtube_id>_<start>_<end> with six digits per time.
    --split divides them by YouTube video; the list's own `split` column is ignored."""
    video_limit: int | None = None
    """Use at most this many videos, drawn by name: for a quick test."""
    video_rate: Literal["30", "stored"] = "30"
    """Frames per second of --videos: about 30 like the people (from 60 fps, every second frame is
    used; slower videos keep their rate), or as stored. The paper does not specify it."""
    windows_per_video: int = 4
    """Most windows from each video, evenly spaced."""
    segments_min: int = 20
    """Fewest supervoxels requested from SLIC per window (the number is drawn between min and
    max)."""
    segments_max: int = 60
    """Most supervoxels requested from SLIC per window."""
    slic_scale: int = 4
    """SLIC runs at 1/scale of the frame's width and height."""
    slic_compactness: float = 10.0
    """SLIC's weight of spatial distance relative to colour distance."""
    min_inlier_ratio: float = 0.3
    """Reject a window if a frame pair has a lower share of RANSAC inliers."""
    min_inliers: int = 20
    """Reject a window if a frame pair has fewer RANSAC inliers."""
    max_shift: float = 25.0
    """Reject a window if a frame pair has a larger shift in pixels, which indicates a cut."""
    max_contest: float = 0.5
    """Reject a window if, in half of the frame pairs, a second motion covers more than this share
    of the background's area, so that either may be the background."""

    def __post_init__(self) -> None:
        require(
            self.videos_csv is None or self.videos is not None,
            "--videos-csv lists clips below a folder; give that folder with --videos",
        )
        require(
            self.videos is not None or self.video_rate == "30",
            "--video-rate is for real videos; give --videos with it or omit it",
        )
        require(
            self.scenes is None or self.videos is None,
            "--scenes and --videos cannot be combined; omit one of them",
        )
        require(
            self.scenes is None or ":" in self.scenes,
            f"--scenes must be module:factory, got {self.scenes}",
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
        for name in ("slic_compactness", "max_shift"):
            value = getattr(self, name)
            require(value > 0, f"{option(name)} must be positive, got {value}")
        for name in ("min_inlier_ratio", "max_contest"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{option(name)} must lie in [0, 1], got {value}")
        require(self.min_inliers >= 0, f"--min-inliers must be at least 0, got {self.min_inliers}")
