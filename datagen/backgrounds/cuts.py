"""Faults of a window that are detected without tracking: cuts, black frames, frozen frames."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Integer, UInt8

# T frames

THUMBNAIL = (40, 30)  # width, height
BLACK = 10.0  # 95th percentile of brightness below which a frame is black, of 255
SAME = 0.05  # mean difference of thumbnails below which two frames are identical, of 255
FROZEN_SHARE = (
    0.6  # share of repeated frames; cartoons show every drawing twice, so half must be allowed
)
CUT = 12.0  # least mean difference of a cut, of 255
CUT_RATIO = 4.0  # and its least ratio to the window's typical difference


def thumbnails(frames: np.ndarray) -> np.ndarray:
    """Return float32 [T,30,40,3] thumbnails of uint8 [T,H,W,3]."""
    small = [cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.float32)


def differences(thumbs: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference of neighbouring thumbnails, float32 [T-1], of 255."""
    return np.abs(np.diff(thumbs, axis=0)).mean(axis=(1, 2, 3))


def cuts(difference: Float[np.ndarray, " pairs"]) -> Integer[np.ndarray, " found"]:
    """Return the indices t at which frame t+1 belongs to another shot than frame t."""
    usual = np.median(difference) if len(difference) else 0.0
    return np.flatnonzero(difference > max(CUT, CUT_RATIO * usual))


def window_fault(frames: UInt8[np.ndarray, "t h w 3"]) -> str | None:
    """Return the fault of a window uint8 [T,H,W,3], `black`, `frozen` or `cut`, or None."""
    thumbs = thumbnails(frames)
    if (np.percentile(thumbs, 95, axis=(1, 2, 3)) < BLACK).any():
        return "black"
    difference = differences(thumbs)
    if (difference < SAME).mean() > FROZEN_SHARE:
        return "frozen"
    if len(cuts(difference)):
        return "cut"
    return None
