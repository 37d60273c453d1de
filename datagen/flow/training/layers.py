"""Flat textured layers, drawn in front of each other into two images and their flow."""

# H W pixels, S side of the image, K corners of an outline

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from datagen.flow.training.rigid2d import move


@dataclass(frozen=True)
class Layer:
    """A flat textured layer.

    `texture` is uint8 [h,w,3]; `placement` maps texture pixels to the first image, `motion` maps
    the first image to the second (3x3, projective); `outline` is [K,2] in the first image, None for
    an unbounded layer.
    """

    texture: np.ndarray
    placement: np.ndarray
    motion: np.ndarray
    outline: np.ndarray | None = None


def paint(
    layers: list[Layer], size: int
) -> tuple[UInt8[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s 3"], Float32[np.ndarray, "s s 2"]]:
    """Return both images, uint8 [S,S,3], and the first one's flow, float32 [S,S,2] px.

    A pixel's flow is that of the frontmost layer that covers at least half of it.
    """
    pair = (np.zeros((size, size, 3), np.uint8), np.zeros((size, size, 3), np.uint8),
            np.zeros((size, size, 2), np.float32))  # fmt: skip
    paint_over(pair, layers)
    return pair


def paint_over(pair: tuple[np.ndarray, np.ndarray, np.ndarray], layers: list[Layer]) -> None:
    """Draw layers in front of the content of two images and their flow, in place."""
    first, second, flow = pair
    for layer in layers:
        _lay(second, layer, layer.motion)
        laid = _lay(first, layer, np.eye(3))
        if laid is None:
            continue
        part, cover = laid
        y, x = np.indices(cover.shape, np.float32)
        grid = np.stack((x + part[1].start, y + part[0].start), -1)
        vectors = move(grid, layer.motion.astype(np.float32)) - grid
        flow[part] = np.where(cover[..., None] >= 0.5, vectors, flow[part])


def _lay(
    image: np.ndarray, layer: Layer, there: np.ndarray
) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """Blend one layer, transformed by `there`, into the image in place.

    Returns the affected part of the image (rows, columns) and the coverage of its pixels, float32
    [h,w] in 0..1; None if the layer is outside.
    """
    size = image.shape[0]
    low, high = np.zeros(2, int), np.full(2, size)
    outline = None
    if layer.outline is not None:
        outline = move(layer.outline, there)
        low = np.clip(np.floor(outline.min(0)).astype(int) - 1, 0, size)
        high = np.clip(np.ceil(outline.max(0)).astype(int) + 2, 0, size)
        if (low >= high).any():
            return None
    width, height = (int(n) for n in high - low)
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    to_part = np.eye(3)
    to_part[:2, 2] = -low
    drawn = cv2.warpPerspective(
        layer.texture,
        to_part @ there @ layer.placement,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if outline is None:
        image[part] = drawn
        return part, np.ones((height, width), np.float32)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round((outline - low) * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    cover = mask / np.float32(255)
    below = np.ascontiguousarray(image[part])
    image[part] = cv2.blendLinear(drawn, below, cover, 1 - cover)
    return part, cover
