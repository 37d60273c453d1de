"""Reads the file formats of 2D keypoint detectors into one form."""

# K points of a layout

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datagen.bodies.smpl.unpickle import read_objects
from datagen.common.errors import BadInput

DETECTRON_THRESHOLD = 0.05
"""Detectron2's own threshold for drawing keypoints; its confidences are a softmax over the box."""


@dataclass(frozen=True, eq=False)
class DetectedPerson:
    """One person in one frame."""

    points: np.ndarray
    """float64 [K,3] x, y in pixels, confidence."""
    score: float = 1.0
    """The detector's confidence in the whole person, in its own unit."""


@dataclass(frozen=True)
class KeypointFile:
    """The content of a keypoint file."""

    labels: Sequence[int | str]
    """Frame number of each entry, or a name that contains it."""
    people: Sequence[list[DetectedPerson]]
    """People of each entry."""
    every_frame: bool
    """Whether frames without people have entries too."""
    threshold: float | None = None
    """Confidence above which a point is seen, if it differs from the layout's."""


def of_folder(folder: Path) -> KeypointFile:
    """Read a folder of JSON files, one per frame, from OpenPose, MMPose or Ultralytics.

    Raises BadInput if it has no such files, or other ones.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise BadInput(
            f"--keypoints {folder} holds no .json; give what OpenPose's --write_json wrote"
        )
    people = [_parsed(_frame, load(file), file) for file in files]
    return KeypointFile([file.name for file in files], people, every_frame=True)


def _frame(content: Any) -> list[DetectedPerson]:
    """Return the people in one frame's file."""
    if isinstance(content, dict) and "instances" in content:
        content = content["instances"]
    if isinstance(content, dict):
        return _openpose(content)
    return _objects(content)


def _openpose(content: dict[str, Any]) -> list[DetectedPerson]:
    """Return the people in OpenPose's file, or in AlphaPose's version of it."""
    if "bodies" in content:  # --format cmu
        return _people(body["joints"] for body in content["bodies"])
    return _people(
        person["pose_keypoints_2d"] if "pose_keypoints_2d" in person else person["pose_keypoints"]
        for person in content["people"]
    )


def _people(flat: Iterable[Any]) -> list[DetectedPerson]:
    return [DetectedPerson(_flat(points)) for points in flat if points]


def _flat(points: Any) -> np.ndarray:
    return np.reshape(points, (-1, 3)).astype(float)


def _objects(content: Any) -> list[DetectedPerson]:
    """Return the people in one frame's list: MMPose's instances or Ultralytics's objects."""
    if isinstance(content, str):  # Ultralytics's to_json returns text
        content = json.loads(content)
    people = []
    for one in content:
        if one.get("name", "person") != "person" or not one["keypoints"]:
            continue
        if isinstance(one["keypoints"], dict):
            x, y, shown = (one["keypoints"].get(name) for name in ("x", "y", "visible"))
            shown = np.ones(len(x)) if shown is None else shown
            points, score = np.stack([x, y, shown], -1), one.get("confidence", 1)
        else:
            points = np.column_stack([one["keypoints"], one["keypoint_scores"]])
            score = one.get("bbox_score", 1)
        people.append(DetectedPerson(np.asarray(points, float), float(np.mean(score))))
    return people


def of_list(content: list[Any], path: Path) -> KeypointFile:
    """Read a list of dictionaries or of lists of them per frame: COCO results (also AlphaPose's),
    MMPose's frames with instances, Ultralytics's frames.

    Raises BadInput if it is none of these.
    """
    first = content[0]
    if not isinstance(first, dict | list | str):
        raise BadInput(f"{path} is not in a known detector's format; see --help")
    if isinstance(first, list | str):
        people = [_parsed(_objects, frame, path) for frame in content]
        return KeypointFile(range(len(people)), people, every_frame=True)
    if "instances" in first:
        people = [_parsed(_frame, frame, path) for frame in content]
        return KeypointFile(
            [_parsed(_number_of, frame, path) for frame in content], people, every_frame=True
        )
    if "keypoint_scores" in first or isinstance(first.get("keypoints"), dict):
        return KeypointFile([0], [_parsed(_objects, content, path)], every_frame=True)
    return of_results(content, path)


