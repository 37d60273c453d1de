"""Blobs of roughly one colour that last through a window: SLIC over the clip as a volume.

The paper cuts the person by one superpixel of the background video, "blobs of roughly uniform
color tracked throughout the video" (section 3.1); its parameters are unknown. SLIC ties a segment
to one place of the volume, so three things make it follow the scene and last:

* the frames are first warped back by the camera's motion, so that the scene stands still;
* the volume gets so few time steps that SLIC's seed grid has one layer in time (with more, it
  starts several layers and cuts every segment in two or three along time);
* it runs at a quarter of the size, where a segment of the asked number is still ~10 pixels wide.
"""

from __future__ import annotations

import cv2
import numpy as np
from skimage.segmentation import slic

# T frames, h w coarse pixels

MAX_LABELS = 255  # labels are uint8
MAX_STRETCH = 3.0  # the stabilised canvas is at most so many times wider or higher than a frame


def time_step(frames: int, height: int, width: int, segments: int) -> int:
    """Return the frames a time step must merge so that SLIC seeds one layer in time.

    SLIC's grid step is (volume / segments)^(1/3); it must not be shorter than the volume lasts.
    """
    most = int(np.sqrt(height * width / segments) * 0.99)
    return int(np.ceil(frames / max(most, 1)))


def _canvas(motion: np.ndarray, height: int, width: int) -> tuple[np.ndarray, int, int]:
    """Return the shift [2] and size that let all stabilised frames lie on one canvas."""
    corners = np.asarray([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1]], np.float32)
    corners = np.vstack([corners, [[width - 1, height - 1, 1]]]).astype(np.float32)
    back = np.stack([cv2.invertAffineTransform(m) for m in motion])
    placed = np.einsum("tij,cj->tci", back, corners).reshape(-1, 2)
    centre = np.asarray([width - 1, height - 1], np.float64) / 2
    reach = MAX_STRETCH / 2 * np.asarray([width, height], np.float64)
    low = np.floor(np.maximum(placed.min(0), centre - reach))
    high = np.ceil(np.minimum(placed.max(0), centre + reach))
    return low, int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1


def supervoxels(
    frames: np.ndarray,
    motion: np.ndarray,
    segments: int,
    *,
    scale: int = 4,
    compactness: float = 10.0,
    time_spacing: float = 0.25,
) -> np.ndarray:
    """Return segment labels uint8 [T,h,w], 0..n-1, every label present, at 1/scale of the frames.

    frames uint8 [T,H,W,3] RGB; motion float32 [T,2,3] similarity from frame 0 to t; `segments`
    asked of SLIC (it may return fewer on flat pictures). h = ceil(H/scale), w = ceil(W/scale).
    Deterministic.
    """
    count, full_height, full_width = frames.shape[:3]
    height, width = -(-full_height // scale), -(-full_width // scale)
    small = [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames]

    # The same motion in coarse pixels, whose centres lie at scale * x + (scale - 1) / 2.
    ratio = np.asarray([full_width / width, full_height / height], np.float64)
    offset = (ratio - 1) / 2
    linear = motion[:, :, :2] * (ratio[None, None, :] / ratio[None, :, None])
    moved = motion[:, :, :2] @ offset + motion[:, :, 2] - offset
    coarse = np.concatenate([linear, (moved / ratio)[:, :, None]], axis=2)

    low, canvas_width, canvas_height = _canvas(coarse, height, width)
    # Canvas pixel -> frame pixel, for every frame.
    coarse[:, :, 2] += coarse[:, :, :2] @ low
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (canvas_width, canvas_height)
    still = np.stack(
        [
            cv2.warpAffine(f, m, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for f, m in zip(small, coarse, strict=True)
        ]
    )

    segments = max(2, round(segments * canvas_width * canvas_height / (width * height)))
    segments = min(segments, MAX_LABELS)
    step = time_step(count, canvas_height, canvas_width, segments)
    groups = np.arange(count) // step
    volume = np.stack(
        [still[groups == g].mean(axis=0, dtype=np.float32) for g in range(groups[-1] + 1)]
    )
    labels = slic(
        volume / 255,
        n_segments=segments,
        compactness=compactness,
        spacing=(time_spacing * step, 1, 1),
        start_label=0,
        channel_axis=-1,
    )
    back = np.stack(
        [
            cv2.warpAffine(
                labels[g].astype(np.float32),
                cv2.invertAffineTransform(m),
                (width, height),
                flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for g, m in zip(groups, coarse, strict=True)
        ]
    )
    present, relabelled = np.unique(back, return_inverse=True)
    if len(present) > MAX_LABELS + 1:
        raise ValueError(f"SLIC made {len(present)} segments of {segments}; labels are uint8")
    return relabelled.reshape(back.shape).astype(np.uint8)
