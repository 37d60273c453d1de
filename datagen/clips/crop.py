"""The crop around a person: HMR's box, HMMR's smoothing and jitter, as one affine map per frame.

The same rule applies to all network inputs: synthetic clips use the joints that a detector would
find, real footage uses detected joints. HMR scales the box of the visible joints to a diagonal of
150 px in a 224 px crop. HMMR fills missing frames by linear interpolation, then smooths the box in
time with a median over 11 frames and a Gaussian of 3.

An affine map [2,3] maps source pixels to crop pixels, with pixel centres at integer coordinates.
All maps here are a scale and a translation, so their inverse is exact and rows stay rows.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d, median_filter

from datagen.clips.options import ClipsConfig

MEDIAN_FRAMES = 11  # HMMR src/util/smooth_bbox.py
GAUSSIAN_FRAMES = 3.0  # the same, as HMMR uses it for 3DPW
MIN_JOINTS = 6  # HMMR accepts any box; a single visible arm would fill the crop
MIN_DIAGONAL = 4.0  # px; a smaller box is a detection error, not a person


def crop_maps(
    joints: np.ndarray, size: int, *, diagonal: float = 150.0, threshold: float = 0.0
) -> np.ndarray:
    """Return the smoothed crop of every frame of a track.

    Args:
        joints: [T,K,3] x, y in source pixels and confidence, for any set of joints.
        size: side of the crop, pixels.
        diagonal: diagonal of the joints' box in the crop, pixels at 224.
        threshold: joints with at most this confidence are missing. HMMR: 0.1 for 3DPW.

    Returns:
        float64 [T,2,3] affine maps, source pixels → crop pixels.

    Raises:
        ValueError: no frame has a box.
    """
    return box_maps(joint_boxes(joints, threshold), size, diagonal)


def joint_boxes(
    joints: Float[np.ndarray, "t k 3"], threshold: float = 0.0
) -> Float[np.ndarray, "t 3"]:
    """Return [T,3]: centre x, y and diagonal of each frame's visible joints.

    NaN if a frame shows fewer than six joints (or, if no frame shows six, fewer than the best
    frame), only one joint, or a box smaller than four pixels.
    """
    joints = np.asarray(joints, np.float64)
    visible = (joints[..., 2] > threshold)[..., None]
    low = np.where(visible, joints[..., :2], np.inf).min(axis=1)
    high = np.where(visible, joints[..., :2], -np.inf).max(axis=1)
    boxes = np.full((len(joints), 3), np.nan)
    counts = visible.sum(axis=(1, 2))
    known = counts >= max(2, min(MIN_JOINTS, counts.max(initial=0)))
    boxes[known, :2] = (low[known] + high[known]) / 2
    boxes[known, 2] = np.linalg.norm(high[known] - low[known], axis=-1)
    boxes[known & ~(np.nan_to_num(boxes[:, 2]) >= MIN_DIAGONAL)] = np.nan
    return boxes


def fill(boxes: Float[np.ndarray, "t c"]) -> Float[np.ndarray, "t c"]:
    """Return boxes [T,3] with missing (NaN) frames interpolated, constant at the ends."""
    known = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    if not len(known):
        raise ValueError(
            f"none of the {len(boxes)} frames shows two joints {MIN_DIAGONAL:g} px apart to crop "
            "around; give frames in which the person is seen"
        )
    frames = np.arange(len(boxes))
    return np.stack([np.interp(frames, known, column[known]) for column in boxes.T], axis=1)


def smooth(values: Float[np.ndarray, "t n"]) -> Float[np.ndarray, "t n"]:
    """Return [T,N] values after HMMR's median and Gaussian filters along time.

    Values are constant beyond the ends, whereas HMMR's `medfilt` pads with zeros and pulls the
    first and last five frames towards the image's corner.
    """
    values = median_filter(values, size=(MEDIAN_FRAMES, 1), mode="nearest")
    return gaussian_filter1d(values, GAUSSIAN_FRAMES, axis=0, mode="nearest")


def box_maps(
    boxes: Float[np.ndarray, "t 3"], size: int, diagonal: float = 150.0
) -> Float[np.ndarray, "t 2 3"]:
    """Return the smoothed crop maps [T,2,3] of boxes [T,3]; see `crop_maps` and `joint_boxes`."""
    boxes = fill(boxes)
    boxes[:, 2] = diagonal * size / 224 / boxes[:, 2]  # smoothed as a scale, as in HMMR
    centres, scales = np.split(smooth(boxes), [2], axis=1)
    maps = np.zeros((len(boxes), 2, 3))
    maps[:, [0, 1], [0, 1]] = scales
    maps[:, :, 2] = (size - 1) / 2 - scales * centres
    return maps


def jitter(
    maps: Float[np.ndarray, "t 2 3"], cfg: ClipsConfig, rng: np.random.Generator
) -> Float[np.ndarray, "t 2 3"]:
    """Return maps [T,2,3] with jitter like that of detected boxes (HMMR `TubePreprocessor`).

    A shift and a log2 scale are drawn uniformly per clip and then follow a random walk within the
    same bounds. The walk is smoothed with the Gaussian used for all boxes: unsmoothed, it would
    move the whole crop by about 2 px per frame, unlike any smoothed track, and the crop's flow
    would hide that of the limbs.
    """
    size = cfg.image_size
    shift, step = cfg.jitter_translation * size / 224, cfg.jitter_translation_step * size / 224
    frames = len(maps)
    scales = 2 ** walk(frames, 1, cfg.jitter_scale, cfg.jitter_scale_step, rng)
    middle = (size - 1) / 2
    shaken = maps * scales[:, :, None]
    shaken[:, :, 2] += middle * (1 - scales) + walk(frames, 2, shift, step, rng)
    return shaken


def walk(
    frames: int, axes: int, bound: float, step: float, rng: np.random.Generator
) -> Float[np.ndarray, "frames axes"]:
    """Return random walks [frames, axes] that start anywhere in ±bound and stay within it.

    Steps are uniform in ±step; the walk is smoothed in time and reflected at its bounds.
    """
    start = rng.uniform(-bound, bound, axes)
    steps = rng.uniform(-step, step, (frames - 1, axes))
    if bound == 0:
        return np.zeros((frames, axes))
    path = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
    path = gaussian_filter1d(path, GAUSSIAN_FRAMES, axis=0, mode="nearest")
    return bound - np.abs((path + bound) % (4 * bound) - 2 * bound)


def transform(
    maps: Float[np.ndarray, "t 2 3"], points: Float[np.ndarray, "t k 2"]
) -> Float[np.ndarray, "t k 2"]:
    """Return points [T,K,2] mapped by affine maps [T,2,3]."""
    return points @ maps[:, :, :2].transpose(0, 2, 1) + maps[:, None, :, 2]


def inverse(maps: Float[np.ndarray, "t 2 3"]) -> Float[np.ndarray, "t 2 3"]:
    """Return the inverse maps [T,2,3], crop pixels → source pixels."""
    linear = np.linalg.inv(maps[:, :, :2])
    return np.concatenate([linear, -linear @ maps[:, :, 2:]], axis=2)
