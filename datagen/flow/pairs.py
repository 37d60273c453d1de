"""Image pairs with exact optical flow: textured shapes that move over a moving background.

FlowNet was trained on FlyingChairs: affine-moving pictures of chairs over affine-moving photos.
Ours are made for people on 30 fps video: backgrounds that stand still or move as a hand-held
camera sees them, blobs and polygons, and puppets whose limbs turn about their joints, plain and
patterned, before and behind each other; then the noise, blur and compression of real video. All
outlines are polygons and all motions plane projective maps, so the flow is exact in every pixel,
occluded ones included (it is the motion of the surface that the first image shows).
"""

# H W pixels, S side of the image, K corners of an outline

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datagen.errors import BadInput
from datagen.files import files_below
from datagen.splits import Split, in_split

_PHOTOS = (
    "astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "motorcycle_right.png",
    "retina.jpg", "rocket.jpg",
)  # fmt: skip
"""Photos that scikit-image's wheel holds (CC0 or public domain)."""


Look = tuple[np.ndarray, np.ndarray]
"""A texture and its placement."""


@dataclass(frozen=True)
class Layer:
    """A flat textured thing.

    `texture` is uint8 [h,w,3]; `placement` maps texture pixels to the first image and `motion`
    the first image to the second (3x3, projective); `outline` is [K,2] in the first
    image, None for a layer without end.
    """

    texture: np.ndarray
    placement: np.ndarray
    motion: np.ndarray
    outline: np.ndarray | None = None


def load_textures(folder: Path | None = None, split: Split = "all") -> list[np.ndarray]:
    """Return photos to cut textures from, uint8 [h,w,3]: all of `folder`, or that part of the
    embedded scenes and scikit-image's photos.

    Raises:
        BadInput: the folder holds no readable .jpg or .png.
    """
    if folder is None:
        import skimage.data

        scenes = Path(__file__).parents[1] / "assets" / "scenes"
        photos = Path(skimage.data.__file__).parent
        paths = sorted(scenes.rglob("*.jpg")) + [photos / name for name in _PHOTOS]
        chosen = in_split((path.stem for path in paths), split, "photos")
        paths = [path for path in paths if path.stem in chosen]
    else:
        paths = [p for p in files_below(folder) if p.suffix.lower() in (".jpg", ".png")]
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths if path.is_file()]
    textures = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images if image is not None]
    if not textures:
        raise BadInput(f"{folder} holds no readable .jpg or .png: name a folder of photos.")
    return textures


def make_pair(
    textures: list[np.ndarray], size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two images uint8 [S,S,3] RGB and the flow float32 [S,S,2] px from first to second."""
    layers = draw_layers(textures, size, rng)
    first, second, flow = paint(layers, size)
    first, second = film([first, second], rng)
    return first, second, flow


def draw_layers(textures: list[np.ndarray], size: int, rng: np.random.Generator) -> list[Layer]:
    """Return a random scene, from the background to the front."""
    middle = np.array([size / 2, size / 2])
    camera = background_motion(middle, rng)
    layers = [Layer(*cut(textures, size, rng, plain=0.05), camera)]
    shapes = [blob] * int(rng.integers(0, 5)) + [_puppet] * int(rng.integers(0, 3))
    for index in rng.permutation(len(shapes)):
        layers += shapes[index](textures, size, camera, rng)
    return layers


def background_motion(middle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what a camera does to a far scene between two frames: 3x3, often nothing at all."""
    if rng.random() < 0.25:
        return np.eye(3)
    motion = rigid(_shift(1.5, 1.1, 30, rng), rng.laplace(0, 0.4), rng.laplace(0, 0.006), middle)
    tilt = np.eye(3)
    tilt[2, :2] = rng.laplace(0, 1e-5, 2)
    return motion @ about(tilt, middle)


def rigid(shift: np.ndarray, degrees: float, log_scale: float, centre: np.ndarray) -> np.ndarray:
    """Return the 3x3 map that turns and scales about `centre`, then shifts by `shift` px."""
    angle = np.deg2rad(degrees)
    c, s = np.exp(log_scale) * np.array([np.cos(angle), np.sin(angle)])
    motion = about(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), centre)
    motion[:2, 2] += shift
    return motion


