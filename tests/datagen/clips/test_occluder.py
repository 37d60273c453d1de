"""Superpixel occluders and total occlusion."""

import numpy as np
import pytest

from datagen.clips import occluder


def quarters(frames=4, h=60, w=80):
    """Four segments, one a quarter of the frame."""
    y, x = np.mgrid[:h, :w]
    return np.tile(((y >= h // 2) * 2 + (x >= w // 2)).astype(np.uint8), (frames, 1, 1))


def person(frames=4, box=np.s_[20:100, 40:120]):
    mask = np.zeros((frames, 240, 320), bool)
    mask[(slice(None), *box)] = True
    return mask


def test_grid_is_the_person_where_it_was_moved():
    grid = occluder.label_grid(person(), np.zeros((4, 2)), (60, 80))
    assert grid[:, 5:25, 10:30].all() and grid.sum() == 4 * 20 * 20
    moved = occluder.label_grid(person(), np.tile([80.0, 40.0], (4, 1)), (60, 80))
    assert moved[:, 15:35, 30:50].all() and moved.sum() == 4 * 20 * 20


def test_touching_draws_only_what_hides():
    segments, grid = quarters(), occluder.label_grid(person(), np.zeros((4, 2)), (60, 80))
    for seed in range(20):
        label, hidden = occluder.choose(segments, grid, "touching", np.random.default_rng(seed))
        assert (label, hidden) == (0, 1.0)


def test_uniform_draws_all_alike_and_mixed_lies_between():
    segments, grid = quarters(), occluder.label_grid(person(), np.zeros((4, 2)), (60, 80))

    def counts(sampling):
        rng = np.random.default_rng(0)
        draws = [occluder.choose(segments, grid, sampling, rng)[0] for _ in range(2000)]
        return np.bincount(draws, minlength=4) / 2000

    assert np.allclose(counts("uniform"), 0.25, atol=0.04)
    assert np.allclose(counts("mixed"), [0.625, 0.125, 0.125, 0.125], atol=0.04)


def test_nobody_to_touch():
    label, hidden = occluder.choose(
        quarters(), np.zeros((4, 60, 80), bool), "touching", np.random.default_rng(0)
    )
    assert 0 <= label < 4 and hidden == 0


def test_gaps_in_the_labels_are_never_drawn():
    segments = quarters() * 50
    draws = {
        occluder.choose(segments, np.zeros((4, 60, 80), bool), "uniform", np.random.default_rng(s))[
            0
        ]
        for s in range(100)
    }
    assert draws == {0, 50, 100, 150}


def test_a_segment_of_nearly_all_is_no_occluder():
    segments = np.zeros((4, 60, 80), np.uint8)
    segments[:, :20, :20] = 1
    everywhere = np.ones(segments.shape, bool)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        label, hidden = occluder.choose(segments, everywhere, "mixed", rng)
        assert label == 1 and hidden == pytest.approx(400 / 4800)
    alone = np.zeros_like(segments)
    rng = np.random.default_rng(0)
    assert occluder.choose(alone, everywhere, "mixed", rng) == (-1, 0.0)


def test_outline_keeps_place_and_size():
    cells = np.zeros((60, 80), bool)
    cells[10:20, 30:50] = True
    mask = occluder.outline(cells, 320, 240)
    assert set(np.unique(mask)) == {0, 255}
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 79, 120, 199)
    assert mask.sum() / 255 == pytest.approx(40 * 80, rel=0.02)  # corners are rounded


def test_total_occlusion_statistics():
    clips = np.array(
        [occluder.total_occlusion(31, 0.3, 10, np.random.default_rng(s)) for s in range(4000)]
    )
    some = clips[clips.any(axis=1)].astype(int)
    assert len(some) / 4000 == pytest.approx(0.3, abs=0.03)
    lengths = some.sum(axis=1)
    assert (np.abs(np.diff(some, axis=1, prepend=0, append=0)).sum(axis=1) == 2).all()
    assert np.allclose(np.bincount(lengths, minlength=11)[1:] / len(some), 0.1, atol=0.03)
    # The start is uniform among the places where a stretch of that length fits.
    first = some[lengths == 1].argmax(axis=1)
    assert first.min() <= 2 and first.max() >= 28 and first.mean() == pytest.approx(15, abs=3)


@pytest.mark.parametrize("frames", [2, 8, 16])
def test_short_clips_keep_half_their_frames(frames):
    for seed in range(100):
        hidden = occluder.total_occlusion(frames, 1.0, 10, np.random.default_rng(seed))
        assert 1 <= hidden.sum() <= frames // 2


def test_total_occlusion_off():
    assert not occluder.total_occlusion(31, 0.0, 10, np.random.default_rng(0)).any()
