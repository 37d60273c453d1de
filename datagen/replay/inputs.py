"""Resolves the user's inputs (videos, pictures and folders of them) to single videos."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from datagen.common.cli import count
from datagen.common.errors import BadInput, near
from datagen.common.pictures import read
from datagen.common.stills import pictures_in
from datagen.common.video import SUFFIXES, media_sha256


@dataclass(frozen=True)
class InputVideo:
    """A video, a picture, or a folder of pictures that are the frames of a video."""

    path: Path
    content: str
    """SHA-256, which identifies a video independently of its name."""

    @property
    def stem(self) -> str:
        """Name of its results."""
        return self.path.name if self.path.is_dir() else self.path.stem


def find_clips(paths: list[Path]) -> list[InputVideo]:
    """Return the videos at the paths, without duplicates.

    Raises:
        BadInput: a path does not exist, or a folder holds neither videos nor pictures.
    """
    clips: dict[str, InputVideo] = {}
    for path in paths:
        for one in [path] if path.is_file() else _in_folder(path):
            clip = InputVideo(one, media_sha256(one))
            clips.setdefault(clip.content, clip)
    return list(clips.values())


def _in_folder(folder: Path) -> list[Path]:
    """Return a folder's videos and pictures, or the folder itself if it holds a video's frames."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder} does not exist{near(folder)}; give a video, a picture or a folder of them"
        )
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    pictures = pictures_in(folder)
    if not videos and not pictures:
        raise BadInput(f"{folder} holds neither videos nor pictures")
    if videos or not is_sequence(pictures):
        print(f"{folder}: {count(len(videos), 'video')}, {count(len(pictures), 'picture')}")
        return [*videos, *pictures]
    print(f"{folder}: {count(len(pictures), 'picture')}, read as a video at 30 frames per second")
    return [folder]


def is_sequence(pictures: list[Path]) -> bool:
    """Return whether pictures are the frames of a video: at least three, of one size, with names
    that differ only in a number that counts up."""
    names = {"".join(c for c in path.stem if not c.isdecimal()) for path in pictures}
    if len(pictures) < 3 or len(names) > 1:
        return False
    numbers = [int("0" + "".join(c for c in path.stem if c.isdecimal())) for path in pictures]
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) > 1 or steps == {0}:
        return False
    try:
        return len({read(pictures[i]).shape for i in (0, len(pictures) // 2, -1)}) == 1
    except (OSError, ValueError):
        return False
