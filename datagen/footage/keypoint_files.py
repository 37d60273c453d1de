"""Reads keypoint files: the people in every frame, in the formats and layouts of known
detectors."""

# T frames, P people, K points of a layout

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from datagen.common.errors import BadInput, near
from datagen.common.npz import MOST, open_npz, read_npy
from datagen.common.sizes import checked_count
from datagen.footage import frame_numbers
from datagen.footage import keypoint_formats as formats
from datagen.footage.keypoint_formats import KeypointFile
from datagen.footage.keypoints import evaluation_points
from datagen.footage.layouts import KeypointLayout
from datagen.footage.recognition import recognise

SUFFIXES = (".npz", ".npy", ".json")
LIMIT = 1e6
"""Pixels; larger coordinates are damage."""
KINDS = "fiubcSU"
"""Kinds of arrays that are read, some only to report the problem."""
HIGHEST = 1.5
"""Highest confidence: SimCC's (RTMPose) and summed heatmaps slightly exceed 1; percentages and
depths exceed this limit."""


@dataclass(frozen=True, eq=False)
class People:
    """All people in all frames."""

    points: np.ndarray
    """float32 [T,P,14,3] in EVAL_JOINTS' order: x, y in the video's pixels, and 1 if the joint is
    seen; otherwise all 0."""
    scores: np.ndarray
    """float64 [T,P] the detector's confidence in each person, 1 for its most confident ones; 0
    without a person."""


@dataclass(frozen=True, eq=False)
class _Detections:
    """A file's content before its layout is known."""

    points: np.ndarray
    """float64 [T,P,K,3]."""
    scores: np.ndarray
    """float64 [T,P]."""
    layout: str | None = None
    """Layout named in the file."""
    threshold: float | None = None
    """The container's threshold."""


def read_keypoints(
    path: Path,
    frames: int | None = None,
    threshold: float | None = None,
    layout: str | KeypointLayout | None = None,
) -> Float32[np.ndarray, "t p 14 3"]:
    """Return the points float32 [T,P,14,3] from `read_people`."""
    return read_people(path, frames, threshold, layout).points


def read_people(
    path: Path,
    frames: int | None = None,
    threshold: float | None = None,
    layout: str | KeypointLayout | None = None,
) -> People:
    """Return every person of every frame.

    Args:
        path: a folder of OpenPose's JSON, one file per frame; an .npy or .json array [T,K,3] or
            [T,P,K,3]; a .json of COCO results, AlphaPose, MMPose or Ultralytics; an .npz with
            `keypoints`, ours (which may name its `layout`) or Detectron's.
        frames: the video's number of frames, which the file must match. None accepts any.
        threshold: confidence above which a joint is seen; default: the layout's own.
        layout: a layout or one of LAYOUTS' names (with -yx if y comes first), to override the file
            and the recognition from the points.

    Raises:
        BadInput: the file is unreadable, or has an unknown layout or unit or another length.
    """
    found = _read(path, frames)
    points = found.points
    if frames is not None and len(points) != frames:
        raise BadInput(
            f"--keypoints {path} has {len(points)} frames, the video has {frames}; "
            f"give the keypoints of every frame of this video{_thinned(len(points), frames)}"
        )
    points[~(np.abs(points) < LIMIT).all(-1)] = 0
    _require_confidences(points, path)
    _require_pixels(points, path)
    asked = layout or found.layout
    kind = recognise(points, asked, path, found.threshold)
    people = evaluation_points(points, kind, found.threshold if threshold is None else threshold)
    return People(people, found.scores)


def _thinned(length: int, frames: int) -> str:
    """Return a guess why there are fewer keypoints than frames, as the end of a sentence."""
    for step in range(2, 7):
        if abs(length * step - frames) < step:
            ordinal = {2: "second", 3: "third"}.get(step, f"{step}th")
            return f", not of every {ordinal} one"
    return ""


def _require_confidences(points: np.ndarray, path: Path) -> None:
    """Raise BadInput if the third numbers of points [T,P,K,3] are not confidences."""
    confidence = points[np.isfinite(points).all(-1)][:, 2]
    low, high = confidence.min(initial=0), confidence.max(initial=0)
    if low >= -0.1 and high <= HIGHEST:
        return
    hint = "give x, y and a confidence from 0 to 1"
    if low >= 0 and high <= 100:
        hint = "in percent? divide them by 100"
    elif low < 0:
        hint = "a depth? give x, y and a confidence"
    raise BadInput(f"{path} has confidences from {low:.3g} to {high:.3g}, not in [0, 1]: {hint}")


def _require_pixels(points: np.ndarray, path: Path) -> None:
    """Raise BadInput if the coordinates of points [T,P,K,3] are relative to the picture's size."""
    seen = points[np.nan_to_num(points[..., 2]) > 0, :2]
    if len(seen) and np.nanmax(np.abs(seen)) <= 2:
        raise BadInput(
            f"{path} has coordinates of at most {np.nanmax(np.abs(seen)):.2f}: they are relative "
            "to the picture's size; give pixels"
        )


