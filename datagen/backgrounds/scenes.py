"""Embedded open scenes: panoramas seen by a virtual hand-held camera with known motion.

A scene is like a video file: its name determines every picture. The world is a CC0 panorama
projected onto a flat ground and a distant dome, so a moving camera sees parallax, and a few boxes
that add depth and occluders. The true motion of every background point is known (`Scene.follow`,
`Scene.homographies`) and is used to test the camera-motion estimate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Protocol

import cv2
import numpy as np

from datagen.backgrounds.handheld import Path, handheld_path
from datagen.common.errors import BadInput
from datagen.common.options import named_object
from datagen.common.seeds import generator

# T frames, H W pixels; world: metres, y down, the eye at the origin

SCENE_FRAMES = 240  # 8 seconds
TAKES = 4  # scenes per panorama
EYE = 1.6  # camera height above the ground
DOME = 25.0  # distance of the dome
EXPOSURE = (-1, 0, 1)  # instants, in quarters of a frame, that are averaged into a blurred frame
BLUR = 0.7  # motion in pixels during them below which one instant suffices
SMOOTH = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
PANORAMA_WIDTH = 2048  # pixels; matches about 320 pixels with a 60 degree lens
NAME = re.compile(r"[A-Za-z0-9_-]+")
ASSETS = files("datagen") / "assets" / "scenes"


@dataclass(frozen=True)
class Quad:
    """A textured rectangle: corners float64 [4,3] (from top left, clockwise seen from the front).

    texture: uint8 [h,w,3] RGB or [h,w,4] with opacity, followed by its mip levels.
    """

    corners: np.ndarray
    texture: list[np.ndarray]


class Renders(Protocol):
    """Interface of every scene, embedded or the user's."""

    def render(self, start: int, frames: int, width: int, height: int) -> np.ndarray:
        """Return frames [start, start + frames), uint8 [T,H,W,3] RGB; equal calls give equal
        bytes."""
        ...


