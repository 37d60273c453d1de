"""What the tests of clips share: a person and a scene of plain shapes."""

import numpy as np
import pytest
from toy_layers import make_background, make_person


@pytest.fixture
def person():
    return make_person(np.random.default_rng(1))


@pytest.fixture
def background():
    return make_background(np.random.default_rng(2))
