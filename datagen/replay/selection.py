"""Selects a video's predictions from a folder, by content or, for older files, by name."""

from __future__ import annotations

import re
from pathlib import Path

from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.npz import open_npz
from datagen.common.video import media_sha256


def of_this(video: Path, files: list[Path]) -> list[Path]:
    """Return a video's predictions.

    Files of older versions do not record the video's content. They are matched by its name, which
    datagen.ingest uses for tracks, with the folder's name in front and the person's rank behind if
    needed to distinguish them. If no file has the name, the video was renamed and all are used.

    Raises:
        BadInput: all belong to other videos.
    """
    contents = {file: content_of(file) for file in files}
    if any(contents.values()):
        mine = [file for file in files if contents[file] == media_sha256(video)]
        if not mine:
            raise BadInput(
                f"these predictions are not of {video}; give the same file that was ingested, or "
                "omit --video and give --shards to show their crops"
            )
    else:
        stems = (video.stem, f"{video.resolve().parent.name}_{video.stem}")
        mine = [file for file in files if file.stem in stems]
        mine = mine or [file for file in files if re.sub(r"_\d+$", "", file.stem) in stems]
    if mine and len(mine) < len(files):
        print(f"left out: {count(len(files) - len(mine), 'prediction')} of other videos")
    return mine or files


def content_of(prediction: Path) -> str:
    """Return the SHA-256 of the video from which a prediction was made; empty if unknown."""
    try:
        with open_npz(prediction) as arrays:
            return str(arrays.read("content", 1, "U")) if "content" in arrays else ""
    except (OSError, ValueError):  # reported when the whole file is read
        return ""