@dataclass(frozen=True)
class Scene:
    """A world and a camera's path through it."""

    name: str
    panorama: np.ndarray  # uint8 [H,W,3] RGB
    quads: list[Quad]  # in drawing order
    path: Path
    noise: float  # standard deviation of the sensor noise, of 255

    def camera(self, frame: int, width: int, height: int, part: int = 0):
        """Return K [3,3], rotation from world to camera [3,3] and position [3] at a frame (and
        part)."""
        index = min(max(frame * self.path.per_frame + part, 0), len(self.path.turn) - 1)
        focal = width / 2 / np.tan(self.path.field[index] / 2)
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
        return matrix, self.path.turn[index], self.path.place[index]

    def homographies(self, start: int, frames: int, width: int, height: int) -> np.ndarray:
        """Return the homographies float64 [T,3,3] of infinitely distant points from frame
        `start`."""
        matrix, turn, _ = self.camera(start, width, height)
        back = turn.T @ np.linalg.inv(matrix)
        moved = [self.camera(start + t, width, height) for t in range(frames)]
        return np.stack([k @ r @ back for k, r, _ in moved])

    def follow(
        self, pixels: np.ndarray, start: int, frames: int, width: int, height: int
    ) -> np.ndarray:
        """Return the paths [T,N,2] of the panorama's points seen at pixels [N,2] in frame
        `start`."""
        matrix, turn, place = self.camera(start, width, height)
        rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(matrix).T @ turn
        world = place + rays * _distance(rays, place)[:, None]
        tracks = []
        for t in range(frames):
            k, r, c = self.camera(start + t, width, height)
            seen = (world - c) @ r.T @ k.T
            tracks.append(seen[:, :2] / seen[:, 2:])
        return np.stack(tracks)

    def render(self, start: int, frames: int, width: int, height: int) -> np.ndarray:
        """Return the frames uint8 [T,H,W,3] RGB as a small video camera would record them."""
        rng = generator(0, "scene", self.name, "sensor", start)
        light = 1 + 0.02 * np.cumsum(rng.standard_normal(frames)) / np.sqrt(frames)
        pictures = np.empty((frames, height, width, 3), np.uint8)
        for t in range(frames):
            parts = EXPOSURE if self._blur(start + t, width, height) > BLUR else (0,)
            exposed = [self._picture(start + t, part, width, height) for part in parts]
            picture = np.mean(exposed, axis=0, dtype=np.float32) * np.float32(light[t])
            grain = rng.standard_normal((height, width, 3), dtype=np.float32)
            picture += self.noise * cv2.GaussianBlur(grain, (3, 3), 0.6)
            pictures[t] = cv2.convertScaleAbs(np.maximum(picture, 0))
        return pictures

    def _blur(self, frame: int, width: int, height: int) -> float:
        """Return the motion in pixels of the distant centre while the shutter is open."""
        (k0, r0, _), (k1, r1, _) = (
            self.camera(frame, width, height, part) for part in (EXPOSURE[0], EXPOSURE[-1])
        )
        centre = np.array([width / 2, height / 2, 1.0])
        moved = k1 @ r1 @ r0.T @ np.linalg.inv(k0) @ centre
        return float(np.linalg.norm(moved[:2] / moved[2] - centre[:2]))

    def _picture(self, frame: int, part: int, width: int, height: int) -> np.ndarray:
        """Return the world, uint8 [H,W,3], at one instant."""
        matrix, turn, place = self.camera(frame, width, height, part)
        # Panorama coordinates vary smoothly, so only every fourth pixel is computed.
        x, y = np.meshgrid(np.arange(0, width + 4, 4), np.arange(0, height + 4, 4))
        rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
        rays = rays @ (turn.T @ np.linalg.inv(matrix)).T
        world = place + rays * _distance(rays, place)[:, None]
        where = _look_up(world, turn[2], self.panorama.shape[:2]).reshape(*x.shape, 2)
        where = cv2.warpAffine(
            where,
            np.asarray([[0.25, 0, 0], [0, 0.25, 0]], np.float64),
            (width, height),
            flags=SMOOTH,
        )
        picture = cv2.remap(
            self.panorama,
            where[..., 0],
            where[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        for quad in self.quads:
            _draw(picture, quad, matrix, turn, place)
        return picture


def _distance(rays: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the distance [N] along the rays to the ground or the dome, whichever is nearer."""
    square = (rays * rays).sum(1)
    along = rays @ place
    dome = (-along + np.sqrt(along**2 + square * (DOME**2 - place @ place))) / square
    down = rays[:, 1]
    ground = np.where(down > 1e-6, (EYE - place[1]) / np.maximum(down, 1e-6), np.inf)
    return np.minimum(dome, ground).astype(rays.dtype)


def _look_up(world: np.ndarray, ahead: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the positions of world points [N,3] in a panorama of size (height, width), float32
    [N,2].

    x is measured from `ahead` [3] and may exceed the panorama's width, so that it is continuous
    within a picture.
    """
    height, width = size
    heading = np.arctan2(ahead[0], ahead[2])
    x, y, z = world.T
    cosine, sine = np.cos(heading), np.sin(heading)
    angle = np.arctan2(x * cosine - z * sine, x * sine + z * cosine) + heading
    u = (angle / (2 * np.pi) + 0.5) * width - 0.5
    v = (np.arctan2(y, np.hypot(x, z)) / np.pi + 0.5) * height - 0.5
    return np.stack([u, v], axis=1).astype(np.float32)


def _draw(picture: np.ndarray, quad: Quad, matrix, turn, place) -> None:
    """Draw a quad over a picture, in place, if it faces the camera and lies entirely in front of
    it."""
    camera = (quad.corners - place) @ turn.T
    if camera[:, 2].min() < 0.3:
        return
    seen = camera @ matrix.T
    seen = np.asarray(seen[:, :2] / seen[:, 2:], np.float32)
    (x0, y0), (x1, y1), (x3, y3) = seen[0], seen[1], seen[3]
    if (x1 - x0) * (y3 - y0) - (x3 - x0) * (y1 - y0) <= 0:  # back-facing
        return
    # Processes only the part of the picture that it covers.
    height, width = picture.shape[:2]
    left, top = np.maximum(np.floor(seen.min(0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(seen.max(0)).astype(int) + 2, [width, height])
    if left >= right or top >= bottom:
        return
    seen -= np.asarray([left, top], np.float32)
    part = picture[top:bottom, left:right]
    size = (part.shape[1], part.shape[0])

    longest = np.linalg.norm(seen - np.roll(seen, 1, axis=0), axis=1).max()
    level = int(np.clip(np.log2(len(quad.texture[0]) / (1.5 * longest)), 0, len(quad.texture) - 1))
    texture = quad.texture[level]
    h, w = texture.shape[:2]
    source = np.asarray([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
    homography = cv2.getPerspectiveTransform(source, seen)
    colour = cv2.warpPerspective(
        texture, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cover = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(cover, np.round(seen * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    alpha = cover.astype(np.float32)[..., None] / 255
    if colour.shape[2] == 4:
        alpha = alpha * colour[..., 3:].astype(np.float32) / 255
    part[:] = np.round(part + alpha * (colour[..., :3].astype(np.float32) - part))


def _names(folder: str, suffix: str = ".jpg") -> list[str]:
    entries = ASSETS.joinpath(folder).iterdir()
    return sorted(e.name.removesuffix(suffix) for e in entries if e.name.endswith(suffix))


@lru_cache(maxsize=4)
def _picture_file(folder: str, name: str) -> np.ndarray:
    with as_file(ASSETS.joinpath(folder, f"{name}.jpg")) as path:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadInput(f"{path} is damaged; reinstall the package")
    return np.asarray(picture[..., ::-1], np.uint8).copy()


def scene_names() -> list[str]:
    """Return the names of all embedded scenes, sorted."""
    return sorted(f"scene_{p}_{take:02d}" for p in _names("panoramas") for take in range(TAKES))


def panorama_of(name: str) -> str:
    """Return the panorama of a scene; splits must not share panoramas."""
    return name.removeprefix("scene_").rpartition("_")[0]


@lru_cache(maxsize=2)
def _panorama(name: str) -> np.ndarray:
    """Return a panorama enlarged and sharpened, with noise to replace the lost grain, uint8."""
    small = _picture_file("panoramas", name)
    size = (PANORAMA_WIDTH, PANORAMA_WIDTH // 2)
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    blurred = cv2.GaussianBlur(large, (0, 0), 2.0)
    detail = large - blurred
    busy = np.minimum(cv2.GaussianBlur(np.abs(detail).mean(2), (0, 0), 6.0), 4.0)
    rng = generator(0, "panorama", name)
    grain = rng.standard_normal((size[1], size[0]), dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.9) - cv2.GaussianBlur(grain, (0, 0), 2.5)
    grain *= (2.0 + 5.0 * busy) * np.minimum(blurred.mean(2) / 128, 1.0)
    return np.clip(np.round(large + 0.7 * detail + grain[..., None]), 0, 255).astype(np.uint8)


def _halvings(texture: np.ndarray) -> list[np.ndarray]:
    levels = [np.clip(np.round(texture), 0, 255).astype(np.uint8)]
    while min(levels[-1].shape[:2]) >= 16:
        half = cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(half, np.uint8))
    return levels


def _shadow(base: np.ndarray, right: np.ndarray, front: np.ndarray, width, depth) -> Quad:
    """Return the soft shadow on the ground below a box with footprint width x depth."""
    reach = 0.45  # metres beyond the box
    side = 64
    x = np.abs(np.linspace(-1, 1, side))[None] * (width / 2 + reach) - width / 2
    y = np.abs(np.linspace(-1, 1, side))[:, None] * (depth / 2 + reach) - depth / 2
    away = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    texture = np.zeros((side, side, 4))
    texture[..., 3] = 190 * np.clip(1 - away / reach, 0, 1) ** 2
    a, b = right * (width / 2 + reach), front * (depth / 2 + reach)
    return Quad(base + np.stack([-a + b, a + b, a - b, -a - b]), _halvings(texture))


def _box(rng: np.random.Generator, heading: float, light: np.ndarray) -> list[Quad]:
    """Draw a random box or poster board near the heading: shadow, walls, top."""
    azimuth = heading + rng.uniform(-0.9, 0.9)
    distance = rng.uniform(3.5, 10.0)
    base = np.array([distance * np.sin(azimuth), EYE, distance * np.cos(azimuth)])
    textures = _names("textures")
    name = textures[rng.integers(len(textures))]
    texture = _picture_file("textures", name)
    if name.startswith("poster"):
        depth = 0.06
        width = height = rng.uniform(0.9, 1.7)
        yaw = azimuth + np.pi + rng.uniform(-0.7, 0.7)
        texture = cv2.copyMakeBorder(texture, 14, 14, 14, 14, cv2.BORDER_CONSTANT, value=[225] * 3)
    else:
        width, depth = rng.uniform(0.3, 1.6, size=2)
        height = rng.choice([rng.uniform(0.5, 1.2), rng.uniform(1.6, 2.6)])
        yaw = rng.uniform(0, 2 * np.pi)
    tint = light / light.max() * rng.uniform(0.6, 1.0)
    right = np.array([np.cos(yaw), 0, -np.sin(yaw)])
    front = np.array([np.sin(yaw), 0, np.cos(yaw)])
    up = np.array([0, -height, 0])
    quads = [_shadow(base, right, front, width, depth)]
    walls = [(right, width, front, depth), (front, depth, -right, width)]
    walls += [(-a, m, -b, n) for a, m, b, n in walls]
    for index, (along, length, out, reach) in enumerate(walls):
        # Seen from outside, `along` points to the viewer's left.
        foot = base + out * reach / 2
        left, far = foot + along * length / 2, foot - along * length / 2
        corners = np.stack([left + up, far + up, far, left])
        shade = (1.0, 0.8, 0.65, 0.85)[index]
        share = min(1.0, max(length / height, 0.1))
        part = texture[:, : round(texture.shape[1] * share)]
        quads.append(Quad(corners, _halvings(part * tint * shade)))
    across, deep = right * width / 2, front * depth / 2
    top = base + up + np.stack([-across + deep, across + deep, across - deep, -across - deep])
    quads.append(Quad(top, _halvings(texture * tint)))
    return quads


@lru_cache(maxsize=2)
def open_scene(name: str) -> Scene:
    """Return the scene with a name; equal names give equal scenes."""
    rng = generator(0, "scene", name)
    panorama = _panorama(panorama_of(name))
    path = handheld_path(rng, SCENE_FRAMES)
    ahead = path.turn[len(path.turn) // 2][2]
    heading = float(np.arctan2(ahead[0], ahead[2]))
    rows = slice(int(0.35 * len(panorama)), int(0.75 * len(panorama)))
    light = panorama[rows].mean(axis=(0, 1))
    boxes = [_box(rng, heading, light) for _ in range(rng.integers(2, 6))]
    # Shadows first, then boxes from far to near; the camera moves too little to change this order.
    boxes.sort(key=lambda box: -np.hypot(*box[0].corners.mean(0)[[0, 2]]))
    quads = [box[0] for box in boxes] + [wall for box in boxes for wall in box[1:]]
    return Scene(name, panorama, quads, path, noise=float(rng.uniform(1.0, 3.0)))


@lru_cache(maxsize=1)
def own_scenes(factory: str) -> dict[str, Renders]:
    """Return the scenes from `module:factory` by name. Raises BadInput if they are not scenes."""
    made = named_object(factory, "--scenes")()
    if (
        not isinstance(made, dict)
        or not made
        or not all(
            isinstance(name, str) and NAME.fullmatch(name) and callable(getattr(one, "render", 0))
            for name, one in made.items()
        )
    ):
        raise BadInput(
            f"--scenes {factory} must return a dictionary from names (letters, digits, - and _) to "
            "scenes, each with a method `render`"
        )
    return made
