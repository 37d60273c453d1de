"""benchmarks.exact_flow: the flow of a translated body is that of the pinhole camera."""

import numpy as np
import pytest

from benchmarks.exact_flow import exact_flow
from datagen.bodies.render.camera import project
from datagen.bodies.smpl.model import load_bodies
from datagen.clips.crop import transform
from datagen.common.errors import BadInput

FRAMES, SIZE, STRIDE = 5, 128, 4
FOCAL, DEPTH = 2560.0, 50.0
"""So far away that the whole body moves by the same number of pixels to within 1 %."""


@pytest.fixture
def labels() -> dict[str, np.ndarray]:
    """A person translated to the right and down, with a moving crop."""
    body = load_bodies()["neutral"]
    pose = np.zeros((FRAMES, 72), np.float32)
    pose[:, 0] = np.pi  # upright: the picture's y points down
    time = np.arange(FRAMES)[:, None]
    trans = (np.array([[-0.1, 0, DEPTH]]) + time * [0.04, 0.02, 0]).astype(np.float32)
    _, joints = body.forward(pose, np.zeros(10), trans)
    camera = np.array([[FOCAL, 0, 63.5], [0, FOCAL, 63.5], [0, 0, 1]], np.float32)
    crop = np.tile(np.eye(2, 3, dtype=np.float32), (FRAMES, 1, 1))
    crop[:, 0, 2] = time[:, 0]
    offsets = (time * [0.0, -0.5]).astype(np.float32)
    joints2d = transform(crop, project(joints, camera) + offsets[:, None])
    return {
        "pose": pose, "betas": np.zeros(10, np.float32), "trans": trans, "camera": camera,
        "crop": crop, "offsets": offsets, "joints2d": np.pad(joints2d, ((0, 0), (0, 0), (0, 1))),
        "visibility": np.full((FRAMES, 38), 2, np.uint8), "occluded": np.zeros(FRAMES, np.uint8),
    }  # fmt: skip


def test_flow_is_exact_on_the_person_and_estimated_elsewhere(labels):
    cells = SIZE // STRIDE
    estimated = np.full((FRAMES, 2, cells, cells), 9, np.float16)
    flow = exact_flow(labels, load_bodies()["neutral"], estimated, SIZE).astype(float)
    across, down = FOCAL * 0.04 / DEPTH + 1, FOCAL * 0.02 / DEPTH - 0.5
    for t in range(FRAMES - 1):
        hips = labels["joints2d"][t, [1, 2], :2].mean(0)
        column, row = ((hips + 0.5) // STRIDE).astype(int)
        assert flow[t, :, row, column] == pytest.approx([across, down], rel=0.02)
    assert (flow[:, :, -4:, :4] == 9).all() and (flow[-1] == 9).all()
    person = flow[:-1, 0] != 9
    assert 0.05 < person.mean() < 0.3
    labels["occluded"][1] = 1
    hidden = exact_flow(labels, load_bodies()["neutral"], estimated, SIZE)
    assert not hidden[1].any() and np.array_equal(hidden[0], flow[0].astype(np.float16))


def test_people_of_other_bodies_are_refused(labels):
    labels["betas"] = np.full(10, 3, np.float32)
    estimated = np.zeros((FRAMES, 2, 32, 32), np.float16)
    with pytest.raises(BadInput, match="do not have the embedded bodies"):
        exact_flow(labels, load_bodies()["neutral"], estimated, SIZE)
