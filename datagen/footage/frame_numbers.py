"""Maps the labels of a keypoint file (numbers or file names) to frames of the video."""

# N labels of a keypoint file

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePath

from datagen.common.errors import BadInput


def numbers(labels: Sequence[int | str], source: object) -> list[int]:
    """Return the frame number in each label.

    If names have several numbers, it is the one that varies: clip_7_1080p.jpg is frame 7. `source`
    begins the error messages.

    Raises:
        BadInput: a label has no number, or more than one number varies.
    """
    if all(isinstance(label, int) for label in labels):
        return [int(label) for label in labels]
    stems = [re.sub(r"\.[A-Za-z]\w*$", "", PurePath(str(label)).name) for label in labels]
    found = {stem: tuple(map(int, re.findall(r"\d+", stem))) for stem in stems}
    empty = next((stem for stem, counts in found.items() if not counts), None)
    if empty is not None:
        raise BadInput(f"{source}: {empty!r} contains no number; it must contain the frame number")
    patterns = {re.sub(r"\d+", "#", stem): stem for stem in stems}
    if len(patterns) > 1:
        first, second, *_ = patterns.values()
        raise BadInput(
            f"{source} has frames of different videos, {first!r} and {second!r}; give one video's"
        )
    columns = list(zip(*found.values(), strict=True))
    varying = [column for column in columns if len(set(column)) > 1]
    counting = [column for column in varying if len(set(column)) == len(column)]
    if varying and not counting:
        one, other, *_ = found
        raise BadInput(
            f"{source}: no number in its names counts the frames, as in {one!r} and {other!r}; "
            "give one video's frames, numbered"
        )
    chosen = min(reversed(counting), key=lambda c: max(c) - min(c)) if counting else columns[-1]
    of = dict(zip(found, chosen, strict=True))
    return [of[stem] for stem in stems]


def places(counted: Sequence[int], frames: int | None, source: object) -> tuple[list[int], int]:
    """Return the frame index of each number, from 0, and the number of frames.

    For files that omit frames without people. Counting from 1 is recognised by a number beyond the
    end.

    Args:
        counted: numbers, in any order, repeated for several people.
        frames: the video's number of frames, if known.
        source: begins the error messages.

    Raises:
        BadInput: a number is not a frame of the video.
    """
    low, high = min(counted), max(counted)
    if low < 0:
        raise BadInput(f"{source} has the frame number {low}; count from 0")
    first = int(frames is not None and low >= 1 and high == frames)
    if frames is not None and low >= 1 and high < frames:
        print(
            f"note: {source} has frames {low} to {high} of {frames}, assumed to count from 0; if "
            "they count from 1, subtract 1 from each"
        )
    length = high - first + 1
    if frames is not None and length <= frames:
        if length <= 0.6 * frames:
            print(f"note: {source} has no person after frame {high - first} of {frames}")
        length = frames
    if length > 100 * len(counted) + 1000:
        raise BadInput(f"{source} has frame number {high}, which the video does not have")
    return [number - first for number in counted], length


def order(counted: Sequence[int], frames: int | None, source: object) -> tuple[list[int], int]:
    """Return the frame index of each number, from 0, and the number of frames.

    For files with an entry for every frame, which may count from any number. A file with missing
    frames is read like those that omit frames, if its numbers fit the video.

    Raises:
        BadInput: a number repeats, or some are missing.
    """
    ranked = sorted(counted)
    repeated = next((a for a, b in pairwise(ranked) if a == b), None)
    if repeated is not None:
        raise BadInput(f"{source} has frame number {repeated} twice; give one entry per frame")
    if len(ranked) in (frames, ranked[-1] - ranked[0] + 1):
        rank = {number: place for place, number in enumerate(ranked)}
        return [rank[number] for number in counted], len(ranked)
    if frames is not None and ranked[-1] <= frames:
        return places(counted, frames, source)
    gap = next(a for a, b in pairwise(ranked) if b != a + 1)
    raise BadInput(
        f"{source} lacks frame {gap + 1} (it has {len(ranked)} of {ranked[0]} to {ranked[-1]}); "
        "give the keypoints of every frame"
    )
