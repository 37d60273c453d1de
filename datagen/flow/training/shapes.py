"""Moving foreground objects: blobs and polygons, and people made of capsules."""

# S side of the image, K corners of an outline

from __future__ import annotations

import numpy as np

from datagen.flow.training.layers import Layer
from datagen.flow.training.rigid2d import draw_shift, move, rigid
from datagen.flow.training.textures import Look, cut_cloth


def blob(
    textures: list[np.ndarray], size: int, camera: np.ndarray, rng: np.random.Generator
) -> list[Layer]:
    """Draw a round, angular or elongated object with its own motion."""
    outline, centre = draw_outline(size, rng)
    own = rigid(draw_shift(2.5, 1.1, 40, rng), rng.laplace(0, 3), rng.laplace(0, 0.02), centre)
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


def puppet(
    textures: list[np.ndarray], size: int, camera: np.ndarray, rng: np.random.Generator
) -> list[Layer]:
    """Draw a person of capsules: torso, head, and two-part arms and legs that rotate about
    joints."""
    height = size * rng.uniform(0.4, 1.3)
    upright = rigid(
        rng.uniform(0.15, 0.85, 2) * size, rng.normal(0, 25), np.log(height), np.zeros(2)
    )
    lean = rigid(draw_shift(1.5, 1.1, 30, rng), rng.laplace(0, 1), rng.laplace(0, 0.01),
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
    """Return the outline [K,2] of a capsule from a to b, slightly thinner at b."""
    along = (b - a) / max(1e-9, float(np.linalg.norm(b - a)))
    across = np.array([-along[1], along[0]])
    half = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    cap = np.cos(half) * along + np.sin(half) * across
    return np.concatenate((b + 0.8 * radius * cap, a - radius * cap))
