"""Image pairs with exact optical flow: textured shapes that move over a moving background.

FlowNet was trained on FlyingChairs: pictures of chairs over photos, both with affine motion. These
pairs are made for people in 30 fps video: backgrounds that are static or move as in hand-held
video, blobs and polygons, and puppets with articulated limbs, plain and patterned, in front of each
other; then noise, blur and compression as in real video. All outlines are polygons and all motions
are planar projective maps, so the flow is exact in every pixel, including occluded ones (it is the
motion of the surface visible in the first image).
"""

# S side of the image

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from datagen.flow.training.layers import Layer, paint
from datagen.flow.training.rigid2d import about, draw_pan, draw_shift, rigid
from datagen.flow.training.shapes import blob, puppet
from datagen.flow.training.textures import cut


def make_pair(
    textures: list[np.ndarray], size: int, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s 3"], Float32[np.ndarray, "s s 2"]]:
    """Return two images uint8 [S,S,3] RGB and the flow float32 [S,S,2] px from first to second."""
    layers = draw_layers(textures, size, rng)
    first, second, flow = paint(layers, size)
    first, second = film([first, second], rng)
    return first, second, flow


def draw_layers(textures: list[np.ndarray], size: int, rng: np.random.Generator) -> list[Layer]:
    """Return the layers of a random scene, from back to front."""
    middle = np.array([size / 2, size / 2])
    camera = background_motion(middle, rng)
    layers = [Layer(*cut(textures, size, rng, plain=0.05), camera)]
    shapes = [blob] * int(rng.integers(0, 5)) + [puppet] * int(rng.integers(0, 3))
    for index in rng.permutation(len(shapes)):
        layers += shapes[index](textures, size, camera, rng)
    return layers


def background_motion(
    middle: Float[np.ndarray, " 2"], rng: np.random.Generator
) -> Float[np.ndarray, "3 3"]:
    """Return a distant scene's motion by the camera between two frames, 3x3.

    Still in a quarter of the pairs, and panned by up to 30 px in another.
    """
    kind = rng.random()
    if kind < 0.25:
        return np.eye(3)
    shift = draw_pan(30, rng) if kind < 0.5 else draw_shift(1.5, 1.1, 30, rng)
    motion = rigid(shift, rng.laplace(0, 0.4), rng.laplace(0, 0.006), middle)
    tilt = np.eye(3)
    tilt[2, :2] = rng.laplace(0, 1e-5, 2)
    return motion @ about(tilt, middle)


def film(images: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the images with camera and codec effects: equal colours and blur, independent
    noise."""
    gain = rng.uniform(0.6, 1.4) * rng.uniform(0.85, 1.15, 3)
    gamma = rng.uniform(0.7, 1.4)
    offset = rng.uniform(-20, 20)
    blur = rng.uniform(0.3, 1.5) if rng.random() < 0.4 else 0
    noise = abs(rng.normal(0, 3)) if rng.random() < 0.6 else 0
    quality = int(rng.integers(25, 96)) if rng.random() < 0.5 else 0
    filmed = []
    for picture in images:
        flicker = 1 + rng.normal(0, 0.01)
        curve = 255 * (np.arange(256)[:, None] / 255) ** gamma * gain * flicker + offset
        table = np.clip(curve, 0, 255).astype(np.uint8)
        image = cv2.LUT(picture, table[None])
        if blur:
            image = cv2.GaussianBlur(image, (0, 0), blur)
        if noise:
            grain = rng.standard_normal(image.shape, np.float32)
            image = cv2.add(image, grain * noise, dtype=cv2.CV_8U)
        if quality:
            _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
            image = cv2.imdecode(code, cv2.IMREAD_COLOR)
        filmed.append(image)
    return filmed
