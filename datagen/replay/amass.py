"""A motion in AMASS's layout (.npz), for Blender's SMPL add-ons and datagen.launch --motions."""

from __future__ import annotations

import io

import numpy as np

from datagen.replay.world import RATE, WorldMotion, at_rate

SMPLH = 52
"""Joints of SMPL+H: SMPL's without its two hands, and 30 finger joints, kept straight."""


def of_motion(motion: WorldMotion) -> bytes:
    """Return an .npz at exactly 30 frames per second.

    Meshcapade's add-ons use int(mocap_framerate) and reject rates below the scene's 30, so 29.97
    frames per second would not load. New and old add-ons read the rate under different names.
    """
    motion = at_rate(motion, RATE)
    poses = np.zeros((len(motion), 3 * SMPLH), np.float32)
    poses[:, :66] = motion.pose[:, :66]
    file = io.BytesIO()
    np.savez(
        file,
        poses=poses,
        trans=motion.trans.astype(np.float32),
        betas=motion.betas.astype(np.float32),
        gender=np.array("neutral"),
        mocap_framerate=np.array(RATE),
        mocap_frame_rate=np.array(RATE),
    )
    return file.getvalue()
