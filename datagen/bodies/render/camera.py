"""SURREAL's camera with a right-handed frame, and the placement of the body in front of it.

World: y up, metres (the frame of `datagen.bodies.motion`). Camera: OpenCV's, x right, y down,
z forward. Pixels: centres at integer coordinates. SURREAL's own extrinsics have determinant -1, so
its pictures are mirrored relative to its labels; here, the determinant is +1 and nothing is
mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from datagen.bodies.options import BodiesConfig

NEAR, FAR = 0.1, 100.0
"""Near and far clipping depths, metres (0.1 is SURREAL's clip_start)."""

TALLEST = 1.4
"""Height in metres that the picture covers at the first frame's least depth: from the hips to
raised hands, or a crouching person. SURREAL's camera (focal length 2.5 heights) is then 3.5 m
away."""

CLOSEST = 2.0
"""Least distance of the pelvis during a clip, metres."""

YAW_TRIES = 16
"""Most yaws drawn to find one with which the body neither reaches the camera nor leaves the
picture."""

R_CAMERA_WORLD = np.diag([1.0, -1.0, -1.0])
"""A level camera that looks along the world's -z, so a body with zero yaw faces it."""


@dataclass(frozen=True)
class View:
    """A clip's view: the body's yaw about the world's up axis, its depth in the first frame, and
    the camera's pitch and roll."""

    yaw: float
    """Radians, counter-clockwise seen from above."""
    depth: float
    """Depth of the first frame's pelvis, metres."""
    pitch: float = 0.0
    """Radians by which the camera looks down on the first frame's pelvis."""
    roll: float = 0.0
    """Radians by which the picture is then rotated clockwise."""

    @property
    def rotation(self) -> np.ndarray:
        """Rotation [3,3] from the world's axes to the camera's, including the body's yaw."""
        held = Rotation.from_rotvec([0.0, 0.0, self.roll]) * Rotation.from_rotvec(
            [self.pitch, 0.0, 0.0]
        )
        turned = R_CAMERA_WORLD @ Rotation.from_rotvec([0.0, self.yaw, 0.0]).as_matrix()
        return held.as_matrix() @ turned

    @property
    def gravity(self) -> np.ndarray:
        """Direction of gravity, a unit vector [3] in the camera's axes."""
        return self.rotation @ [0.0, -1.0, 0.0]


def intrinsics(cfg: BodiesConfig) -> Float[np.ndarray, "3 3"]:
    """Return K float32 [3,3]: square pixels, no skew, principal point at (width/2, height/2)."""
    k = [[cfg.focal, 0, cfg.width / 2], [0, cfg.focal, cfg.height / 2], [0, 0, 1]]
    return np.array(k, np.float32)


def draw_view(cfg: BodiesConfig, trans: Float[np.ndarray, "t 3"], rng: np.random.Generator) -> View:
    """Draw yaw uniformly and depth from N(depth_mean, depth_std), as SURREAL does (main_part1.py).

    SURREAL's camera is level; pitch is drawn uniformly from `camera_pitch` and roll from
    N(0, camera_roll), both 0 by default. Unlike in SURREAL, yaw is drawn again if the body would
    reach the camera or be outside the picture for more than half of the clip: the composer would
    drop such clips.

    Args:
        trans: the clip's translations [T,3], world, metres.
    """
    depth = max(closest_start(cfg), rng.normal(cfg.depth_mean, cfg.depth_std))
    yaws = rng.uniform(0, 2 * np.pi, YAW_TRIES)
    pitch, roll = np.radians([rng.uniform(*cfg.camera_pitch), rng.normal(0, cfg.camera_roll)])
    views = [View(yaw, depth, pitch, roll) for yaw in yaws]
    return max(views, key=lambda view: min(0.5, _share_in_view(cfg, view, trans)))


def closest_start(cfg: BodiesConfig) -> float:
    """Return the least depth of the first frame's pelvis, metres."""
    return max(CLOSEST, TALLEST * cfg.focal / cfg.height)


def _share_in_view(cfg: BodiesConfig, view: View, trans: np.ndarray) -> float:
    """Return the share of frames with the pelvis in the picture and not too close."""
    pelvis = (trans - trans[0]) @ view.rotation.T + [0.0, 0.0, view.depth]
    near = pelvis[:, 2] < CLOSEST
    pelvis[near, 2] = CLOSEST
    inside = in_view(pelvis, intrinsics(cfg), cfg.width, cfg.height)
    return float(inside.mean()) if not near.any() else -float(near.mean())


def in_view(
    points: Float[np.ndarray, "t 3"], k: Float[np.ndarray, "3 3"], width: int, height: int
) -> Bool[np.ndarray, " t"]:
    """Return whether each of the camera-frame points [T,3] lies in the picture, bool [T]."""
    size = np.array([width, height])
    return np.all(np.abs(project(points, k) * 2 - size) <= size, axis=1)


def stretches(flags: Bool[np.ndarray, " t"]) -> list[list[int]]:
    """Return the runs of True in bool [T] as [first, stop) pairs."""
    edges = np.flatnonzero(np.diff(np.pad(flags.astype(np.int8), 1)))
    return edges.reshape(-1, 2).tolist()


def into_camera(
    view: View, pose: np.ndarray, trans: np.ndarray, pelvis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Transform a body to the camera's frame, with the first pelvis centred at `view.depth`.

    SMPL rotates a body about its rest pelvis, not about the origin, so rotating the world rotates
    `pose` and corrects `trans`.

    Args:
        pose: axis-angle [T,72], world.
        trans: SMPL's translation [T,3], world, metres.
        pelvis: rest position of this shape's pelvis [3], metres.

    Returns:
        (pose float32 [T,72], trans float32 [T,3]) for which SMPL's forward pass gives vertices and
        joints in the camera's frame.
    """
    turn = Rotation.from_matrix(view.rotation)
    orient = (turn * Rotation.from_rotvec(pose[:, :3])).as_rotvec()
    centre = np.array([0.0, 0.0, view.depth])
    moved = turn.apply(trans.astype(np.float64) - trans[0]) + centre - pelvis
    pose = np.concatenate([orient, pose[:, 3:]], axis=1)
    return pose.astype(np.float32), moved.astype(np.float32)


def project(
    points: Float[np.ndarray, "*batch 3"], camera: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "*batch 2"]:
    """Return pixels [...,2] of camera-frame points [...,3] under K [3,3]; NaN behind the camera."""
    points = np.asarray(points, np.float64)
    depth = points[..., 2:]
    image = points @ np.asarray(camera, np.float64).T
    return np.divide(
        image[..., :2], depth, out=np.full(image[..., :2].shape, np.nan), where=depth > 0
    )


def clip_matrix(
    camera: Float[np.ndarray, "3 3"], width: int, height: int
) -> Float[np.ndarray, "4 4"]:
    """Return OpenGL's clip matrix float32 [4,4] for camera-frame points.

    The window's rows run downwards like the image's, so pictures are read back without a flip.
    """
    clip = np.zeros((4, 4), np.float32)
    clip[:2, :3] = camera[:2] * 2
    clip[:2, 2] += 1  # pixel centres: integers here, halves in OpenGL
    clip[0] /= width
    clip[1] /= height
    clip[:2, 2] -= 1
    clip[2, 2] = (FAR + NEAR) / (FAR - NEAR)
    clip[2, 3] = -2 * FAR * NEAR / (FAR - NEAR)
    clip[3, 2] = 1
    return clip
