"""Writes the files that show a prediction: video and contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from datagen.bodies.smpl.model import Body
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.files import whole
from datagen.replay.pictures import Pictures
from datagen.replay.prediction import PredictedMotion
from datagen.replay.video_writer import film
from datagen.replay.views import columns_of, contact_sheet, show

CONTENTS = {
    "mp4": "film",
    "png": "contact sheet",
    "glb": "mesh, for Blender",
    "npz": "motion, AMASS's layout",
    "bvh": "skeleton, for Blender",
    "trc": "markers, for OpenSim",
    "mot": "joint angles, for OpenSim",
    "json": "joints in 2D and 3D",
}
"""What a result is, by the kind of its file."""


def write_film(
    path: Path,
    motion: PredictedMotion,
    body: Body,
    under: Pictures,
    degrees: float,
    opacity: float,
) -> list[Path]:
    """Write <path>.mp4 and the contact sheet <path>.png; for a single picture, only both its
    views. Return the files."""
    chosen, kept = columns_of(len(motion)), {}
    frames = show(motion, body, under, degrees=degrees, opacity=opacity)
    if under.single:
        return [write_picture(path, next(frames).both)]
    with film(with_kind(path, "mp4"), motion.fps, under.sound) as growing:
        pictures = 0
        for shown in tqdm(frames, path.name, len(under.numbers), unit="frame", mininterval=1):
            growing.add(shown.both, shown.time)
            pictures += 1
            if shown.place in chosen:
                kept[shown.place] = shown
    sound = ", with sound" if growing.has_sound else ""
    print(f"{path.name}.mp4: {count(pictures, 'frame')}, {growing.codec}{sound}")
    return [with_kind(path, "mp4"), write_picture(path, contact_sheet(motion, under, kept))]


def conclude(files: Sequence[Path]) -> None:
    """Print what to look at, films before pictures, then the other files with what each one is.

    Raises BadInput if a result is no longer there: its folder was removed meanwhile.
    """
    if gone := [file for file in files if not file.is_file()]:
        raise BadInput(f"{gone[0]} has been removed since it was written; run the command again")
    shown = [file for kind in (".mp4", ".png") for file in files if file.suffix == kind]
    first = [file for file in shown if file.suffix == shown[0].suffix]
    print("Look at: " + "\n         ".join(map(str, first)) if first else "Written:")
    for file in files:
        if file not in first:
            print(f"  {CONTENTS[file.suffix[1:]]:<25} {file}")


def write_picture(path: Path, picture: np.ndarray) -> Path:
    """Write uint8 [H,W,3] RGB as <path>.png; return the file."""
    file = with_kind(path, "png")
    with whole(file) as temporary:
        ok, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        assert ok
        temporary.write_bytes(data.tobytes())
    return file


def with_kind(path: Path, kind: str) -> Path:
    """Return the path with a suffix appended to its full name, even if that has dots."""
    return path.with_name(f"{path.name}.{kind}")
