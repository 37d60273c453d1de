"""Supervoxels: regions of roughly one colour through a whole window, by SLIC on the video volume.

The paper occludes the person with one superpixel of the background video, "blobs of roughly uniform
color tracked throughout the video" (section 3.1); its parameters are unknown. SLIC confines a
segment to one region of the volume, so three steps make segments follow the scene and last:

* the frames are first warped back by the camera motion, so that the scene is static;
* the volume has so few time steps that SLIC's seed grid has a single layer in time (with more, it
  splits every segment into two or three along time);
* SLIC runs at a quarter of the size, at which a segment is still about 10 pixels wide.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from skimage.segmentation import slic

from datagen.backgrounds.options import TIME_SPACING

# T frames, h w coarse pixels

MAX_LABELS = 255  # labels are uint8
MAX_STRETCH = 3.0  # largest ratio of the stabilised canvas to a frame, in width or height


def time_step(frames: int, height: int, width: int, segments: int) -> int:
    """Return the number of frames to merge into a time step so that SLIC seeds one layer in time.

    SLIC's grid step is (volume / segments)^(1/3); it must not be shorter than the volume's
    duration.
    """
    most = int(np.sqrt(height * width / segments) * 0.99)
    return int(np.ceil(frames / max(most, 1)))


def _canvas(motion: np.ndarray, height: int, width: int) -> tuple[np.ndarray, int, int]:
    """Return the shift [2] and size of a canvas that holds all stabilised frames."""
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
    frames: UInt8[np.ndarray, "t h w 3"],
    motion: Float32[np.ndarray, "t 2 3"],
    segments: int,
    *,
    scale: int = 4,
    compactness: float = 10.0,
) -> UInt8[np.ndarray, "t h2 w2"]:
    """Return segment labels uint8 [T,h,w], 0..n-1, every label present, at 1/scale of the frames.

    frames: uint8 [T,H,W,3] RGB; motion: float32 [T,2,3] similarity from frame 0 to t; segments: the
    number requested from SLIC (it may return fewer on flat pictures). h = ceil(H/scale),
    w = ceil(W/scale). Deterministic.
    """
    full = frames.shape[1:3]
    size = -(-full[0] // scale), -(-full[1] // scale)
    coarse = _coarse_motion(motion, full, size)
    canvas, still = _stabilised(frames, coarse, size)
    segments = max(2, round(segments * canvas[0] * canvas[1] / (size[0] * size[1])))
    segments = min(segments, MAX_LABELS)
    step = time_step(len(frames), *canvas, segments)
    groups = np.arange(len(frames)) // step
    volume = np.stack(
        [still[groups == g].mean(axis=0, dtype=np.float32) for g in range(groups[-1] + 1)]
    )
    labels = slic(
        volume / 255,
        n_segments=segments,
        compactness=compactness,
        spacing=(TIME_SPACING * step, 1, 1),
        start_label=0,
        channel_axis=-1,
    )
    back = np.stack([_uncanvas(labels[g], m, size) for g, m in zip(groups, coarse, strict=True)])
    present, relabelled = np.unique(back, return_inverse=True)
    if len(present) > MAX_LABELS + 1:
        raise ValueError(f"SLIC made {len(present)} segments, not {segments}; labels are uint8")
    return relabelled.reshape(back.shape).astype(np.uint8)


def _coarse_motion(motion: np.ndarray, full: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return motion [T,2,3] in coarse pixels, whose centres are at scale * x + (scale - 1) / 2.

    full, size: height and width of the frames and of the coarse frames.
    """
    ratio = np.asarray([full[1] / size[1], full[0] / size[0]], np.float64)
    offset = (ratio - 1) / 2
    linear = motion[:, :, :2] * (ratio[None, None, :] / ratio[None, :, None])
    moved = motion[:, :, :2] @ offset + motion[:, :, 2] - offset
    return np.concatenate([linear, (moved / ratio)[:, :, None]], axis=2)


def _stabilised(
    frames: np.ndarray, coarse: np.ndarray, size: tuple[int, int]
) -> tuple[tuple[int, int], np.ndarray]:
    """Return the canvas's height and width, and the coarse frames warped onto it [T,H',W',3].

    Converts `coarse` [T,2,3] in place to maps from canvas pixels to frame pixels.
    """
    height, width = size
    small = [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames]
    low, canvas_width, canvas_height = _canvas(coarse, height, width)
    coarse[:, :, 2] += coarse[:, :, :2] @ low
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    still = [
        cv2.warpAffine(
            f, m, (canvas_width, canvas_height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        for f, m in zip(small, coarse, strict=True)
    ]
    return (canvas_height, canvas_width), np.stack(still)


def _uncanvas(labels: np.ndarray, to_frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the canvas's labels [H',W'] warped to a coarse frame, float32 [h,w]."""
    return cv2.warpAffine(
        labels.astype(np.float32),
        cv2.invertAffineTransform(to_frame),
        (size[1], size[0]),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
