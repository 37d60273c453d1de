"""Whether keypoints are those of a video: what they follow must move in the pictures as they do.

The optical flow at the keypoints is correlated with their own displacement, less the picture's and
less the person's, so that a moving camera convinces nobody. On eight clips of real people it is 0.2
to 0.7 for the right keypoints and -0.1 to 0.2 for those in another unit or order, of another moment
or turned (0.4 where the camera runs along). The right unit is found by trying.
"""

# T frames, K keypoints, W H pixels of the video, N pairs of frames

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Integer

from datagen.common.errors import BadInput
from datagen.common.frames import frame_size, read_frames

PAIRS = 24
SPAN = 150
"""Frames, from the first that shows the person, that the pairs are spread over: to decode more
takes longer than it is worth."""
APART = 1 / 15
"""Seconds between the frames of a pair."""
SLOWEST = 8.0
"""Frames per second below which people move too far from frame to frame for the flow."""
PERSON = 150
"""Pixels that the person's diagonal is shown at, within SIDES of the longer side."""
SIDES = (256, 960)
FAR = 6.0
"""Pixels of displacement beyond which a point weighs less: flow misses fast wrists."""
EXPLAINED = 0.3
"""Agreement that shows another unit to be the right one..."""
BETTER = 0.2
"""... if it is by so much above that of the keypoints as they are."""
NOTHING = 0.1
"""Agreement of keypoints that move as nothing in the pictures does..."""
MOVING = 1.0
"""... if they do move, by so many pixels in a pair, rather than tremble."""


@dataclass(frozen=True)
class FlowPair:
    """Two frames and what moves between them."""

    first: int
    second: int
    flow: np.ndarray
    """float32 [h,w,2] pixels of the shrunk picture."""
    scale: float
    """Pixels of the video → of the shrunk picture."""
    still: np.ndarray
    """float32 [2] the flow's median: what does not move with the person."""


def require_agreement(
    video: Path,
    keypoints: Path,
    points: Float[np.ndarray, "t k 3"],
    used: Integer[np.ndarray, " t"],
    fps: float,
) -> None:
    """Raise BadInput if the pictures do not move where a person's keypoints do.

    Args:
        video: the video.
        keypoints: names the keypoints in the error.
        points: [T,K,3] x, y in the video's pixels, seen 0/1.
        used: [T] their frames' numbers in the video.
        fps: a second.
    """
    if fps < SLOWEST:
        return
    pairs = flow_pairs(video, points, used, max(1, round(fps * APART)))
    if not pairs:
        return
    given = agreement(points, pairs)
    tried = {
        text: agreement(np.concatenate([change(points[..., :2]), points[..., 2:]], -1), pairs)
        for text, change in units(*frame_size(video)).items()
    }
    step, stretched = stretch(points)
    if step > 1:
        # Frame k of the keypoints would be frame k·step of the video, so their pairs are others.
        ordinal = {2: "second", 3: "third"}.get(step, f"{step}th")
        tried[f"as those of every {ordinal} frame"] = agreement(
            stretched, flow_pairs(video, stretched, used, step)
        )
    text = max(tried, key=lambda name: tried[name])
    if tried[text] >= max(EXPLAINED, given + BETTER):
        raise BadInput(
            f"{keypoints} does not lie on the person of {video} as it is, but does {text}; give "
            "pixels of this video, for each frame"
        )
    if given < NOTHING and moved(points, pairs) >= MOVING:
        raise BadInput(
            f"{keypoints} moves where nothing moves in {video}; give the keypoints of this video, "
            "in its own pixels"
        )


