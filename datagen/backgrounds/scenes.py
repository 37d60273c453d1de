"""Embedded open scenes: panoramas seen by a virtual hand-held camera whose motion is known.

A scene is like a video file: its name fixes every picture. The world is a CC0 panorama folded
onto a flat ground and a dome far away, so that a camera that moves sees parallax, and a few boxes
standing around for depth and for occluders of their own. The true motion of every background
point comes with it (`Scene.follow`, `Scene.homographies`), against which the camera-motion
estimate is tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import cv2
import numpy as np

from datagen.backgrounds.handheld import FRAME_RATE, Path, handheld_path
from datagen.seeds import generator

# T frames, H W pixels; world: metres, y down, the eye at the origin

SCENE_FRAMES = 240  # 8 seconds
TAKES = 4  # scenes made of each panorama
EYE = 1.6  # height above the ground
DOME = 25.0  # distance of the panorama where it is not ground
PANORAMA_WIDTH = 2048  # pixels; about what 320 pixels of a 60 degree lens ask for
ASSETS = files("datagen") / "assets" / "scenes"


@dataclass(frozen=True)
class Quad:
    """A textured rectangle: corners float64 [4,3] (top left, clockwise), texture uint8 [h,w,3]."""

    corners: np.ndarray
    texture: np.ndarray


@dataclass(frozen=True)
class Scene:
    """A world and a camera's path through it."""

    name: str
    panorama: np.ndarray  # uint8 [H,W,3] RGB
    quads: list[Quad]
    path: Path
    noise: float  # of the sensor, of 255

    def camera(self, frame: int, width: int, height: int, part: int = 0):
        """Return K [3,3], rotation world to camera [3,3] and place [3] at a frame (and part)."""
        index = min(max(frame * self.path.per_frame + part, 0), len(self.path.turn) - 1)
        focal = width / 2 / np.tan(self.path.field[index] / 2)
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
        return matrix, self.path.turn[index], self.path.place[index]

    def homographies(self, start: int, frames: int, width: int, height: int) -> np.ndarray:
        """Return float64 [T,3,3]: where points infinitely far away, of frame `start`, move."""
        matrix, turn, _ = self.camera(start, width, height)
        back = turn.T @ np.linalg.inv(matrix)
        moved = [self.camera(start + t, width, height) for t in range(frames)]
        return np.stack([k @ r @ back for k, r, _ in moved])

    def follow(
        self, pixels: np.ndarray, start: int, frames: int, width: int, height: int
    ) -> np.ndarray:
        """Return [T,N,2], where the panorama's points seen at pixels [N,2] of `start` move."""
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
        """Return uint8 [T,H,W,3] RGB as a small video camera would record it."""
        rng = generator(0, "scene", self.name, "sensor", start)
        light = 1 + 0.01 * np.cumsum(rng.standard_normal(frames)) / np.sqrt(frames)
        pictures = []
        for t in range(frames):
            exposed = np.mean([self._picture(start + t, p, width, height) for p in (-1, 0, 1)], 0)
            grain = cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), 0.6)
            pictures.append(exposed * light[t] + 2 * self.noise * grain)
        return np.clip(np.round(pictures), 0, 255).astype(np.uint8)

    def _picture(self, frame: int, part: int, width: int, height: int) -> np.ndarray:
        matrix, turn, place = self.camera(frame, width, height, part)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
        rays = rays @ np.float32(turn.T @ np.linalg.inv(matrix)).T
        world = np.float32(place) + rays * _distance(rays, np.float32(place))[:, None]
        picture = _look_up(self.panorama, world).reshape(height, width, 3)
        for quad in sorted(self.quads, key=lambda q: -np.linalg.norm(q.corners.mean(0) - place)):
            _draw(picture, quad, matrix, turn, place)
        return picture.astype(np.float32)


