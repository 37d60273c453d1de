"""The background library: windows of videos and embedded scenes, analysed, one HDF5 file per
source.

A file has one group per window. Clips are composed from `jpeg` (the frames' JPEG bytes,
concatenated), `ends` (where each frame ends), `motion`, `homography` and `segments` (gzip). The
quality values of each frame pair (`inliers`, `inlier_ratio`, `shift`) are stored for inspection;
the window's worst values are in its attribute `meta` (JSON). The bytes depend only on the source,
the options and the seed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from datagen.backgrounds import scenes
from datagen.backgrounds.camera_motion import CameraMotion, camera_motion
from datagen.backgrounds.cuts import window_fault
from datagen.backgrounds.options import BackgroundsConfig
from datagen.backgrounds.sources import VideoSource
from datagen.backgrounds.supervoxels import supervoxels
from datagen.common import pictures as picture_files
from datagen.common import video
from datagen.common.errors import BadInput
from datagen.common.files import sha256
from datagen.common.frames import frame_times, thin
from datagen.common.hdf5 import (
    CHECKS,
    DAMAGED,
    MOST,
    new_file,
    part,
    read_array,
    read_text,
    text,
)
from datagen.common.seeds import generator
from datagen.common.stopwatch import Stopwatch

# T frames, H W pixels, h w coarse pixels

VERSION = 1
LIMIT = 1e6
"""Largest plausible camera motion, pixels."""
ARRAYS = ("jpeg", "ends", "motion", "homography", "segments")
"""Arrays of a window that `read_background` reads."""
JPEG_QUALITY = 95  # at least 40 dB on video, a seventh of the raw bytes


@dataclass(frozen=True)
class Background:
    """An analysed window: frames uint8 [T,H,W,3] RGB, motion float32 [T,2,3], segments [T,h,w].

    `homography` float32 [T,3,3] maps pixel coordinates of frame 0 to frame t (`homography[0]` is
    the identity); `motion` is the similarity closest to it around the frame's centre, with which
    the supervoxels were made; `segments` has their uint8 labels 0..n-1 at 1/slic_scale of the
    frame's size.
    """

    name: str
    frames: np.ndarray
    homography: np.ndarray
    motion: np.ndarray
    segments: np.ndarray
    meta: dict


def window_starts(total: int, frames: int, windows: int) -> list[int]:
    """Return the first frames of at most `windows` disjoint windows, evenly spaced and centred."""
    windows = min(windows, total // frames)
    section = total / windows
    return [int(i * section + (section - frames) / 2) for i in range(windows)]


def reject_reason(motion: CameraMotion, cfg: BackgroundsConfig) -> str | None:
    """Return the reason to reject a window for its camera motion; None if it is reliable.

    Reasons: `textureless`, `untracked`, `fast`, or `contested` (another motion may be the
    background's).
    """
    if motion.inliers.min() < cfg.min_inliers:
        return "textureless"
    if motion.inlier_ratio.min() < cfg.min_inlier_ratio:
        return "untracked"
    if motion.shift.max() > cfg.max_shift:
        return "fast"
    if np.median(motion.competing) > cfg.max_contest:
        return "contested"
    return None


def _windows(
    source: VideoSource, cfg: BackgroundsConfig, frames: int, width: int, height: int, seed: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first frame number and the frames of each candidate window."""
    if source.path is None:
        starts = window_starts(max(scenes.SCENE_FRAMES, frames), frames, cfg.windows_per_video)
        for start in starts:
            yield start, _rendered(source, start, frames, width, height)
        return
    path = Path(source.path)
    times = frame_times(path)
    used = thin(times)[0] if cfg.video_rate == "30" else np.arange(len(times))
    if len(used) < frames:
        raise BadInput(
            f"{path} has {len(used)} frames that can be decoded"
            f"{f' ({len(times)} before subsampling to about 30 fps)' * (len(used) < len(times))}, "
            f"but a window needs {frames}; omit it or lower --clip-length"
        )
    starts = window_starts(len(used), frames, cfg.windows_per_video)
    places = generator(seed, "background", source.name, "crop").random(len(starts))
    stretches = [used[start : start + frames].tolist() for start in starts]
    windows = video.read_stretches(path, stretches, width, height, places)
    for numbers, window in zip(stretches, windows, strict=True):
        if len(window) == frames:
            yield numbers[0], window


def _rendered(source: VideoSource, start: int, frames: int, width: int, height: int) -> np.ndarray:
    """Return a scene's frames uint8 [T,H,W,3]; BadInput if a user's scene renders anything else."""
    pictures = source.scene.render(start, frames, width, height)
    if (got := getattr(pictures, "shape", ())) != (frames, height, width, 3):
        raise BadInput(
            f"{source.name} rendered {list(got)} instead of {[frames, height, width, 3]}"
        )
    if pictures.dtype != np.uint8:
        raise BadInput(f"{source.name} rendered {pictures.dtype} instead of uint8")
    return pictures


def build_background(
    source: VideoSource,
    cfg: BackgroundsConfig,
    *,
    frames: int,
    width: int,
    height: int,
    seed: int,
    path: Path,
) -> dict:
    """Analyse a source into the library file `path` (HDF5, atomic) and return its manifest line.

    `frames` is clip_length + 1. Raises BadInput if the video is unreadable, too short, or has no
    usable window.
    """
    windows: list[dict] = []
    rejected: list[dict] = []
    watch = Stopwatch()
    with new_file(path) as file:
        file.attrs["version"] = VERSION
        file.attrs["name"] = text(source.name)
        file.attrs["group"] = text(source.group)
        for start, pictures in _windows(source, cfg, frames, width, height, seed):
            watch.lap("read")
            motion = _trusted_motion(pictures, cfg, watch)
            if isinstance(motion, str):
                rejected.append({"start": start, "reason": motion})
                continue
            rng = generator(seed, "background", source.name, start, "segments")
            segments = _segments(pictures, motion, cfg, rng)
            watch.lap("segments")
            entry = _entry(start, pictures, motion, segments)
            group = file.create_group(f"window_{len(windows):03d}")
            _write_window(group, pictures, motion, segments, entry)
            windows.append(entry)
            watch.lap("write")
        if not windows:
            counts = ", ".join(f"{reason} {n}" for reason, n in _reasons(rejected).items())
            raise BadInput(f"{source.path or source.name} has no usable window ({counts}); omit it")
    return {
        "kind": "background",
        "name": source.name,
        "group": source.group,
        "file": path.name,
        "sha256": sha256(path),
        "checks": CHECKS,
        "bytes": path.stat().st_size,
        "windows": windows,
        "rejected": _reasons(rejected),
        "rejected_windows": rejected,
        "seconds": watch.rounded(),
    }


def _reasons(rejected: list[dict]) -> dict[str, int]:
    """Return the number of rejected windows by reason."""
    return dict(sorted(Counter(window["reason"] for window in rejected).items()))


def _trusted_motion(
    pictures: np.ndarray, cfg: BackgroundsConfig, watch: Stopwatch
) -> CameraMotion | str:
    """Return a window's camera motion, or the reason to reject the window."""
    fault = window_fault(pictures)
    watch.lap("cuts")
    if fault is not None:
        return fault
    motion = camera_motion(pictures)
    watch.lap("motion")
    return reject_reason(motion, cfg) or motion


def _segments(
    pictures: np.ndarray, motion: CameraMotion, cfg: BackgroundsConfig, rng: np.random.Generator
) -> np.ndarray:
    """Return a window's supervoxels, uint8 [T,h,w]; their number is drawn."""
    return supervoxels(
        pictures,
        motion.motion,
        int(rng.integers(cfg.segments_min, cfg.segments_max + 1)),
        scale=cfg.slic_scale,
        compactness=cfg.slic_compactness,
    )


def _entry(
    start: int, pictures: np.ndarray, motion: CameraMotion, segments: np.ndarray
) -> dict[str, Any]:
    """Return a window's manifest entry: its start and its worst quality values."""
    return {
        "start": start,
        "segments": int(segments.max()) + 1,
        "inliers": int(motion.inliers.min()),
        "inlier_ratio": round(float(motion.inlier_ratio.min()), 3),
        "max_shift": round(float(motion.shift.max()), 2),
        "contest": round(float(np.median(motion.competing)), 3),
        "drift": round(float(np.hypot(*_drift(motion.motion, pictures)[-1])), 2),
    }


def _drift(motion: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Return the displacement of the frame's centre at each frame, [T,2] pixels."""
    height, width = pictures.shape[1:3]
    centre = np.asarray([width - 1, height - 1], np.float64) / 2
    return motion[:, :, :2] @ centre + motion[:, :, 2] - centre


def _write_window(
    group: h5py.Group,
    pictures: np.ndarray,
    motion: CameraMotion,
    segments: np.ndarray,
    entry: dict,
) -> None:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    coded = [cv2.imencode(".jpg", picture[..., ::-1], parameters)[1] for picture in pictures]
    arrays = {
        "jpeg": np.concatenate([c.ravel() for c in coded]),
        "ends": np.cumsum([c.size for c in coded]),
        "motion": motion.motion,
        "homography": motion.homography,
        "inliers": motion.inliers,
        "inlier_ratio": motion.inlier_ratio,
        "shift": motion.shift,
    }
    for name, array in arrays.items():
        group.create_dataset(
            name, data=array, chunks=array.shape, track_times=False, fletcher32=True
        )
    group.create_dataset(
        "segments", data=segments, compression="gzip", shuffle=False, track_times=False,
        fletcher32=True,
    )  # fmt: skip
    group.attrs["meta"] = text(json.dumps(entry, sort_keys=True))


def read_background(path: Path, window: int) -> Background:
    """Read one window of a library file. Raises BadInput if it is missing or damaged."""
    try:
        with h5py.File(path, "r") as file:
            group, data, left = part(file, f"window_{window:03d}"), {}, MOST
            for name in ARRAYS:
                data[name] = read_array(group, name, most=left)
                left -= data[name].nbytes
            meta = json.loads(read_text(group.attrs["meta"])) | {
                "group": read_text(file.attrs["group"])
            }
            name = read_text(file.attrs["name"])
        parts = np.split(data["jpeg"], data["ends"][:-1])
        most = MOST // (3 * len(parts))
        frames = np.stack([_decode(coded, path, most) for coded in parts])
        if not all((np.abs(data[name]) < LIMIT).all() for name in ("homography", "motion")):
            raise ValueError("it has NaN, infinite or absurd numbers")
    except BadInput:
        raise
    except DAMAGED as error:
        raise BadInput(
            f"{path} holds no intact background window {window} ({error}); "
            "delete the file and run the same command again"
        ) from error
    return Background(name, frames, data["homography"], data["motion"], data["segments"], meta)


def _decode(coded: np.ndarray, path: Path, most: int) -> np.ndarray:
    try:
        return picture_files.decode(coded, most=most)[..., ::-1]
    except ValueError as error:
        raise BadInput(
            f"{path} has a damaged picture ({error}); delete the file and run the same command "
            "again"
        ) from None
