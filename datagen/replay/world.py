"""A predicted motion in world coordinates, the source of all files for other programs.

z is up, the first frame's lowest point is at z = 0 and its pelvis above the origin. The shape is
constant over the motion.
"""

# L frames, J joints of a record

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import signal
from scipy.spatial.transform import Rotation, Slerp

from datagen.bodies.smpl.model import Body
from datagen.replay.prediction import PredictedMotion

R_YUP_WORLD = Rotation.from_euler("x", -90, degrees=True)
"""Rotation from AMASS's world (z up) to one with y up."""
EVEN = 0.25
"""Largest deviation, in frames, of evenly spaced times from a constant rate."""
RATE = 30.0
"""Frames per second after resampling, the network's own rate."""
HALF_ORDER = 2
"""Order of the Butterworth filter, applied forward and backward: in total Pose2Sim's order 4."""
PADDING = 9
"""Frames of mirrored padding at both ends for the filter."""


@dataclass(frozen=True, eq=False)
class WorldMotion:
    """One person's motion, as input of SMPL's forward pass."""

    pose: np.ndarray
    """float64 [L,72] axis-angle, root → world (z up)."""
    betas: np.ndarray
    """float [10]."""
    trans: np.ndarray
    """float64 [L,3] metres."""
    times: np.ndarray
    """float64 [L] seconds after the video's first frame."""

    def __len__(self) -> int:
        return len(self.pose)

    @property
    def rate(self) -> float:
        """Mean frames per second; RATE for a single frame."""
        span = self.times[-1] - self.times[0]
        return (len(self) - 1) / span if span > 0 else RATE

    def joints(self, body: Body) -> np.ndarray:
        """Return the joints float64 [L,J,3] in datagen.common.record's order, metres, z up."""
        return body.joints(self.pose, self.betas, self.trans).astype(np.float64)

    def y_up(self, body: Body) -> WorldMotion:
        """Return the motion in a world with y up and unchanged x."""
        pelvis = body.rest_joints(self.betas)[0].astype(np.float64)
        root = (R_YUP_WORLD * Rotation.from_rotvec(self.pose[:, :3])).as_rotvec()
        return replace(
            self,
            pose=np.concatenate([root, self.pose[:, 3:]], axis=1),
            trans=R_YUP_WORLD.apply(pelvis + self.trans) - pelvis,
        )


def of_prediction(motion: PredictedMotion, body: Body) -> WorldMotion:
    """Return a predicted motion with its mean betas, on the ground, starting at the origin."""
    pose = np.concatenate([motion.orient, motion.pose[:, 3:]], axis=1).astype(np.float64)
    trans = motion.trans.astype(np.float64)
    vertices, joints = body.forward(pose[:1], motion.betas, trans[:1])
    start = np.array([*joints[0, 0, :2], vertices[0, :, 2].min()])
    return WorldMotion(pose, motion.betas, trans - start, motion.times.astype(np.float64))


def even(motion: WorldMotion) -> WorldMotion:
    """Return the motion at evenly spaced times: unchanged if they are, otherwise resampled to
    RATE."""
    straight = np.linspace(motion.times[0], motion.times[-1], len(motion))
    if np.abs(motion.times - straight).max() * motion.rate <= EVEN:
        return replace(motion, times=straight)
    return at_rate(motion, RATE)


def at_rate(motion: WorldMotion, rate: float) -> WorldMotion:
    """Return the motion at a constant rate from the same first time, with spherical interpolation
    of rotations and linear interpolation of positions."""
    length = int((motion.times[-1] - motion.times[0]) * rate + 1e-6) + 1
    return at_times(motion, motion.times[0] + np.arange(length) / rate)


def at_times(motion: WorldMotion, times: np.ndarray) -> WorldMotion:
    """Return the motion at other times [N] within its range."""
    if len(motion) == 1:
        return replace(motion, times=times[:1])
    within = np.clip(times, motion.times[0], motion.times[-1])
    turns = motion.pose.reshape(len(motion), -1, 3)
    pose = [
        Slerp(motion.times, Rotation.from_rotvec(turns[:, joint]))(within).as_rotvec()
        for joint in range(turns.shape[1])
    ]
    place = [np.interp(within, motion.times, axis) for axis in motion.trans.T]
    return replace(
        motion, pose=np.concatenate(pose, axis=1), trans=np.stack(place, axis=1), times=times
    )


def smoothed(motion: WorldMotion, cutoff: float) -> WorldMotion:
    """Return the motion with positions and rotations low-passed at `cutoff` Hz.

    Uses a zero-lag Butterworth filter of order 4 (order 2 forward and backward), as in Pose2Sim.
    Rotations are filtered as quaternions with continuous sign and renormalised. Unevenly spaced
    times are resampled to a constant rate first. A cut-off above half the frame rate has no effect.
    """
    steady = even(motion)
    if len(steady) < 4 or cutoff >= steady.rate / 2:
        return motion
    sections: Any = signal.butter(HALF_ORDER, cutoff / (steady.rate / 2), output="sos")
    pad = min(PADDING, len(steady) - 1)
    turns = Rotation.from_rotvec(steady.pose.reshape(-1, 3)).as_quat().reshape(len(steady), -1, 4)
    turns = signal.sosfiltfilt(sections, continuous(turns), axis=0, padlen=pad)
    pose = Rotation.from_quat(turns.reshape(-1, 4)).as_rotvec().reshape(len(steady), -1)
    trans = signal.sosfiltfilt(sections, steady.trans, axis=0, padlen=pad)
    return at_times(replace(steady, pose=pose, trans=trans), motion.times)


def continuous(turns: np.ndarray) -> np.ndarray:
    """Return quaternions [L,...,4] with signs chosen to be closest to the previous frame."""
    flips = np.sign((turns[1:] * turns[:-1]).sum(-1))
    signs = np.cumprod(np.where(flips == 0, 1, flips), axis=0)
    return np.concatenate([turns[:1], turns[1:] * signs[..., None]])
