"""Projective maps of the image plane, 3x3."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def rigid(
    shift: Float[np.ndarray, " 2"],
    degrees: float,
    log_scale: float,
    centre: Float[np.ndarray, " 2"],
) -> Float[np.ndarray, "3 3"]:
    """Return the 3x3 map that rotates and scales about `centre`, then shifts by `shift` px."""
    angle = np.deg2rad(degrees)
    c, s = np.exp(log_scale) * np.array([np.cos(angle), np.sin(angle)])
    motion = about(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), centre)
    motion[:2, 2] += shift
    return motion


def about(
    matrix: Float[np.ndarray, "3 3"], centre: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "3 3"]:
    """Return the 3x3 map `matrix` with its origin moved to `centre`."""
    there = np.eye(3)
    there[:2, 2] = centre
    return there @ matrix @ np.linalg.inv(there)


def move(
    points: Float[np.ndarray, "*batch 2"], matrix: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "*batch 2"]:
    """Return points [...,2] transformed by a projective map 3x3."""
    if np.array_equal(matrix[2], (0, 0, 1)):
        return points @ matrix[:2, :2].T + matrix[:2, 2]
    homogeneous = points @ matrix[:, :2].T + matrix[:, 2]
    return homogeneous[..., :2] / homogeneous[..., 2:]


def draw_shift(
    median: float, spread: float, most: float, rng: np.random.Generator
) -> Float[np.ndarray, " 2"]:
    """Draw a translation with log-normal length, clipped at `most` px."""
    return _aim(min(most, median * np.exp(spread * rng.normal())), rng)


def draw_pan(most: float, rng: np.random.Generator) -> Float[np.ndarray, " 2"]:
    """Draw a translation whose length is uniform up to `most` px."""
    return _aim(rng.uniform(0, most), rng)


def _aim(length: float, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return length * np.array([np.cos(angle), np.sin(angle)])