def _distance(rays: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return how many ray lengths [N] away the ground or the dome is, whichever is nearer."""
    square = (rays * rays).sum(1)
    along = rays @ place
    dome = (-along + np.sqrt(along**2 + square * (DOME**2 - place @ place))) / square
    down = rays[:, 1]
    ground = np.where(down > 1e-6, (EYE - place[1]) / np.maximum(down, 1e-6), np.inf)
    return np.minimum(dome, ground).astype(rays.dtype)


def _look_up(panorama: np.ndarray, world: np.ndarray) -> np.ndarray:
    """Return the panorama's colours, uint8 [1,N,3], in the directions of world points [N,3]."""
    height, width = panorama.shape[:2]
    x, y, z = world.T
    u = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * width - 0.5
    v = (np.arctan2(y, np.hypot(x, z)) / np.pi + 0.5) * height - 0.5
    side = 320  # remap's maps must be smaller than 32768 a side
    u, v = (np.float32(m).reshape(-1, side) if m.size % side == 0 else m[None] for m in (u, v))
    return cv2.remap(panorama, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _draw(picture: np.ndarray, quad: Quad, matrix, turn, place) -> None:
    """Paint a quad over a picture, in place, if it faces the camera wholly in front of it."""
    camera = (quad.corners - place) @ turn.T
    if camera[:, 2].min() < 0.3:
        return
    seen = camera @ matrix.T
    seen = np.float32(seen[:, :2] / seen[:, 2:])
    (x0, y0), (x1, y1), (x3, y3) = seen[0], seen[1], seen[3]
    if (x1 - x0) * (y3 - y0) - (x3 - x0) * (y1 - y0) <= 0:  # its back
        return
    height, width = picture.shape[:2]
    if (seen.max(0) < 0).any() or (seen.min(0) > [width, height]).any():
        return
    texture = quad.texture
    longest = np.linalg.norm(seen - np.roll(seen, 1, axis=0), axis=1).max()
    while min(texture.shape[:2]) > 32 and max(texture.shape[:2]) > 2 * longest:
        texture = cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    h, w = texture.shape[:2]
    source = np.float32([[0, 0], [w, 0], [w, h], [0, h]]) - 0.5
    homography = cv2.getPerspectiveTransform(source, seen)
    size, smooth = (width, height), cv2.INTER_LINEAR
    colour = cv2.warpPerspective(
        texture, homography, size, flags=smooth, borderMode=cv2.BORDER_REPLICATE
    )
    cover = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(cover, np.round(seen * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    alpha = cover[..., None].astype(np.float32) / 255
    picture[:] = np.round(picture + alpha * (colour.astype(np.float32) - picture)).astype(np.uint8)


def _names(folder: str, suffix: str = ".jpg") -> list[str]:
    entries = ASSETS.joinpath(folder).iterdir()
    return sorted(e.name.removesuffix(suffix) for e in entries if e.name.endswith(suffix))


@lru_cache(maxsize=4)
def _picture_file(folder: str, name: str) -> np.ndarray:
    with as_file(ASSETS.joinpath(folder, f"{name}.jpg")) as path:
        return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1].copy()


def scene_names() -> list[str]:
    """Return the names of all embedded scenes, sorted."""
    return sorted(f"scene_{p}_{take:02d}" for p in _names("panoramas") for take in range(TAKES))


def panorama_of(name: str) -> str:
    """Return the panorama a scene is made of: splits must not share one."""
    return name.removeprefix("scene_").rpartition("_")[0]


@lru_cache(maxsize=2)
def _panorama(name: str) -> np.ndarray:
    """Return a panorama enlarged, sharpened and given the grain that enlarging took, uint8."""
    small = _picture_file("panoramas", name)
    size = (PANORAMA_WIDTH, PANORAMA_WIDTH // 2)
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    blurred = cv2.GaussianBlur(large, (0, 0), 2.0)
    detail = large - blurred
    busy = cv2.GaussianBlur(np.abs(detail).mean(2), (0, 0), 6.0)
    rng = generator(0, "panorama", name)
    grain = rng.standard_normal((size[1], size[0])).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.9) - cv2.GaussianBlur(grain, (0, 0), 2.5)
    grain *= (1.5 + 6.0 * busy) * blurred.mean(2) / 128
    return np.clip(np.round(large + 1.0 * detail + grain[..., None]), 0, 255).astype(np.uint8)


def _box(rng: np.random.Generator, heading: float, light: np.ndarray) -> list[Quad]:
    """Draw a box standing on the ground around the camera's heading: its four walls and its top."""
    azimuth = heading + rng.uniform(-0.8, 0.8)
    distance = rng.uniform(2.5, 9.0)
    centre = distance * np.array([np.sin(azimuth), 0.0, np.cos(azimuth)])
    width, depth = rng.uniform(0.25, 1.3, size=2)
    height = rng.uniform(0.5, 2.4)
    yaw = rng.uniform(0, 2 * np.pi)
    textures = _names("textures")
    texture = _picture_file("textures", textures[rng.integers(len(textures))])
    tint = light / light.max() * rng.uniform(0.55, 1.0)
    right = np.array([np.cos(yaw), 0, -np.sin(yaw)])
    front = np.array([np.sin(yaw), 0, np.cos(yaw)])
    up = np.array([0, -height, 0])
    base = centre + [0, EYE, 0]
    quads = []
    walls = [(right, width, front, depth), (front, depth, -right, width)]
    walls += [(-a, m, -b, n) for a, m, b, n in walls]
    for index, (along, length, out, reach) in enumerate(walls):
        # Seen from outside, `along` runs to the viewer's left.
        foot = base + out * reach / 2
        left, far = foot + along * length / 2, foot - along * length / 2
        corners = np.stack([left + up, far + up, far, left])
        shade = (1.0, 0.8, 0.65, 0.85)[index]
        part = texture[:, : max(32, round(texture.shape[1] * min(1.0, length / height)))]
        quads.append(Quad(corners, np.clip(part * tint * shade, 0, 255).astype(np.uint8)))
    return quads


@lru_cache(maxsize=2)
def open_scene(name: str) -> Scene:
    """Return the scene of that name; equal names give equal scenes."""
    rng = generator(0, "scene", name)
    panorama = _panorama(panorama_of(name))
    path = handheld_path(rng, SCENE_FRAMES)
    ahead = path.turn[len(path.turn) // 2][2]
    heading = float(np.arctan2(ahead[0], ahead[2]))
    rows = slice(int(0.35 * len(panorama)), int(0.75 * len(panorama)))
    light = panorama[rows].mean(axis=(0, 1))
    quads = [q for _ in range(rng.integers(2, 6)) for q in _box(rng, heading, light)]
    return Scene(name, panorama, quads, path, noise=float(rng.uniform(1.0, 3.0)))


__all__ = ["FRAME_RATE", "SCENE_FRAMES", "Scene", "open_scene", "panorama_of", "scene_names"]