def units(width: int, height: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what points [...,2] of a W x H video may have been written in, by description, as
    functions to its pixels."""
    out: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "with y before x (--layout with -yx at the end)": lambda p: p[..., ::-1],
        "in percent of the picture": lambda p: p * (width / 100, height / 100),
        "in the picture turned back by 90°": lambda p: np.stack(
            [width - 1 - p[..., 1], p[..., 0]], -1
        ),
        "in the picture turned on by 90°": lambda p: np.stack(
            [p[..., 1], height - 1 - p[..., 0]], -1
        ),
        "in the picture upside down": lambda p: (width - 1, height - 1) - p,
        "with y counted from below": lambda p: p * (1, -1) + (0, height - 1),
        "in the mirrored picture": lambda p: p * (-1, 1) + (width - 1, 0),
    }
    factors = {
        "at half the video's size": 2, "at twice the video's size": 1 / 2,
        "at a third of the video's size": 3, "at three times the video's size": 1 / 3,
        "at two thirds of the video's size": 3 / 2, "at 3/2 of the video's size": 2 / 3,
        "at a quarter of the video's size": 4, "at four times the video's size": 1 / 4,
        "in a picture 640 pixels wide": width / 640,
    }  # fmt: skip
    for text, factor in factors.items():
        if abs(factor - 1) > 0.2:
            out[text] = lambda p, factor=factor: (p + 0.5) * factor - 0.5
    return out


def stretch(points: Float[np.ndarray, "t k 3"]) -> tuple[int, Float[np.ndarray, "m k 3"]]:
    """Return (n, points [T,K,3]) as if they were of every n-th frame; n is 1 if they cannot be.

    Such keypoints end at an n-th of the video.
    """
    seen = np.flatnonzero(points[..., 2].any(1))
    length = seen[-1] + 1 if len(seen) else len(points)
    step = round(len(points) / length)
    out = np.zeros_like(points)
    if step > 1 and abs(length * step - len(points)) < step:
        out[::step] = points[: len(out[::step])]
        return step, out
    return 1, out


def flow_pairs(
    video: Path, points: Float[np.ndarray, "t k 3"], used: Integer[np.ndarray, " t"], gap: int
) -> list[FlowPair]:
    """Return pairs of frames `gap` apart that both show the person of points [T,K,3], whose numbers
    in the video are used [T]."""
    shown = (points[..., 2] > 0).sum(1) >= 3
    firsts = np.flatnonzero(shown[:-gap] & shown[gap:])
    if not len(firsts):
        return []
    firsts = firsts[firsts < firsts[0] + SPAN]
    firsts = np.unique(firsts[np.linspace(0, len(firsts) - 1, PAIRS).astype(int)])
    person = np.median([_diagonal(points[first]) for first in firsts])
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    small: dict[int, np.ndarray] = {}
    scale = 1.0
    wanted = np.unique([firsts, firsts + gap]).tolist()
    for number, frame in zip(wanted, read_frames(video, used[wanted].tolist()), strict=True):
        longer = max(frame.shape[:2])
        scale = min(1.0, float(np.clip(longer * PERSON / person, *SIDES)) / longer)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        small[number] = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pairs = []
    for first in firsts.tolist():
        both = small[first], small[first + gap]
        flow = dis.calc(*both, None)  # pyright: ignore[reportCallIssue, reportArgumentType]
        still = np.median(flow.reshape(-1, 2), axis=0)
        pairs.append(FlowPair(first, first + gap, flow, scale, still))
    return pairs


def _diagonal(points: np.ndarray) -> float:
    seen = points[points[:, 2] > 0, :2]
    return max(float(np.linalg.norm(np.ptp(seen, axis=0))), 1.0)


def agreement(points: Float[np.ndarray, "t k 3"], pairs: list[FlowPair]) -> float:
    """Return how well points [T,K,3] move as the pictures do there, from -1 to 1; 0 for no pairs.

    The mean of two correlations: of displacements less the picture's median, and less the person's
    mean too.
    """
    sums = np.zeros((2, 3))
    for pair in pairs:
        first, second = points[pair.first], points[pair.second]
        seen = (first[:, 2] > 0) & (second[:, 2] > 0)
        at, to = (part[seen, :2] * pair.scale for part in (first, second))
        height, width = pair.flow.shape[:2]
        x, y = np.round(at).astype(int).T
        within = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        flow = np.zeros_like(at)
        flow[within] = pair.flow[y[within], x[within]] - pair.still
        move = to - at - pair.still
        for row, middle in enumerate((0, 1)):
            a, b = (part - middle * part.mean(0) for part in (move, flow))
            squares = np.maximum((a**2).sum(1), (b**2).sum(1))
            weight = 1 / (1 + squares / FAR**2)
            sums[row] += [(weight * (u * v).sum(1)).sum() for u, v in ((a, b), (a, a), (b, b))]
    both, own, picture = sums.T
    return float((both / np.sqrt(own * picture + 1e-9)).mean())


def moved(points: Float[np.ndarray, "t k 3"], pairs: list[FlowPair]) -> float:
    """Return how far points [T,K,3] move in a pair, root mean square in pixels of the shrunk
    picture; 0 if they only tremble.

    In twice the time a moving point goes twice as far, a trembling one no farther.
    """
    near, far = [], []
    for pair in pairs:
        third = 2 * pair.second - pair.first
        if third < len(points):
            seen = (points[[pair.first, pair.second, third], :, 2] > 0).all(0)
            a, b, c = (points[t, seen, :2] * pair.scale for t in (pair.first, pair.second, third))
            near.append(((b - a) ** 2).sum(1))
            far.append(((c - a) ** 2).sum(1))
    if not near:
        return 0.0
    once, twice = (np.concatenate(part).mean() for part in (near, far))
    motion = (twice - once) / 3
    return float(np.sqrt(max(motion, 0.0))) if motion > once / 3 else 0.0