def about(matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the 3x3 map `matrix` with its origin moved to `centre`."""
    there = np.eye(3)
    there[:2, 2] = centre
    return there @ matrix @ np.linalg.inv(there)


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return points [...,2] after the projective map 3x3."""
    if np.array_equal(matrix[2], (0, 0, 1)):
        return points @ matrix[:2, :2].T + matrix[:2, 2]
    homogeneous = points @ matrix[:, :2].T + matrix[:, 2]
    return homogeneous[..., :2] / homogeneous[..., 2:]


def _shift(median: float, spread: float, most: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a translation whose length is log-normal, cut at `most` px."""
    length = min(most, median * np.exp(spread * rng.normal()))
    angle = rng.uniform(0, 2 * np.pi)
    return length * np.array([np.cos(angle), np.sin(angle)])


def cut(
    textures: list[np.ndarray], size: int, rng: np.random.Generator, plain: float = 0.3
) -> Look:
    """Return a texture and its placement so that it covers the image or nearly so.

    With chance `plain` it is nearly one colour, as much clothing is.
    """
    return _cut(textures[rng.integers(len(textures))], size, rng, plain)


def cut_cloth(
    textures: list[np.ndarray], size: int, rng: np.random.Generator, plain: float = 0.3
) -> Look:
    """Return the same of a photo or a made-up pattern, for things with an outline.

    Stripes without an end have no one motion: RAFT answers 100 px and more to them.
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
    """Return a made-up cloth: noise of several grains, or stripes and checks."""
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


def blob(
    textures: list[np.ndarray], size: int, camera: np.ndarray, rng: np.random.Generator
) -> list[Layer]:
    """A round, angular or long thing that moves by itself."""
    outline, centre = draw_outline(size, rng)
    own = rigid(_shift(2.5, 1.1, 40, rng), rng.laplace(0, 3), rng.laplace(0, 0.02), centre)
    return [Layer(*cut_cloth(textures, size, rng), own @ camera, outline)]


def draw_outline(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline [K,2] of a random shape and its centre."""
    radius = size * np.exp(rng.uniform(np.log(0.05), np.log(0.35)))
    centre = rng.uniform(-0.1, 1.1, 2) * size
    if rng.random() < 0.6:
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        waves = np.arange(2, 6)[:, None]
        bumps = rng.normal(0, 0.25, (4, 1)) / waves**0.5
        reach = radius * (1 + (bumps * np.cos(waves * angles + rng.uniform(0, 7, (4, 1)))).sum(0))
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        reach = radius * rng.uniform(0.6, 1.3, len(angles))
    circle = np.stack((np.cos(angles), np.sin(angles)), 1) * reach[:, None]
    stretch = np.array([1.0, np.exp(rng.uniform(-1.2, 0))])
    return move(circle * stretch, rigid(centre, rng.uniform(0, 360), 0, np.zeros(2))), centre


def _puppet(
    textures: list[np.ndarray], size: int, camera: np.ndarray, rng: np.random.Generator
) -> list[Layer]:
    """A person of capsules: torso and head, arms and legs of two parts that turn about joints."""
    height = size * rng.uniform(0.4, 1.3)
    upright = rigid(
        rng.uniform(0.15, 0.85, 2) * size, rng.normal(0, 25), np.log(height), np.zeros(2)
    )
    lean = rigid(_shift(1.5, 1.1, 30, rng), rng.laplace(0, 1), rng.laplace(0, 0.01),
                 move(np.zeros(2), upright))  # fmt: skip
    body = lean @ camera
    if rng.random() < 0.3:  # the camera follows the person
        body = lean
    shirt, trousers, skin = (cut_cloth(textures, size, rng, plain=0.6) for _ in range(3))
    fast = np.exp(rng.normal(0, 0.8))

    def part(a: np.ndarray, b: np.ndarray, wide: float, look: Look, motion: np.ndarray) -> Layer:
        return Layer(look[0], look[1], motion, move(_capsule(a, b, wide), upright))

    def limb(root: tuple[float, float], parts: list[tuple[float, float, Look]]) -> list[Layer]:
        joint, heading, motion = np.array(root), rng.normal(90, 40), body
        layers = []
        for length, wide, look in parts:
            turn = rigid(np.zeros(2), fast * rng.laplace(0, 3.5), 0, move(joint, upright))
            motion = motion @ turn
            angle = np.deg2rad(heading)
            end = joint + length * np.array([np.cos(angle), np.sin(angle)])
            layers.append(part(joint, end, wide, look, motion))
            joint, heading = end, heading + rng.normal(0, 40)
        return layers

    sleeve = shirt if rng.random() < 0.5 else skin
    arms = [limb((x, -0.22), [(0.16, 0.03, sleeve), (0.17, 0.023, skin)]) for x in (-0.09, 0.09)]
    legs = [limb((x, 0.06), [(0.24, 0.045, trousers), (0.25, 0.033, trousers)])
            for x in (-0.05, 0.05)]  # fmt: skip
    trunk = [
        part(np.array([0, -0.2]), np.array([0, 0.02]), 0.085, shirt, body),
        part(np.array([0, -0.35]), np.array([0, -0.31]), 0.05, skin,
             body @ rigid(np.zeros(2), rng.laplace(0, 2), 0, move(np.array([0, -0.28]), upright))),
    ]  # fmt: skip
    return [*arms[0], *legs[0], *legs[1], *trunk, *arms[1]]


def _capsule(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Return the outline [K,2] of a stick with round ends, a little thinner at b."""
    along = (b - a) / max(1e-9, float(np.linalg.norm(b - a)))
    across = np.array([-along[1], along[0]])
    half = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    cap = np.cos(half) * along + np.sin(half) * across
    return np.concatenate((b + 0.8 * radius * cap, a - radius * cap))


def paint(layers: list[Layer], size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both images, uint8 [S,S,3], and the first one's flow, float32 [S,S,2] px.

    A pixel's flow is that of the frontmost layer that covers half of it or more.
    """
    pair = (np.zeros((size, size, 3), np.uint8), np.zeros((size, size, 3), np.uint8),
            np.zeros((size, size, 2), np.float32))  # fmt: skip
    paint_over(pair, layers)
    return pair


def paint_over(pair: tuple[np.ndarray, np.ndarray, np.ndarray], layers: list[Layer]) -> None:
    """Paint layers in front of what two images and their flow already show, in place."""
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
    """Blend one layer, moved by `there`, into the image in place.

    Returns the part of the image that it touches (rows, columns) and how far it covers each
    pixel there, float32 [h,w] in 0..1; None if it lies outside.
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


def film(images: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the images as a camera and a codec would give them: the same look, fresh noise."""
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
