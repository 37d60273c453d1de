"""What the tests of predictions share: the body that is drawn."""

import pytest

from datagen.bodies.smpl.model import Body, load_bodies


@pytest.fixture(scope="module")
def body() -> Body:
    return load_bodies()["male"]
