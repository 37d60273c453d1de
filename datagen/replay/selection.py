"""Which of a folder's predictions are a video's: by its content or, of older files, by its name."""

from __future__ import annotations

import re
from pathlib import Path

from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.npz import open_npz
from datagen.common.video import media_sha256


def of_this(video: Path, files: list[Path]) -> list[Path]:
    """Return a video's predictions.

    Files of former versions do not name the video's content. They are known by its name, which
    datagen.ingest gives a track, with the folder's before it and the person's rank behind it where
    these are needed to distinguish two; all are taken where none bears it, as it was renamed.

    Raises:
        BadInput: all are of other videos.
    """
    contents = {file: content_of(file) for file in files}
    if any(contents.values()):
        mine = [file for file in files if contents[file] == media_sha256(video)]
        if not mine:
            raise BadInput(
                f"these predictions are of other videos than {video}; give the very file that was "
                "ingested, or omit --video and give --shards to see their crops"
            )
    else:
        stems = (video.stem, f"{video.resolve().parent.name}_{video.stem}")
        mine = [file for file in files if file.stem in stems]
        mine = mine or [file for file in files if re.sub(r"_\d+$", "", file.stem) in stems]
    if mine and len(mine) < len(files):
        print(f"left out: {count(len(files) - len(mine), 'prediction')} of other videos")
    return mine or files


def content_of(prediction: Path) -> str:
    """Return the SHA-256 of the video that a prediction was made of; empty if it is not known."""
    try:
        with open_npz(prediction) as arrays:
            return str(arrays.read("content", 1, "U")) if "content" in arrays else ""
    except (OSError, ValueError):  # whoever reads it whole names it
        return ""
