"""Photos and procedural cloth patterns for the layers of an image pair."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from datagen.common import pictures
from datagen.common.errors import BadInput
from datagen.common.files import files_below
from datagen.common.splits import Split, in_split
from datagen.flow.training.rigid2d import about, rigid

_PHOTOS = (
    "astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "motorcycle_right.png",
    "retina.jpg", "rocket.jpg",
)  # fmt: skip
"""Photos in scikit-image's wheel (CC0 or public domain)."""
Look = tuple[np.ndarray, np.ndarray]
"""A texture and its placement."""


def load_textures(folder: Path | None = None, split: Split = "all") -> list[np.ndarray]:
    """Return photos for textures, uint8 [h,w,3]: all in `folder`, or the split's part of the
    embedded scenes and scikit-image's photos.

    Raises:
        BadInput: the folder holds no readable .jpg or .png.
    """
    if folder is None:
        import skimage.data

        scenes = Path(__file__).parents[2] / "assets" / "scenes"
        photos = Path(skimage.data.__file__).parent
        paths = sorted(scenes.rglob("*.jpg")) + [photos / name for name in _PHOTOS]
        chosen = in_split((path.stem for path in paths), split, "photos")
        paths = [path for path in paths if path.stem in chosen]
    else:
        paths = [p for p in files_below(folder) if p.suffix.lower() in (".jpg", ".png")]
    textures = []
    for path in paths:
        with suppress(OSError, ValueError):  # files that are not pictures
            textures.append(cv2.cvtColor(pictures.read(path), cv2.COLOR_BGR2RGB))
    if not textures:
        raise BadInput(f"{folder} holds no readable .jpg or .png: name a folder of photos.")
    return textures


def cut(
    textures: list[np.ndarray], size: int, rng: np.random.Generator, plain: float = 0.3
) -> Look:
    """Return a texture and a placement with which it covers (nearly) the whole image.

    With probability `plain` it has nearly one colour, like many clothes.
    """
    return _cut(textures[rng.integers(len(textures))], size, rng, plain)


def cut_cloth(
    textures: list[np.ndarray], size: int, rng: np.random.Generator, plain: float = 0.3
) -> Look:
    """Return the same for a photo or a procedural pattern, for objects with an outline.

    Unbounded stripes have ambiguous motion: RAFT predicts 100 px and more for them.
    """
    if rng.random() < 0.7:
        return cut(textures, size, rng, plain)
    return _cut(_pattern(rng), size, rng, plain)


def _cut(texture: np.ndarray, size: int, rng: np.random.Generator, plain: float) -> Look:
    height, width = texture.shape[:2]
    scale = np.exp(rng.uniform(np.log(0.5), np.log(2.2)))
    scale = max(scale, size / min(height, width))
    side = int(size / scale)
    x, y = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
    patch = texture[y : y + side, x : x + side]
    mean = np.array(cv2.mean(patch)[:3])
    contrast = rng.uniform(0.03, 0.3) if rng.random() < plain else rng.uniform(0.5, 1.2)
    colour = rng.uniform(20, 235, 3) if rng.random() < 0.5 else mean
    curves = np.clip((np.arange(256)[:, None] - mean) * contrast + colour, 0, 255)
    patch = cv2.LUT(patch, curves.astype(np.uint8)[None])
    placement = np.diag([scale, scale, 1.0])
    placement = about(rigid(np.zeros(2), rng.uniform(-180, 180), 0, np.zeros(2)),
                      np.array([size / 2, size / 2])) @ placement  # fmt: skip
    return patch, placement


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """Return a procedural cloth pattern: multi-scale noise, or stripes and checks."""
    side = 192
    if rng.random() < 0.6:
        cloth = np.zeros((side, side, 3), np.float32)
        for grain in (3, 8, 24):
            noise = rng.normal(size=(side // grain, side // grain, 3)).astype(np.float32)
            cloth += rng.uniform(0, 1) * cv2.resize(noise, (side, side))
        cloth = 127 + 70 * cloth
    else:
        x = np.arange(side) * 2 * np.pi / rng.uniform(6, 40)
        wave = np.sign(np.sin(x)) if rng.random() < 0.5 else np.sin(x)
        both = wave[None, :] + (wave[:, None] if rng.random() < 0.5 else 0)
        cloth = 127 + 60 * both[..., None] * rng.uniform(-1, 1, 3)
        cloth = np.broadcast_to(cloth, (side, side, 3))
    return np.clip(cloth, 0, 255).astype(np.uint8)
