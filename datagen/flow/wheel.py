"""Flow as colour: direction is hue, length is saturation."""

from __future__ import annotations

import cv2
import numpy as np


def paint_flow(flow: np.ndarray, longest: float | None = None) -> np.ndarray:
    """Return the picture of a flow field, uint8 [H,W,3] RGB.

    Args:
        flow: [H,W,2] px. Right is red, down is green-yellow, left is cyan, up is violet.
        longest: length drawn in full colour; default the field's own 99th percentile.
    """
    x, y = flow[..., 0].astype(np.float32), flow[..., 1].astype(np.float32)
    length = np.hypot(x, y)
    full = max(float(np.percentile(length, 99)) if longest is None else longest, 1e-3)
    hue = np.rad2deg(np.arctan2(y, x)) % 360 / 2
    vivid = np.minimum(1, length / full) * 255
    wheel = np.stack((hue, vivid, np.full_like(hue, 255)), -1).astype(np.uint8)
    return cv2.cvtColor(wheel, cv2.COLOR_HSV2RGB)
