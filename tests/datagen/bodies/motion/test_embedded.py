"""The embedded motions, seen as a body sees them."""

import numpy as np
import pytest
from motion_files import REST
from scipy.spatial.transform import Rotation

from datagen.bodies.motion.embedded import MIRRORED
from datagen.bodies.motion.sources import find_motions, load_motion

HINGES = {4: (1, 7, -1.0), 5: (2, 8, -1.0), 18: (16, 20, 1.0), 19: (17, 21, 1.0)}
"""Joint → the joints above and below, and to which side of SMPL's rest body it bends along z."""


def bends(pose: np.ndarray, joint: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sine of a hinge's bend to its own side, and of all of its bend, [N] each."""
    above, below, side = HINGES[joint]
    along, bone = REST[joint] - REST[above], REST[below] - REST[joint]
    along, bone = along / np.linalg.norm(along), bone / np.linalg.norm(bone)
    turned = Rotation.from_rotvec(pose[:, 3 * joint : 3 * joint + 3]).apply(bone)
    across = turned - (turned @ along)[:, None] * along
    return side * across[:, 2], np.linalg.norm(across, axis=1)


def test_knees_and_elbows_bend_one_way():
    """The limb above a hinge is not turned by 180° about itself, which joints do not show."""
    wrong = []
    for source in find_motions(None):
        if source.name.endswith(MIRRORED):
            continue
        pose = load_motion(source, REST).pose.astype(float)
        for joint in HINGES:
            inward, size = bends(pose, joint)
            if (inward[size > 0.35] < -0.1).any():
                wrong.append((source.name, joint))
    assert not wrong


@pytest.mark.parametrize("joint", HINGES)
def test_the_sides_are_those_of_a_squat_and_of_a_raised_hand(joint):
    """What is called the right side is: by a right angle in each hinge, made by hand."""
    pose = np.zeros((1, 72))
    axis = {4: [1, 0, 0], 5: [1, 0, 0], 18: [0, -1, 0], 19: [0, 1, 0]}[joint]
    pose[0, 3 * joint : 3 * joint + 3] = np.array(axis) * np.pi / 2
    inward, size = bends(pose, joint)
    assert inward[0] > 0.9 and size[0] > 0.9
