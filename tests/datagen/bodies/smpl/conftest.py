"""What the tests of the body model share: the open bodies, a clip of random poses."""

import numpy as np
import pytest

from datagen.bodies.smpl.model import load_bodies


@pytest.fixture(scope="module")
def bodies():
    return load_bodies(None)


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.4, (6, 72)).astype(np.float32)
    trans = rng.normal(0, 2, (6, 3)).astype(np.float32)
    return pose, rng.normal(size=10).astype(np.float32), trans