def _number_of(frame: dict[str, Any]) -> int:
    return int(frame["frame_id"])


def of_results(content: list[Any], path: Path) -> KeypointFile:
    """Read COCO results: dictionaries with `image_id`, flat `keypoints` and a person's `score`.

    Raises BadInput if it is not such a list.
    """
    frames: dict[int | str, list[DetectedPerson]] = {}
    try:
        for one in content:
            if one["keypoints"]:
                score = one.get("score", 1)
                person = DetectedPerson(_flat(one["keypoints"]), 1.0 if score is None else score)
                number = one["image_id"]
                frames.setdefault(number if isinstance(number, int) else str(number), []).append(
                    person
                )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput(
            f"{path} is not a list of COCO results; each needs image_id and keypoints"
        ) from None
    if not frames:
        raise BadInput(f"{path} has no person in any frame; omit the video")
    return KeypointFile(list(frames), list(frames.values()), every_frame=False)


def of_dict(content: dict[str, Any], path: Path) -> KeypointFile | list[Any]:
    """Read a dictionary's keypoints; return the wrapped list or array, or a keypoint file.

    MMPose's {meta_info, instance_info}, COCO's {images, annotations}, AlphaPose's {name of a
    picture: OpenPose's content}, ours {keypoints}.
    """
    for name in ("keypoints", "instance_info"):
        if isinstance(content.get(name), list):
            return content[name]
    if isinstance(content.get("annotations"), list):
        try:
            names = {one["id"]: str(one["file_name"]) for one in content.get("images", [])}
            found = [
                {**one, "image_id": names.get(one["image_id"], one["image_id"]),
                 "keypoints": _visible(one["keypoints"])}
                for one in content["annotations"] if one.get("keypoints")
            ]  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadInput(f"{path} does not have COCO's images and annotations") from None
        return found
    if content and all(isinstance(one, dict) for one in content.values()):
        people = [_parsed(_openpose, one, path) for one in content.values()]
        return KeypointFile(list(content), people, every_frame=False)
    raise BadInput(f"{path} holds neither an array of keypoints nor COCO results; see --help")


def _visible(flat: list[float]) -> list[float]:
    """Return annotated points with confidence 1 if COCO's flag is 1 (hidden) or 2 (visible)."""
    points = _flat(flat)
    points[:, 2] = np.where(np.isin(points[:, 2], (1, 2)), 1, points[:, 2])
    return points.ravel().tolist()


def of_detectron(data: bytes, path: Path) -> KeypointFile:
    """Read the `keypoints.npy` of a Detectron .npz (as VideoPose3D's inference writes it).

    It is an object array of frames, each [[], people [P,4,K]]: x, y, logit, confidence. No code in
    its pickle is executed. Raises BadInput for anything else.
    """
    frames = read_objects(data, path, "Detectron's keypoints")
    people = [_parsed(_detectron, frame, path) for frame in frames]
    return KeypointFile(range(len(people)), people, every_frame=True, threshold=DETECTRON_THRESHOLD)


def _detectron(frame: Any) -> list[DetectedPerson]:
    persons = np.asarray(frame[-1], float)  # for the classes "nothing" and "person"
    if not persons.size:
        return []
    if persons.ndim != 3 or persons.shape[1] != 4:
        raise ValueError("not [P,4,K]")
    return [DetectedPerson(person[[0, 1, 3]].T, float(person[3].mean())) for person in persons]


def load(path: Path) -> Any:
    """Return a JSON file's content. Raises BadInput if it is not JSON."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON ({error})") from None


def _parsed(parse: Callable[[Any], Any], content: Any, path: Path) -> Any:
    try:
        return parse(content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        kind = "in a known detector's format; see --help"
        if parse is _frame:
            kind = "the output of OpenPose's --write_json: people with pose_keypoints_2d"
        raise BadInput(f"{path} is not {kind}") from None
