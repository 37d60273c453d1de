"""Calibrated cameras, and Qualisys's calibration files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from datagen.bodies.render.camera import project
from datagen.common.errors import BadInput

UNIT = 64
"""Qualisys's sensor units per pixel."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera: x_camera = R (x_world − position)."""

    intrinsics: np.ndarray
    """[3,3] K, pixels."""
    rotation: np.ndarray
    """[3,3] R."""
    position: np.ndarray
    """[3] metres."""

    def see(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """Return world points [...,3] in the camera's frame (x right, y down, z forward)."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 2"]:
        """Return the pixels [...,2] of world points [...,3], without lens distortion."""
        return project(self.see(points), self.intrinsics)

    def shifted(self, offset: Float[np.ndarray, " 2"]) -> Camera:
        """Return the camera with its principal point shifted by [2] pixels."""
        intrinsics = self.intrinsics.copy()
        intrinsics[:2, 2] += offset
        return replace(self, intrinsics=intrinsics)


def read_cameras(path: Path) -> list[Camera]:
    """Return the cameras of a Qualisys calibration (.qca.txt), in the file's order.

    Raises BadInput if it is not one.
    """
    flip = np.diag([1.0, -1.0, -1.0])  # Qualisys looks along −z with y up
    cameras = []
    try:
        for node in ElementTree.parse(path).getroot().iter("camera"):
            place, lens = (_numbers(node.find(tag), path) for tag in ("transform", "intrinsic"))
            rotation = np.array([[place[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)])
            intrinsics = np.array(
                [
                    [lens["focalLengthU"], 0, lens["centerPointU"]],
                    [0, lens["focalLengthV"], lens["centerPointV"]],
                    [0, 0, UNIT],
                ]
            )
            position = np.array([place[axis] for axis in "xyz"]) / 1000
            cameras.append(Camera(intrinsics / UNIT, flip @ rotation, position))
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise BadInput(f"{path} is not a Qualisys calibration ({error})") from None
    return cameras


def _numbers(node: ElementTree.Element | None, path: Path) -> dict[str, float]:
    if node is None:
        raise ValueError("a camera lacks its transform or intrinsic")
    numbers = {name: float(value) for name, value in node.attrib.items()}
    if not all(abs(number) < 1e9 for number in numbers.values()):
        raise ValueError("a camera has NaN, infinite or absurd numbers")
    return numbers