def read_appearance(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "t p c"] | None:
    """Return the colours of the people's clothes [T,P,C] from our detector's file; None for others.

    `shape`: (T, P) of its keypoints; an array of another shape is ignored.
    """
    if path.suffix.lower() != ".npz":
        return None
    try:
        with open_npz(path) as arrays:
            looks = arrays.read("appearance", kinds="f") if "appearance" in arrays else np.zeros(0)
    except (OSError, ValueError):  # reported when its keypoints are read
        return None
    fits = looks.ndim == 3 and looks.shape[:2] == shape and bool(np.isfinite(looks).all())
    return looks.astype(np.float64) if fits else None


def _read(path: Path, frames: int | None) -> _Detections:
    if path.is_dir():
        return _placed(formats.of_folder(path), frames, path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _json(path, frames)
    if suffix in (".npy", ".npz"):
        return _numpy(path, frames)
    raise BadInput(
        f"--keypoints {path} must be a folder of OpenPose's JSON or a {', '.join(SUFFIXES)} "
        f"file{'' if path.exists() else f'; it does not exist{near(path)}'}"
    )


def _json(path: Path, frames: int | None) -> _Detections:
    content = formats.load(path)
    if isinstance(content, dict):
        content = formats.of_dict(content, path)
    if isinstance(content, KeypointFile):
        return _placed(content, frames, path)
    if not isinstance(content, list) or not content:
        raise BadInput(f"{path} holds neither an array of keypoints nor COCO results; see --help")
    if _has_dicts(content):
        return _placed(formats.of_list(content, path), frames, path)
    try:
        points = np.asarray(content, float)
    except (ValueError, TypeError):
        raise BadInput(f"{path} is not an array of numbers [T,17,3] or [T,P,17,3]") from None
    return _array(points, path)


def _has_dicts(content: list[object]) -> bool:
    """Return whether a list holds dictionaries, directly or in its lists (or as JSON text)."""
    return any(
        isinstance(one, dict | str) or (isinstance(one, list) and one and isinstance(one[0], dict))
        for one in content
    )


def _placed(file: KeypointFile, frames: int | None, path: Path) -> _Detections:
    """Return a file's people in the order of the video's frames."""
    kinds = {one.points.shape for entry in file.people for one in entry}
    if len(kinds) > 1:
        raise BadInput(f"{path} has people with different numbers of points; use one layout")
    if not kinds:
        raise BadInput(f"{path} has no person in any frame; omit the video")
    counted = frame_numbers.numbers(file.labels, path)
    place = frame_numbers.order if file.every_frame else frame_numbers.places
    at, length = place(counted, frames, path)
    entries: list[Sequence[formats.DetectedPerson]] = [()] * length
    for number, entry in zip(at, file.people, strict=True):
        entries[number] = [*entries[number], *entry]
    shape = (length, max(len(entry) for entry in entries), *kinds.pop())
    try:
        checked_count("its people in every frame", shape, MOST)
    except ValueError as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    points, scores = np.zeros(shape), np.zeros(shape[:2])
    try:
        for t, entry in enumerate(entries):
            for p, one in enumerate(entry):
                points[t, p], scores[t, p] = one.points, one.score
    except (ValueError, TypeError, OverflowError):
        raise BadInput(f"{path} has a person whose points or score are not numbers") from None
    scores[~(np.abs(scores) < LIMIT)] = 0  # also NaN
    best = scores.max(1)
    surest = np.percentile(best[best > 0], 95) if (best > 0).any() else 1
    return _Detections(points, np.clip(scores / surest, 0, 1), threshold=file.threshold)


def _numpy(path: Path, frames: int | None) -> _Detections:
    """Return the arrays of an .npy or .npz."""
    try:
        if path.suffix.lower() == ".npy":
            return _array(read_npy(path, kinds=KINDS), path)
        with open_npz(path) as arrays:
            layout = str(arrays.read("layout", 1, "U")) if "layout" in arrays else None
            if arrays.has_objects("keypoints"):
                content = arrays.content("keypoints")
                return _placed(formats.of_detectron(content, path), frames, path)
            return _array(arrays.read("keypoints", kinds=KINDS), path, layout)
    except KeyError:
        raise BadInput(f"{path} has no array `keypoints`") from None
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        raise BadInput(f"--keypoints {path} cannot be read ({error})") from None


def _array(points: np.ndarray, path: Path, layout: str | None = None) -> _Detections:
    if points.dtype.kind not in "fiu" or points.ndim not in (3, 4) or points.shape[-1] != 3:
        raise BadInput(
            f"{path} has shape {list(points.shape)}; keypoints are [T,K,3] for one person or "
            "[T,P,K,3] for several: x, y, confidence"
        )
    if points.ndim == 3:
        points = points[:, None]
    points = np.array(points, np.float64)
    return _Detections(points, np.ones(points.shape[:2]), layout)
