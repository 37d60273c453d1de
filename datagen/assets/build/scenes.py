"""Make datagen/assets/scenes/: panoramas and textures of the embedded scenes, all CC0.

python datagen/assets/build/scenes.py --panoramas FOLDER
    (needs `pip install OpenEXR opencv-python-headless scikit-image`)

FOLDER holds the eight world lights of Debian's `blender-data` (*.exr) and, in poly_haven/, the 18
of npm's `@pmndrs/assets`. Each panorama is exposed for its ground half, where people stand, tone
mapped towards white and stored as sRGB. The textures are photographs from the scikit-image wheel.
OpenEXR is needed only here; the pipeline reads the JPEGs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage.data

QUALITY = 93  # JPEG; at 92 and below, the 512-pixel skies show blocks when enlarged
MIDDLE_GREY = 0.2  # target linear value for the median of the ground half
MAX_GAIN = 5.0  # keeps night scenes dark
BRIGHT = 3.0  # exposed linear value around which resampling causes ringing
SPECK = 30  # of 255, least change by closing for a pixel to be a speck
UNUSED = {
    "sunrise2",  # a smaller version of `sunrise`
    "sky",  # open water: nowhere to stand
}
TEXTURE_SIDE = 256
# name: scikit-image's photograph, the square crop (left, top, side), its tint
TEXTURES = {
    "brick_red": ("brick", (0, 0, 400), (1.0, 0.62, 0.5)),
    "brick_pale": ("brick", (100, 100, 400), (1.0, 0.95, 0.85)),
    "gravel": ("gravel", (0, 0, 512), (0.95, 0.92, 0.88)),
    "hedge": ("grass", (0, 0, 512), (0.62, 0.85, 0.45)),
    "poster_cat": ("chelsea", (60, 0, 300), (1.0, 1.0, 1.0)),
    "poster_coffee": ("coffee", (120, 0, 400), (1.0, 1.0, 1.0)),
    "poster_rocket": ("rocket", (100, 0, 427), (1.0, 1.0, 1.0)),
}
WHITE = 8.0  # exposed linear value that becomes pure white


def read_exr(path: Path) -> np.ndarray:
    """Return an EXR's linear RGB, float32 [H,W,3], without NaNs and negative ringing."""
    import OpenEXR  # pyright: ignore[reportMissingImports]

    channels = OpenEXR.File(str(path)).channels()
    if "RGB" in channels:
        pixels = channels["RGB"].pixels
    elif "RGBA" in channels:
        pixels = channels["RGBA"].pixels[..., :3]
    else:
        pixels = np.stack([channels[name].pixels for name in "RGB"], axis=-1)
    # The suns are NaN, with negative ringing from cubic resampling around them.
    pixels = np.clip(np.nan_to_num(np.asarray(pixels, np.float32), nan=1e4), -1.0, 1e4)
    ring = (pixels < 0).any(axis=-1)
    pixels = np.maximum(pixels, 0.0)
    pixels[ring] = cv2.medianBlur(pixels, 5)[ring]
    return pixels


def tone_map(linear: np.ndarray) -> np.ndarray:
    """Return uint8 sRGB [H,W,3]: exposed for the ground half, extended Reinhard, sRGB's curve."""
    height = len(linear)
    luminance = linear @ np.float32([0.2126, 0.7152, 0.0722])
    band = luminance[int(0.42 * height) : int(0.8 * height)]
    exposed = linear * min(MIDDLE_GREY / max(float(np.median(band)), 1e-4), MAX_GAIN)
    rolled = np.clip(exposed * (1 + exposed / WHITE**2) / (1 + exposed), 0.0, 1.0)
    srgb = np.where(rolled < 0.0031308, 12.92 * rolled, 1.055 * rolled ** (1 / 2.4) - 0.055)
    picture = np.round(255 * srgb).astype(np.uint8)
    # Cubic resampling of the HDR left dark specks along very bright edges; closing fills them.
    kernel = np.ones((3, 3), np.uint8)
    closed = cv2.morphologyEx(picture, cv2.MORPH_CLOSE, kernel)
    bright = cv2.dilate(exposed.max(axis=2), np.ones((5, 5))) > BRIGHT
    specks = (cv2.subtract(closed, picture).max(axis=2) > SPECK) & bright
    picture[specks] = closed[specks]
    return picture


def texture(photograph: np.ndarray, square: tuple[int, int, int], tint: tuple) -> np.ndarray:
    """Return a tinted square uint8 [256,256,3] of a photograph, grey or RGB."""
    left, top, side = square
    part = photograph[top : top + side, left : left + side]
    if part.ndim == 2:
        part = np.repeat(part[..., None], 3, axis=2)
    part = cv2.resize(part, (TEXTURE_SIDE, TEXTURE_SIDE), interpolation=cv2.INTER_AREA)
    return np.clip(part * np.float32(tint), 0, 255).astype(np.uint8)


def write(path: Path, picture: np.ndarray) -> None:
    """Write an RGB picture as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    cv2.imwrite(str(path), picture[..., ::-1], parameters)
    print(f"{path.name}: {picture.shape[1]} x {picture.shape[0]}, {path.stat().st_size} bytes")


def main() -> None:
    """Write every panorama and texture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--panoramas", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "scenes")
    options = parser.parse_args()
    larger = sorted(options.panoramas.glob("*.exr"))
    taken = {path.stem for path in larger}
    for path in larger + sorted((options.panoramas / "poly_haven").glob("*.exr")):
        again = path.parent.name == "poly_haven" and path.stem in taken
        name = f"{path.stem}2" if again else path.stem
        if name not in UNUSED:
            write(options.out / "panoramas" / f"{name}.jpg", tone_map(read_exr(path)))
    for name, (photograph, square, tint) in TEXTURES.items():
        picture = texture(getattr(skimage.data, photograph)(), square, tint)
        write(options.out / "textures" / f"{name}.jpg", picture)


if __name__ == "__main__":
    main()
