"""A hand-held camera's motion: its direction, position and zoom over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

# N samples in time

FRAME_RATE = 30.0
STYLES = {"hold": 0.4, "pan": 0.3, "swing": 0.18, "walk": 0.12}


@dataclass(frozen=True)
class Path:
    """A camera's path, with `per_frame` samples per frame.

    turn: float64 [N,3,3] rotation from world to camera (x right, y down, z forward); place: float64
    [N,3] position in the world, metres (y down, origin at eye level); field: float64 [N] horizontal
    field of view, radians.
    """

    turn: np.ndarray
    place: np.ndarray
    field: np.ndarray
    per_frame: int


def tremor(rng: np.random.Generator, count: int, smooth: float) -> Float64[np.ndarray, " {count}"]:
    """Return noise float64 [count] with unit standard deviation, low-passed over `smooth`
    samples."""
    pad = int(4 * smooth) + 1
    noise = gaussian_filter1d(rng.standard_normal(count + 2 * pad), smooth)[pad : pad + count]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * smooth)


def handheld_path(rng: np.random.Generator, frames: int, per_frame: int = 4) -> Path:
    """Draw a path of `frames` frames: a style's slow intended motion plus hand tremor."""
    count = frames * per_frame
    rate = FRAME_RATE * per_frame
    time = np.arange(count) / rate
    style = rng.choice(list(STYLES), p=list(STYLES.values()))

    # Angles in degrees. A slow drift (~1 Hz) and a faster tremor (~4 Hz), as in hands.
    vigour = rng.lognormal(0.0, 0.5)
    yaw, pitch, roll = (
        vigour * (slow * tremor(rng, count, 0.18 * rate) + fast * tremor(rng, count, 0.045 * rate))
        for slow, fast in ((0.5, 0.09), (0.4, 0.09), (0.3, 0.05))
    )
    sway = [0.008 * tremor(rng, count, 0.3 * rate) for _ in range(3)]
    if style == "pan":
        speed = rng.choice([-1, 1]) * rng.uniform(3.0, 14.0)
        yaw = yaw + np.cumsum(speed * (1 + 0.3 * tremor(rng, count, 0.4 * rate))) / rate
        pitch = pitch + np.cumsum(rng.normal(0, 0.8) + 0 * time) / rate
    elif style == "swing":
        period = rng.uniform(3.0, 6.0)
        yaw = yaw + rng.uniform(3.0, 9.0) * np.sin(2 * np.pi * (time / period + rng.random()))
        pitch = pitch + rng.uniform(0, 2.5) * np.sin(2 * np.pi * (time / period + rng.random()))
    elif style == "walk":
        pace, step = rng.uniform(0.15, 0.5), rng.uniform(1.6, 2.1)
        beat = 2 * np.pi * (step * time + rng.random())
        sway[2] = sway[2] + pace * (time - time[-1] / 2)
        sway[1] = sway[1] + 0.015 * np.sin(beat)
        sway[0] = sway[0] + 0.02 * np.sin(beat / 2)
        pitch, roll = pitch + 0.25 * np.sin(beat + 1), roll + 0.3 * np.sin(beat / 2 + 1)

    field = rng.uniform(45.0, 70.0) * np.ones(count)
    if rng.random() < 0.35:
        period = rng.uniform(4.0, 9.0)
        field *= np.exp(
            rng.uniform(0.05, 0.25) * np.sin(2 * np.pi * (time / period + rng.random()))
        )
    pitch = pitch + rng.uniform(-8.0, 4.0)  # slightly towards the ground, where people stand
    heading = rng.uniform(0, 360)
    angles = np.stack([yaw + heading, pitch, roll], axis=1)
    # Rotated about y (left-right), then x (up-down), then z (roll); transposed: world to camera.
    turn = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    place = np.stack(sway, axis=1) @ Rotation.from_euler("Y", heading, degrees=True).as_matrix().T
    return Path(turn=turn, place=place, field=np.deg2rad(field), per_frame=per_frame)
