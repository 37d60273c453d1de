"""Compositing: warps person, scene and occluder directly into the crop, with one resampling.

The result equals compositing at full resolution and then cropping, with edges repeated beyond the
frame. But each layer is sampled only once, at the crop's resolution, so nothing is blurred twice
and no hard silhouette is magnified. Colours are premultiplied by coverage, so neither black nor the
old background bleeds into edges. A crop smaller than its source is low-pass filtered first, to
avoid aliasing.

T frames, S side of the crop, H W pixels of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Num, UInt8


@dataclass(frozen=True)
class Layers:
    """A clip's layers before cropping; from front to back: occluder, person, scene."""

    rgb: np.ndarray
    """uint8 [T,H,W,3], the person; 0 outside its mask, so already premultiplied."""
    mask: np.ndarray
    """bool or uint8 0/1 [T,H,W], the person."""
    offsets: np.ndarray
    """[T,2] the person's offset, pixels."""
    scene: np.ndarray
    """uint8 [T,H,W,3]."""
    occluder: np.ndarray | None
    """uint8 [T,H,W], 255 where the scene hides the person; None if nowhere."""


def composite(
    layers: Layers, maps: Float[np.ndarray, "t 2 3"], size: int
) -> tuple[UInt8[np.ndarray, "t s s 3"], UInt8[np.ndarray, "t s s"]]:
    """Return the crops uint8 [T,S,S,3] and the occluder's coverage, uint8 [T,S,S].

    Args:
        layers: the clip.
        maps: [T,2,3] crop maps, each a scale and a translation (`datagen.clips.crop`).
        size: S.
    """
    frames = len(maps)
    crops = np.empty((frames, size, size, 3), np.uint8)
    covers = np.zeros((frames, size, size), np.uint8)
    for t in range(frames):
        _frame(layers, t, maps[t], crops[t], covers[t])
    return crops, covers


def crop_frames(
    frames: UInt8[np.ndarray, "t h w 3"], maps: Float[np.ndarray, "t 2 3"], size: int
) -> UInt8[np.ndarray, "t s s 3"]:
    """Return the crops uint8 [T,S,S,3] of frames [T,H,W,3]: `composite` for real footage."""
    crops = np.empty((len(maps), size, size, 3), np.uint8)
    for image, crop, out in zip(frames, maps, crops, strict=True):
        image, crop = reduce(image, crop)
        _crop(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), crop, out)
    return crops


