"""Sources of backgrounds: video files below a folder, or the embedded scenes.

Kinetics is given as a list, `youtube_id,time_start,time_end,split` with or without a leading
`label`, and clips named `<youtube_id>_<start>_<end>.mp4` with six-digit times, in one folder or in
one per label.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from datagen.backgrounds import scenes
from datagen.common import video
from datagen.common.errors import BadInput, near
from datagen.common.files import files_below, shortened
from datagen.common.skipped import note

KINETICS_CLIP = re.compile(r"([A-Za-z0-9_-]{11})_\d{6}_\d{6}")
UNREAD = frozenset(
    ".3g2 .asf .divx .f4v .gif .m2ts .mjpeg .mxf .ogg .rm .rmvb .swf .vob .y4m".split()
)
"""Suffixes of video formats that are not read."""
KINETICS_COLUMNS = ("youtube_id", "time_start", "time_end")


@dataclass(frozen=True)
class VideoSource:
    """A video file, or the embedded scene with that name if `path` is None."""

    name: str
    path: str | None

    @property
    def scene(self) -> scenes.Renders:
        """The scene, if `path` is None."""
        return scenes.open_scene(self.name)

    @property
    def group(self) -> str:
        """The unit that splits must not divide: a scene's panorama, a YouTube video, or the
        file."""
        if self.path is None:
            return scenes.panorama_of(self.name)
        clip = KINETICS_CLIP.fullmatch(Path(self.path).stem)
        return clip[1] if clip else self.name


@dataclass(frozen=True)
class OwnSceneSource(VideoSource):
    """A scene from the user's own code: `--scenes module:factory`."""

    factory: str = ""

    @property
    def scene(self) -> scenes.Renders:
        return scenes.own_scenes(self.factory)[self.name]

    @property
    def group(self) -> str:
        return self.name


def find_own_scenes(factory: str) -> list[VideoSource]:
    """Return the scenes of a user's factory, sorted by name. Raises BadInput if there are none."""
    return [OwnSceneSource(name, None, factory) for name in sorted(scenes.own_scenes(factory))]


def find_videos(videos: Path | None, listed: Path | None = None) -> list[VideoSource]:
    """Return all videos below a folder, or the embedded scenes, sorted by their unique names.

    A name is the path below the folder without its suffix, with / replaced by two underscores.
    Names that are not ASCII end in a hash, so a name does not depend on which other files exist.
    With `listed`, a Kinetics CSV, only its clips are used. Raises BadInput if the folder is missing
    or holds no video.
    """
    if videos is None:
        return [VideoSource(name, None) for name in scenes.scene_names()]
    if not videos.is_dir():
        raise BadInput(
            f"--videos {videos} is not a folder{near(videos)}; give a folder of video files, "
            "unpacked"
        )
    files = [path for path in files_below(videos) if path.suffix.lower() in video.SUFFIXES]
    if not files:
        known = " ".join(sorted(video.SUFFIXES))
        raise BadInput(
            skipped_note(videos) or f"--videos {videos} holds no video; known suffixes: {known}"
        )
    if listed is not None:
        wanted = kinetics_clips(listed)
        files = [path for path in files if path.stem in wanted]
        if not files:
            raise BadInput(
                f"--videos {videos} holds none of the clips in {listed}; "
                f"files must have names such as {min(wanted)}.mp4"
            )
    stems = ["__".join(p.relative_to(videos).with_suffix("").parts) for p in files]
    stems = [shortened(re.sub(r"[^A-Za-z0-9_-]", "-", stem)) for stem in stems]
    twice = {stem for stem, count in Counter(stems).items() if count > 1}
    sources = []
    for stem, path in zip(stems, files, strict=True):
        # macOS stores accents separately from their letters
        relative = unicodedata.normalize("NFC", str(path.relative_to(videos)))
        if (
            stem in twice or not relative.isascii()
        ):  # the same name except for the suffix, or not ASCII
            stem = f"{stem}-{hashlib.sha256(os.fsencode(relative)).hexdigest()[:8]}"
        sources.append(VideoSource(stem, str(path)))
    return sorted(sources, key=lambda source: source.name)


def skipped_note(videos: Path) -> str:
    """Return a sentence on files that look like videos but are not read, "" if there are none."""
    return note("--videos", videos, video.SUFFIXES, UNREAD)


def kinetics_clips(listed: Path) -> set[str]:
    """Return the file names, without suffix, of the clips in a Kinetics CSV.

    Raises BadInput if it cannot be read, lacks a column, has a line without a time or is empty.
    """
    clips: set[str] = set()
    line = 1
    try:
        with open(listed, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            lacking = [c for c in KINETICS_COLUMNS if c not in (rows.fieldnames or ())]
            if lacking:
                raise BadInput(
                    f"{listed} has no column {', '.join(lacking)}; a Kinetics list has "
                    "youtube_id, time_start and time_end"
                )
            for row in rows:
                line = rows.line_num
                start, end = (int(float(row[key])) for key in KINETICS_COLUMNS[1:])
                clips.add(f"{row['youtube_id']}_{start:06d}_{end:06d}")
    except BadInput:
        raise
    except (OSError, UnicodeDecodeError, csv.Error, TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"{listed} line {line} is not valid in a Kinetics list ({error}); "
            "give a CSV of youtube_id, time_start, time_end"
        ) from error
    if not clips:
        raise BadInput(f"{listed} lists no clip; omit --videos-csv to use every video")
    return clips


def absent(sources: list[VideoSource], listed: Path) -> list[str]:
    """Return the clips of a Kinetics CSV without a source, sorted."""
    return sorted(kinetics_clips(listed) - {Path(s.path).stem for s in sources if s.path})
