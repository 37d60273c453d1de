"""Checks that keypoints belong to a video: the pictures must move where the keypoints move.

The optical flow at the keypoints is correlated with their displacement, after removing the
picture's and the person's mean motion, so camera motion alone gives no agreement. On eight clips of
real people, correct keypoints score 0.2 to 0.7; keypoints in another unit or order, from another
time or rotated score -0.1 to 0.2 (0.4 if the camera moves along). The correct unit is found by
trial.
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
"""Number of frames, from the first that shows the person, over which the pairs are spread: decoding
more is not worth the time."""
APART = 1 / 15
"""Seconds between the frames of a pair."""
SLOWEST = 8.0
"""Frames per second below which people move too far between frames for the flow."""
PERSON = 150
"""Diagonal in pixels to which the person is scaled, within SIDES of the longer side."""
SIDES = (256, 960)
FAR = 6.0
"""Displacement in pixels beyond which a point has less weight: flow misses fast wrists."""
EXPLAINED = 0.3
"""Agreement above which another unit is the correct one..."""
BETTER = 0.2
"""... if it exceeds the agreement of the unchanged keypoints by this much."""
NOTHING = 0.1
"""Agreement below which the keypoints' motion is not in the pictures..."""
MOVING = 1.0
"""... if they move by at least this many pixels per pair, rather than jitter."""


@dataclass(frozen=True)
class FlowPair:
    """Two frames and the flow between them."""

    first: int
    second: int
    flow: np.ndarray
    """float32 [h,w,2] pixels of the downscaled picture."""
    scale: float
    """Scale from video pixels to pixels of the downscaled picture."""
    still: np.ndarray
    """float32 [2] the flow's median: motion of the background."""


def require_agreement(
    video: Path,
    keypoints: Path,
    points: Float[np.ndarray, "t k 3"],
    used: Integer[np.ndarray, " t"],
    fps: float,
) -> None:
    """Raise BadInput if the pictures do not move where a person's keypoints move.

    Args:
        video: the video.
        keypoints: the keypoints' file, named in the error.
        points: [T,K,3] x, y in the video's pixels, seen 0/1.
        used: [T] frame numbers in the video.
        fps: frames per second.
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
        # Frame k of the keypoints would be frame k·step of the video, so the pairs differ.
        ordinal = {2: "second", 3: "third"}.get(step, f"{step}th")
        tried[f"as those of every {ordinal} frame"] = agreement(
            stretched, flow_pairs(video, stretched, used, step)
        )
    text = max(tried, key=lambda name: tried[name])
    if tried[text] >= max(EXPLAINED, given + BETTER):
        raise BadInput(
            f"{keypoints} does not match the person in {video} as it is, but does {text}; give "
            "pixels of this video, for every frame"
        )
    if given < NOTHING and moved(points, pairs) >= MOVING:
        raise BadInput(
            f"{keypoints} moves where nothing moves in {video}; give the keypoints of this video, "
            "in its pixels"
        )


def units(width: int, height: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return functions that convert points [...,2] from possible units to the pixels of a W x H
    video, by description."""
    out: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "with y before x (a --layout that ends with -yx)": lambda p: p[..., ::-1],
        "in percent of the picture": lambda p: p * (width / 100, height / 100),
        "in the picture rotated back by 90°": lambda p: np.stack(
            [width - 1 - p[..., 1], p[..., 0]], -1
        ),
        "in the picture rotated further by 90°": lambda p: np.stack(
            [p[..., 1], height - 1 - p[..., 0]], -1
        ),
        "in the picture upside down": lambda p: (width - 1, height - 1) - p,
        "with y counted from the bottom": lambda p: p * (1, -1) + (0, height - 1),
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
    """Return (n, points [T,K,3]) as if they belonged to every n-th frame; n is 1 if that is
    impossible.

    Such keypoints end after 1/n of the video.
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
    """Return pairs of frames `gap` apart that both show the person.

    points: [T,K,3]; used: their frame numbers in the video [T].
    """
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
    """Return the agreement of points [T,K,3] with the flow at them, from -1 to 1; 0 without pairs.

    It is the mean of two correlations: of displacements minus the picture's median, and minus the
    person's mean as well.
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
    """Return the RMS motion of points [T,K,3] in a pair, in pixels of the downscaled picture; 0 if
    they only jitter.

    In twice the time, a moving point goes twice as far, a jittering one no farther.
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
