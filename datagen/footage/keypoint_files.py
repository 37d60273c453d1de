"""Keypoint files: OpenPose's JSON folder, COCO-17 arrays and results, our own .npz."""

# T frames, P people, K points of a layout

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from datagen.common.errors import BadInput
from datagen.footage.keypoints import LAYOUTS, evaluation_points, guess_layout

SUFFIXES = (".npz", ".npy", ".json")
LIMIT = 1e6
"""Pixels; a coordinate beyond is damage."""


def read_keypoints(
    path: Path, frames: int | None = None, threshold: float | None = None, layout: str | None = None
) -> np.ndarray:
    """Return every person of every frame, float32 [T,P,14,3] in EVAL_JOINTS' order.

    x, y in pixels of the video and 1 where a joint is seen; all 0 elsewhere.

    Args:
        path: a folder of OpenPose's JSON, one file a frame; an .npy or .json array [T,K,3] or
            [T,P,K,3]; a .json list of COCO results; an .npz with `keypoints` and, if K does not
            tell it, `layout`.
        frames: the video's frames; the file must have as many. None takes what is there.
        threshold: confidence above which a joint is seen; default: the layout's own.
        layout: one of LAYOUTS' names, where K (and for 25 points, their places) should not decide.

    Raises:
        BadInput: unreadable, of an unknown layout or of another length.
    """
    if path.is_dir():
        points = read_openpose(path)
    elif path.suffix.lower() == ".json":
        points = _json(path, frames)
    elif path.suffix.lower() in (".npy", ".npz"):
        points, found = _numpy(path)
        layout = layout or found
    else:
        raise BadInput(
            f"--keypoints {path} must be a folder of OpenPose's JSON or a {', '.join(SUFFIXES)} "
            f"file{'' if path.exists() else '; it does not exist'}"
        )
    if frames is not None and len(points) != frames:
        raise BadInput(
            f"--keypoints {path} is of {len(points)} frames, the video of {frames}; "
            "give the keypoints of every frame of this video"
        )
    points[~(np.abs(points) < LIMIT).all(-1)] = 0
    if layout is not None and layout not in LAYOUTS:
        raise BadInput(f"{path}: layout {layout!r} is none of {', '.join(LAYOUTS)}")
    kind = LAYOUTS[layout] if layout else guess_layout(points)
    if kind is None or kind.points != points.shape[2]:
        counts = sorted({known.points for known in LAYOUTS.values()})
        raise BadInput(
            f"{path} has {points.shape[2]} points a person, which is not a layout known here; "
            f"the known ones have {', '.join(map(str, counts))} ({', '.join(LAYOUTS)})"
        )
    people = evaluation_points(points, kind, threshold)
    seen = people[people[..., 2] > 0]
    if len(seen) and np.abs(seen[:, :2]).max() <= 2:
        raise BadInput(
            f"{path} has coordinates of at most {np.abs(seen[:, :2]).max():.2f}: they are relative "
            "to the picture's size; give pixels"
        )
    return people


