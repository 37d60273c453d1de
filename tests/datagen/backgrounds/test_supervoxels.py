"""Supervoxels follow what they cover."""

import numpy as np
from moving_pictures import film, picture, similarities

from datagen.backgrounds.supervoxels import supervoxels, time_step


def quilt(rng: np.random.Generator, height: int, width: int, patch: int = 40) -> np.ndarray:
    """A world of plain patches: where a segment belongs is plain."""
    colours = rng.integers(20, 235, (height // patch + 1, width // patch + 1, 3))
    return np.kron(colours, np.ones((patch, patch, 1)))[:height, :width].astype(np.uint8)


def test_segments_follow_a_panning_scene():
    motion = similarities(16, pan=(2.0, 1.0), zoom=1.004)
    frames = film(quilt(np.random.default_rng(0), 400, 480), motion)
    labels = supervoxels(frames, motion.astype(np.float32), 30)
    assert labels.shape == (16, 60, 80) and labels.dtype == np.uint8
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    # A point of the scene keeps its label while it stays in the frame.
    y, x = np.mgrid[6:40:2, 6:50:2]
    points = np.stack([4 * x.ravel() + 1.5, 4 * y.ravel() + 1.5, np.ones(x.size)])
    kept = []
    for t in range(16):
        px, py = np.round((motion[t] @ points - 1.5) / 4).astype(int)
        kept.append(labels[t, py, px] == labels[0][y, x].ravel())
    assert np.mean(kept) > 0.9


def test_segments_last_through_the_window():
    frames = np.repeat(picture(np.random.default_rng(0), 240, 320, 12.0)[None], 32, axis=0)
    labels = supervoxels(frames, similarities(32).astype(np.float32), 40)
    alive = [len(np.unique(frame)) for frame in labels]
    assert min(alive) == labels.max() + 1
    assert 20 <= labels.max() + 1 <= 80


def test_deterministic_and_flat_pictures_do_not_fail():
    frames = np.full((5, 50, 70, 3), 77, np.uint8)
    motion = similarities(5).astype(np.float32)
    labels = supervoxels(frames, motion, 20)
    assert labels.shape == (5, 13, 18)
    assert np.array_equal(labels, supervoxels(frames, motion, 20))


def test_one_layer_of_seeds_in_time():
    from skimage.util import regular_grid

    for frames, segments in ((32, 20), (32, 60), (57, 60), (9, 40), (32, 255)):
        steps = -(-frames // time_step(frames, 60, 80, segments))
        grid = regular_grid((steps, 60, 80), segments)
        assert len(range(*grid[0].indices(steps))) == 1
