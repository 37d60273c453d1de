"""SURREAL's light: nine spherical-harmonics coefficients, no shadows, applied per vertex.

The formula is that of SURREAL's `sh.osl` (Ramamoorthi & Hanrahan's irradiance). Like Blender, the
renderer evaluates it in linear light and encodes the result as sRGB.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

C1, C2, C3, C4, C5 = 0.429043, 0.511664, 0.743125, 0.886227, 0.247708

R_LIGHT_CAMERA = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Rotation from the camera's axes to SURREAL's world axes, in which its light is fixed: x to the
camera, y down. (Improper, like SURREAL's camera; for the light this only swaps left and right.)"""


def draw_light(rng: np.random.Generator) -> Float[np.ndarray, " 9"]:
    """Draw coefficients float32 [9] in the order L00 L1-1 L10 L11 L2-2 L2-1 L20 L21 L22.

    As in SURREAL: each is 0.7·U(-1,1), except the ambient one, 0.5 + 0.9·U(0,1), and the one along
    y, -0.7·U(0,1), so that light comes from above.
    """
    light = 0.7 * rng.uniform(-1, 1, 9)
    light[0] = 0.5 + 0.9 * rng.uniform()
    light[1] = -0.7 * rng.uniform()
    return light.astype(np.float32)


def shade(
    normals: Float[np.ndarray, "*batch 3"], light: Float[np.ndarray, " 9"]
) -> Float[np.ndarray, "*batch"]:
    """Return the factor [...] by which the light multiplies the surface's linear colour, >= 0.

    Args:
        normals: unit normals [...,3] in the camera's frame.
        light: coefficients [9] from `draw_light`.
    """
    l00, l1m1, l10, l11, l2m2, l2m1, l20, l21, l22 = (float(c) for c in light)
    square = np.array(  # n·square·n + 2 C2 linear·n + constant, in the light's axes
        [
            [C1 * l22, C1 * l2m2, C1 * l21],
            [C1 * l2m2, -C1 * l22, C1 * l2m1],
            [C1 * l21, C1 * l2m1, C3 * l20],
        ]
    )
    linear = np.array([l11, l1m1, l10])
    square = (R_LIGHT_CAMERA.T @ square @ R_LIGHT_CAMERA).astype(normals.dtype)
    linear = (2 * C2 * linear @ R_LIGHT_CAMERA).astype(normals.dtype)
    factor = ((normals @ square + linear) * normals).sum(-1)
    return np.maximum(factor + np.asarray(C4 * l00 - C5 * l20, normals.dtype), 0)


def to_linear(colours: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return the linear light of sRGB colours, both in [0,1]."""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
