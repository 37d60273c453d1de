"""Which of a film's frames show the person, and whether its detections are doubtful.

The film, its contact sheet and the command take their words and counts from here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer

from datagen.common.cli import count
from datagen.common.record import JOINTS, KEYPOINTS
from datagen.replay.prediction import PredictedMotion

INTERPOLATED = "no detection: interpolated"
NOT_FOUND = "person not found"
NOT_FITTED = "no body fits"
SENTENCES = {
    INTERPOLATED: "no detection, the body is interpolated",
    NOT_FOUND: "this person was not found",
    NOT_FITTED: "no body fits the detection",
}
"""What the command says about the frames with a label."""
MOST_RANGES = 4
"""Most ranges of frames in a sentence."""
DOUBTFUL = 0.03
"""Median misfit above which a track may not be a person. In five videos, it was 0.006 to 0.017 in
seven tracks of people, also small and blurred ones, and 0.049 in one of dolphins, of which the
detector was as confident (0.67) as of two of the people (0.66)."""
DOUBTFUL_FRAME = 0.1
"""The same for a detection in one frame: it was below 0.08 in those people's frames but for a lone
one amid frames without any (0.15), and above 0.2 where a track jumps from a person to a thing."""
LIMBS = [JOINTS.index(name) for name in KEYPOINTS]


def label(motion: PredictedMotion, place: int | None) -> str:
    """Return the label of a film's frame, given by its index in the motion; "" if it has none."""
    if place is None:
        return NOT_FOUND
    drawn = motion.camera[place, 0] > 0  # a camera with negative scale mirrors
    if motion.occluded[place]:
        return INTERPOLATED if drawn else NOT_FOUND
    return "" if drawn else NOT_FITTED


def report(name: str, motion: PredictedMotion, numbers: Integer[np.ndarray, " n"]) -> list[str]:
    """Return sentences on the frames with a label, and on a track that may not be a person.

    numbers: the film's frames, by their numbers in the video.
    """
    places = {int(number): place for place, number in enumerate(motion.source)}
    labels = np.array([label(motion, places.get(number)) for number in numbers.tolist()])
    lines = [
        f"{name}: {ranges(numbers, labels == text)}: {sentence}"
        for text, sentence in SENTENCES.items()
        if (labels == text).any()
    ]
    return lines + doubt(name, motion, numbers)


def doubt(name: str, motion: PredictedMotion, numbers: Integer[np.ndarray, " n"]) -> list[str]:
    """Return a sentence if the track may not be a person, or some of its detections are wrong."""
    off = misfit(motion)
    far = frames_off(off) > DOUBTFUL_FRAME
    if np.nanmedian(off) > DOUBTFUL:
        far[:], what = True, f"{name} may not be a person"
    elif far.any():
        where = ranges(numbers, np.isin(numbers, motion.source[far]))
        what = f"{name}: doubtful detection in {where}"
    else:
        return []
    percent = 100 * np.nanmedian(off[far])
    return [f"note: {what} (the body is {percent:.0f} % of its size off the keypoints)"]


def ranges(numbers: Integer[np.ndarray, " n"], chosen: np.ndarray) -> str:
    """Return the chosen ([N], bool) of a film's frame numbers, such as "frames 0-114 and 120"."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(int), [0]])))
    spans = [(numbers[a], numbers[b - 1]) for a, b in edges.reshape(-1, 2)]
    words = [f"{first}" if first == last else f"{first}-{last}" for first, last in spans]
    total = f" ({chosen.sum()} in all)" if len(words) > 1 else ""
    if (more := len(words) - MOST_RANGES) > 1:
        words[MOST_RANGES:] = [count(more, "more range")]
    return f"{'frame' if chosen.sum() == 1 else 'frames'} {listed(words)}{total}"


def listed(words: Sequence[str]) -> str:
    """Return words as in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def misfit(motion: PredictedMotion) -> np.ndarray:
    """Return the distances [L,K] of the body's joints from the keypoints, relative to the diagonal
    of the body's limbs in the picture; NaN for unseen ones, 0 if the prediction lacks joints."""
    seen = motion.keypoints[..., 2] > 0
    if motion.joints2d is None or seen.shape[1] != len(LIMBS) or not seen.any():
        return np.zeros(seen.shape)
    limbs = motion.joints2d[:, LIMBS]
    size = np.maximum(np.linalg.norm(np.ptp(limbs, axis=1), axis=1), 1)
    off = np.linalg.norm(limbs - motion.keypoints[..., :2], axis=2) / size[:, None]
    return np.where(seen, off, np.nan)


def frames_off(off: np.ndarray) -> np.ndarray:
    """Return the median [L] of each frame's distances [L,K]; 0 where none is known."""
    return np.array([np.median(row[row >= 0]) if (row >= 0).any() else 0.0 for row in off])
