"""Finds the motions and videos of a data set, keeps those of its split and limits their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datagen.backgrounds.sources import VideoSource, absent, find_own_scenes, find_videos
from datagen.backgrounds.sources import skipped_note as skipped_videos
from datagen.bodies.motion.convention import Convention
from datagen.bodies.motion.sources import MotionSource, find_motions, matching
from datagen.bodies.motion.sources import skipped_notes as skipped_motions
from datagen.bodies.surreal import SurrealSource, find_surreal
from datagen.common.splits import drawn, in_split
from datagen.launcher.config import LaunchConfig


@dataclass(frozen=True)
class Sources:
    """Inputs of a data set's libraries."""

    motions: Sequence[MotionSource | SurrealSource]
    all_motions: Sequence[MotionSource | SurrealSource]
    """Including those of the other splits."""
    motions_found: int
    """Motions of the split, used or not."""
    videos: Sequence[VideoSource]
    all_videos: Sequence[VideoSource]
    absent: Sequence[str]
    """Clips listed in --videos-csv that do not exist."""


def find_sources(cfg: LaunchConfig) -> Sources:
    """Find the inputs named by the options, and keep those of the data set's split.

    No subject or video is in two splits. With --labels-only, no videos are used. Raises BadInput
    if an input does not exist or nothing is left.
    """
    found = _all_motions(cfg)
    of_split = _of_split(found, cfg)
    motions = _chosen(of_split, cfg)
    if cfg.output.labels_only:
        return Sources(motions, found, len(of_split), [], [], [])
    options = cfg.backgrounds
    if options.scenes:
        all_videos = videos = find_own_scenes(options.scenes)
    else:
        all_videos = videos = find_videos(options.videos, options.videos_csv)
    lacking = absent(videos, options.videos_csv) if options.videos_csv else []
    groups = in_split((video.group for video in videos), cfg.output.split, "videos")
    videos = [video for video in videos if video.group in groups]
    names = drawn((video.name for video in videos), options.video_limit)
    videos = [video for video in videos if video.name in names]
    return Sources(motions, found, len(of_split), videos, all_videos, lacking)


def skipped_notes(cfg: LaunchConfig) -> list[str]:
    """Return notes on files in the input folders that look like inputs but are not read."""
    notes = [] if cfg.bodies.surreal else skipped_motions(*cfg.bodies.motions)
    videos = cfg.backgrounds.videos
    if videos and not (cfg.output.labels_only or cfg.backgrounds.scenes):
        notes += filter(None, [skipped_videos(videos)])
    return notes


def _all_motions(cfg: LaunchConfig) -> list[Any]:
    bodies = cfg.bodies
    if bodies.surreal:
        return list(find_surreal(bodies.surreal))
    convention = Convention(bodies.motion_up, bodies.motion_unit, bodies.motion_rate)
    return list(find_motions(*bodies.motions, convention=convention))


def _of_split(found: Sequence[Any], cfg: LaunchConfig) -> list[Any]:
    """Return the motions of the data set's split.

    A subject's split depends on all motions found, before --motions-only and similar options, so
    no selection of motions moves a subject to another split.
    """
    subjects = in_split((motion.subject for motion in found), cfg.output.split, "subjects")
    return [motion for motion in found if motion.subject in subjects]


def _chosen(found: Sequence[Any], cfg: LaunchConfig) -> list[Any]:
    """Return the motions that the options select, sorted by name."""
    bodies, kept = cfg.bodies, found
    if bodies.motions_only is not None or bodies.motions_without is not None:
        kept = matching(found, bodies.motions_only, bodies.motions_without)
    names = drawn((motion.name for motion in kept), bodies.motion_limit)
    return [motion for motion in kept if motion.name in names]
