"""The motions and videos of a data set: found, those of its split kept, and limited in number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datagen.backgrounds.sources import VideoSource, absent, find_own_scenes, find_videos
from datagen.bodies.motion.convention import Convention
from datagen.bodies.motion.sources import MotionSource, find_motions, matching
from datagen.bodies.surreal import SurrealSource, find_surreal
from datagen.common.splits import drawn, in_split
from datagen.launcher.config import LaunchConfig


@dataclass(frozen=True)
class Sources:
    """What the libraries of a data set are made from."""

    motions: Sequence[MotionSource | SurrealSource]
    motions_found: int
    """Motions of the split, used or not."""
    videos: Sequence[VideoSource]
    absent: Sequence[str]
    """Clips that --videos-csv lists and that do not exist."""


def find_sources(cfg: LaunchConfig) -> Sources:
    """Find the inputs that the options name, and keep those of the data set's split.

    No subject and no video is in two splits. Raises BadInput if an input does not exist or nothing
    is left.
    """
    motions, found = used_motions(cfg)
    options = cfg.backgrounds
    if options.scenes:
        videos = find_own_scenes(options.scenes)
    else:
        videos = find_videos(options.videos, options.videos_csv)
    lacking = absent(videos, options.videos_csv) if options.videos_csv else []
    groups = in_split((video.group for video in videos), cfg.output.split, "videos")
    videos = [video for video in videos if video.group in groups]
    names = drawn((video.name for video in videos), options.video_limit)
    return Sources(motions, found, [video for video in videos if video.name in names], lacking)


def used_motions(cfg: LaunchConfig) -> tuple[list[Any], int]:
    """Return the motions that the options choose, sorted by name, and how many the split has.

    Which split a subject belongs to depends on all that were found, not on --motions-only and the
    like, so that no choice of motions moves a subject from one split to another.
    """
    bodies = cfg.bodies
    if bodies.surreal:
        found = find_surreal(bodies.surreal)
    else:
        convention = Convention(bodies.motion_up, bodies.motion_unit, bodies.motion_rate)
        found = find_motions(*bodies.motions, convention=convention)
    subjects = in_split((motion.subject for motion in found), cfg.output.split, "subjects")
    found = [motion for motion in found if motion.subject in subjects]
    kept = found
    if bodies.motions_only is not None or bodies.motions_without is not None:
        kept = matching(found, bodies.motions_only, bodies.motions_without)
    names = drawn((motion.name for motion in kept), bodies.motion_limit)
    return [motion for motion in kept if motion.name in names], len(found)
