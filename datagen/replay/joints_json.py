"""A motion's joints as JSON, for your own programs."""

from __future__ import annotations

import json

import numpy as np

from datagen.bodies.smpl.model import Body
from datagen.clips import crop
from datagen.common.record import JOINTS, SMPL_PARENTS
from datagen.replay.prediction import PredictedMotion
from datagen.replay.world import R_YUP_WORLD, WorldMotion


def of_motion(body: Body, motion: PredictedMotion, world: WorldMotion) -> str:
    """Return the text of a .json with a motion's joints in every frame.

    joints2d: the original prediction in pixels of the video; joints3d: `world` in metres, y up, at
    the prediction's times.
    """
    about = body.joints(motion.pose, motion.shapes, np.zeros((len(motion), 3)))
    maps = crop.inverse(motion.crop.astype(np.float64))
    pixels = crop.transform(maps, motion.in_crop(about))
    places = R_YUP_WORLD.apply(world.joints(body).reshape(-1, 3)).reshape(len(world), -1, 3)
    content = {
        "joints": JOINTS,
        "parents": SMPL_PARENTS,
        "axes": "joints3d: metres, x right, y up, z towards the camera's side; "
        "joints2d: pixels of the video, x right, y down; parents: of the first 24 joints",
        "size": list(motion.size),
        "times": np.round(world.times, 6).tolist(),
        "frames": motion.source.tolist(),
        "detected": (~motion.occluded).tolist(),
        "joints2d": np.round(pixels, 2).tolist(),
        "joints3d": np.round(places, 4).tolist(),
    }
    return json.dumps(content, separators=(",", ":")) + "\n"