def reduce(
    image: Num[np.ndarray, "h w *channels"], crop: Float[np.ndarray, "2 3"]
) -> tuple[Num[np.ndarray, "h2 w2 *channels"], Float[np.ndarray, "2 3"]]:
    """Return a frame much larger than its crop, averaged over squares of pixels, and its crop map.

    If f frame pixels map to one crop pixel, squares of side k = f // 4 leave a factor of at least 4
    to `shrink_kernel`. Together they average over the same width as the kernel alone: the variances
    are (k² − 1)/12 and (f² − k²)/12 in frame pixels. Alone, the kernel needs 30 taps for full HD at
    128 px.
    """
    scale = crop[0, 0]
    square = int(0.25 / scale)
    if square < 2:
        return image, crop
    height, width = (-(-side // square) for side in image.shape[:2])
    down, right = height * square - image.shape[0], width * square - image.shape[1]
    image = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    # Pixel centres are at integers, so a square's centre is (k − 1)/2 from its first pixel.
    moved = crop[:, 2:] + scale * (square - 1) / 2
    return image, np.concatenate([crop[:, :2] * square, moved], axis=1)


def _frame(layers: Layers, t: int, crop: np.ndarray, out: np.ndarray, cover: np.ndarray) -> None:
    """Draw frame t into `out` [S,S,3] and `cover` [S,S]."""
    scene = cv2.cvtColor(layers.scene[t], cv2.COLOR_RGB2RGBA)
    if layers.occluder is not None:
        cv2.insertChannel(layers.occluder[t], scene, 3)
    scene, x, y, kernel = _crop(scene, crop, out)
    if layers.occluder is not None:
        cv2.extractChannel(scene, 3, dst=cover)

    mask = layers.mask[t].view(np.uint8)
    left, top, wide, high = cv2.boundingRect(mask)
    if not wide:
        return
    margin = len(kernel) // 2 + 1
    box = np.s_[
        max(top - margin, 0) : top + high + margin, max(left - margin, 0) : left + wide + margin
    ]
    person = cv2.cvtColor(np.ascontiguousarray(layers.rgb[t][box]), cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(mask[box] * np.uint8(255), person, 3)
    person = blur(person, kernel, cv2.BORDER_CONSTANT)
    x = x - layers.offsets[t, 0] - box[1].start
    y = y - layers.offsets[t, 1] - box[0].start
    columns, rows = _span(x, person.shape[1]), _span(y, person.shape[0])
    if columns.start == columns.stop or rows.start == rows.stop:
        return
    person = sample(person, x[columns], y[rows])
    _over(person, out[rows, columns], cover[rows, columns])


def _crop(
    image: np.ndarray, crop: np.ndarray, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw the crop of `image` [H,W,4] into `out` [S,S,3].

    OpenCV warps four channels faster than three; the fourth can hold a mask.

    Returns:
        the crop of all four channels; its columns x [S] and rows y [S] in the image; the shrinking
        kernel.
    """
    height, width = image.shape[:2]
    scale = crop[0, 0]
    # Clamping the sampling positions repeats the frame's edge, like HMMR's padding.
    x = np.clip((np.arange(out.shape[1]) - crop[0, 2]) / scale, 0, width - 1)
    y = np.clip((np.arange(out.shape[0]) - crop[1, 2]) / scale, 0, height - 1)
    kernel = shrink_kernel(scale)
    image = sample(blur(image, kernel, cv2.BORDER_REPLICATE), x, y)
    cv2.cvtColor(image, cv2.COLOR_RGBA2RGB, dst=out)
    return image, x, y, kernel


def _over(person: np.ndarray, scene: np.ndarray, cover: np.ndarray) -> None:
    """Draw the person [h,w,4], premultiplied, over `scene` [h,w,3], except where it is covered.

    Exact at the extremes: full coverage keeps the scene's bytes, zero gives the plain composite.
    """
    shown = 1 - cover.astype(np.float32) / 255
    through = 1 - shown * person[..., 3] / np.float32(255)
    front = cv2.multiply(person[..., :3], cv2.merge([shown] * 3), dtype=cv2.CV_32F)
    back = cv2.multiply(scene, cv2.merge([through] * 3), dtype=cv2.CV_32F)
    scene[:] = cv2.add(front, back, dtype=cv2.CV_8U)


def _span(positions: np.ndarray, length: int) -> slice:
    """Return the range of (ascending) sampling positions within 0..length-1."""
    return slice(
        int(np.searchsorted(positions, -1, "right")), int(np.searchsorted(positions, length))
    )


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return image [H,W,C] at columns x [w] and rows y [h], bilinear; 0 beyond the image."""
    across = np.empty((len(y), len(x)), np.float32)
    down = np.empty_like(across)
    across[:] = x
    down[:] = y[:, None]
    return cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def shrink_kernel(scale: float) -> Float[np.ndarray, " taps"]:
    """Return the 1-D kernel that turns bilinear sampling at `scale` < 1 into an area average.

    A crop pixel covers f = 1/scale source pixels. A box of width f has a variance (f² − 1)/12
    larger than one of width 1; three taps [v/2, 1−v, v/2] give exactly that for v up to 1/2, and
    several passes of them beyond.
    """
    variance = (1 / scale**2 - 1) / 12
    kernel = np.ones(1)
    if variance < 1 / 255:  # would change no byte
        return kernel
    passes = int(np.ceil(variance * 2))
    tap = variance / passes / 2
    for _ in range(passes):
        kernel = np.convolve(kernel, [tap, 1 - 2 * tap, tap])
    return kernel


def blur(image: np.ndarray, kernel: np.ndarray, border: int) -> np.ndarray:
    """Return image [H,W,C] filtered by the kernel along both axes."""
    if len(kernel) == 1:
        return image
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=border)