def read_appearance(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the people's clothes [T,P,C] of our own detector's file; None of any other.

    `shape`: (T, P) of its keypoints; an array of another is not theirs.
    """
    if path.suffix.lower() != ".npz":
        return None
    with np.load(path, allow_pickle=False) as loaded:
        looks = loaded["appearance"] if "appearance" in loaded.files else np.zeros(0)
    fits = looks.ndim == 3 and looks.shape[:2] == shape and looks.dtype.kind == "f"
    return looks.astype(np.float64) if fits else None


def read_openpose(folder: Path) -> np.ndarray:
    """Return [T,P,K,3] of a folder of OpenPose's JSON files, in the order of their numbers."""
    files = sorted(folder.glob("*.json"), key=_number)
    if not files:
        raise BadInput(
            f"--keypoints {folder} holds no .json; give what OpenPose's --write_json wrote"
        )
    people = []
    for file in files:
        content = _load(file)
        try:
            people.append(
                [np.reshape(p["pose_keypoints_2d"], (-1, 3)).astype(float)
                 for p in content["people"] if p["pose_keypoints_2d"]]
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            raise BadInput(f"{file} is not what OpenPose's --write_json writes") from None
    return _padded(people, folder)


def _number(path: Path) -> tuple[int, str]:
    """Return the last number in a file's name, as OpenPose counts frames, then the name."""
    numbers = re.findall(r"\d+", path.stem)
    return (int(numbers[-1]) if numbers else -1, path.name)


def _padded(people: list[list[np.ndarray]], path: Path) -> np.ndarray:
    """Return [T,P,K,3] of a list of people a frame, zeros where there are fewer."""
    kinds = {person.shape for frame in people for person in frame}
    if len(kinds) > 1:
        raise BadInput(f"{path} has people of different numbers of points; give one layout")
    if not kinds:
        raise BadInput(f"{path} shows nobody in any frame; omit the video")
    most = max(len(frame) for frame in people)
    out = np.zeros((len(people), most, *kinds.pop()))
    for t, frame in enumerate(people):
        out[t, : len(frame)] = np.reshape(frame, (-1, *out.shape[2:]))
    return out


def _json(path: Path, frames: int | None) -> np.ndarray:
    content = _load(path)
    if isinstance(content, dict) and "keypoints" in content:
        content = content["keypoints"]
    if not isinstance(content, list) or not content:
        raise BadInput(f"{path} holds neither an array of keypoints nor COCO results; see --help")
    if isinstance(content[0], dict):
        return _results(path, content, frames)
    try:
        points = np.asarray(content, float)
    except (ValueError, TypeError):
        raise BadInput(f"{path} is not an array of numbers [T,17,3] or [T,P,17,3]") from None
    return _shaped(points, path)


def _results(path: Path, content: list[Any], frames: int | None) -> np.ndarray:
    """Return [T,P,K,3] of COCO results: dictionaries with `image_id` and flat `keypoints`.

    `image_id` is the frame's number or a file's name with it. Counting from 1 shows in a number
    that would lie beyond the video's end.
    """
    try:
        found = [
            (_number(Path(str(one["image_id"])))[0],
             np.reshape(one["keypoints"], (-1, 3)).astype(float))
            for one in content if one["keypoints"]
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"{path} is not a list of COCO results; each needs image_id and keypoints"
        ) from None
    if not found:
        raise BadInput(f"{path} shows nobody in any frame; omit the video")
    numbers = [number for number, _ in found]
    if min(numbers) < 0:
        raise BadInput(f"{path}: an image_id has no number in it; it must be the frame's")
    first = int(frames is not None and min(numbers) >= 1 and max(numbers) == frames)
    if frames is not None and min(numbers) >= 1 and max(numbers) < frames:
        print(
            f"note: {path} has frames {min(numbers)} to {max(numbers)} of {frames}, taken as "
            "counted from 0; if they are counted from 1, subtract 1 from each image_id"
        )
    length = max(numbers) - first + 1
    if frames is not None and length <= frames:
        length = frames  # frames without anyone have no results
    if length > 100 * len(found) + 1000:
        raise BadInput(f"{path}: image_id goes up to {max(numbers)}, which is no frame's number")
    people: list[list[np.ndarray]] = [[] for _ in range(length)]
    for number, person in found:
        people[number - first].append(person)
    return _padded(people, path)


def _numpy(path: Path) -> tuple[np.ndarray, str | None]:
    """Return [T,P,K,3] and the layout that the file names, if it does."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _shaped(loaded, path), None
        with loaded:
            layout = str(loaded["layout"]) if "layout" in loaded.files else None
            return _shaped(loaded["keypoints"], path), layout
    except KeyError:
        raise BadInput(f"{path} has no array `keypoints`") from None
    except BadInput:
        raise
    except Exception as error:  # zip, header and memory errors, each of its own kind
        raise BadInput(f"--keypoints {path} cannot be read ({error})") from None


def _shaped(points: np.ndarray, path: Path) -> np.ndarray:
    if points.dtype.kind not in "fiu" or points.ndim not in (3, 4) or points.shape[-1] != 3:
        raise BadInput(
            f"{path} has shape {list(points.shape)}; keypoints are [T,K,3] for one person or "
            "[T,P,K,3] for several: x, y, confidence"
        )
    if points.ndim == 3:
        points = points[:, None]
    return np.array(points, np.float64)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON ({error})") from None
