"""Simulated detector errors have the number, size and duration given by the options."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainer.data.endless.detector import ORDER, Detector, diagonal, shares
from trainer.data.endless.options import EndlessConfig
from trainer.errors import BadInput

NOTHING = EndlessConfig(
    noise=0, bias=0, drift=0, drop=0, gap=0, outlier=0, burst=0, occluder=0, blackout=0
)
EXACT = replace(NOTHING, fixed_levels=True)
CLIPS, FRAMES = 3000, 16


def person() -> torch.Tensor:
    """Motionless people [n, T, 12, 2] whose box has a diagonal of 2 (in any unit)."""
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.uniform(-1, 1, (CLIPS, 1, 12, 2))).float()
    points = points * 2 / diagonal(points)[:, None, None, None]
    return points.expand(CLIPS, FRAMES, 12, 2)


def detect(cfg: EndlessConfig, points: torch.Tensor | None = None, seed: int = 0):
    points = person() if points is None else points
    found, seen = Detector(cfg, torch.Generator().manual_seed(seed))(points)
    return (found - points) / 2, seen


def test_without_errors_keypoints_are_unchanged():
    error, seen = detect(NOTHING)
    assert error.abs().max() == 0 and seen.all()


def test_the_keypoint_order_is_the_records():
    from datagen.common.record import KEYPOINTS

    assert tuple(name.removeprefix("lsp_") for name in KEYPOINTS) == ORDER
    assert shares({"hip": 1.3})[[2, 3]].tolist() == pytest.approx([1.3, 1.3])
    assert int((shares({"hip": 1.3}) == 1).sum()) == 10


def test_jitter_is_drawn_for_each_frame():
    error, _ = detect(replace(EXACT, noise=0.02))
    assert float(error.std()) == pytest.approx(0.02, rel=0.02)
    following = np.corrcoef(error[:, :-1].flatten(), error[:, 1:].flatten())[0, 1]
    assert abs(following) < 0.01


def test_bias_is_constant_over_the_clip_and_larger_at_the_hips():
    error, _ = detect(replace(EXACT, bias=0.02))
    assert torch.allclose(error, error[:, :1].expand_as(error), atol=1e-6)
    limbs = [i for i, name in enumerate(ORDER) if "hip" not in name]
    assert float(error[:, :, limbs].std()) == pytest.approx(0.02, rel=0.02)
    assert float(error[:, :, [2, 3]].std()) == pytest.approx(0.026, rel=0.03)


def test_drift_changes_slowly_and_starts_anywhere():
    points = person()[:, :1].expand(-1, 17, -1, -1)  # four steps from knot to knot
    error, _ = detect(replace(EXACT, drift=0.02), points)
    ends = error[:, [0, -1]]
    assert float(ends.std()) == pytest.approx(0.02, rel=0.02)
    assert 0.7 * 0.02 < float(error.std()) < 0.02
    step = (error[:, 1:] - error[:, :-1]).std()
    assert float(step) == pytest.approx(0.02 * 2**0.5 / 4, rel=0.05)


def test_levels_are_drawn_for_the_clip():
    error, _ = detect(replace(NOTHING, noise=0.03))
    level = error.flatten(1).std(1)
    assert level.max() < 0.034 and level.min() < 0.001
    assert float(level.mean()) == pytest.approx(0.015, rel=0.05)


def test_outliers_lie_elsewhere_on_the_person():
    error, _ = detect(replace(NOTHING, outlier=0.05))
    wrong = error.abs().sum(-1) > 0
    assert float(wrong.float().mean()) == pytest.approx(0.05, rel=0.05)
    assert float(error[wrong].std()) == pytest.approx(0.15, rel=0.03)


def test_bursts_keep_a_wrong_position_mostly_at_the_wrists():
    error, _ = detect(replace(NOTHING, burst=0.2))
    often = (error.abs().sum(-1) > 0).any(1).float().mean(0)
    share = dict(zip(ORDER, often.tolist(), strict=True))
    assert share["left_wrist"] == pytest.approx(2 * share["left_knee"], rel=0.15)
    assert share["left_hip"] == pytest.approx(0.3 * share["left_knee"], rel=0.3)
    wrong = error.abs().sum(-1) > 0
    both = wrong[:, 1:] & wrong[:, :-1]
    jump = (error[:, 1:] - error[:, :-1])[both].std()
    assert float(jump) == pytest.approx(0.02 * 2**0.5, rel=0.05)
    assert float(error[wrong].std()) == pytest.approx((0.08**2 + 0.02**2) ** 0.5, rel=0.05)


def test_drops_are_single_keypoints_in_single_frames():
    _, seen = detect(replace(NOTHING, drop=0.2))
    assert float((~seen).float().mean()) == pytest.approx(0.1, rel=0.05)
    rate = (~seen).float().mean((1, 2))
    assert rate.max() < 0.32 and float((rate < 0.02).float().mean()) > 0.05


def test_gaps_are_stretches_of_one_keypoint():
    _, seen = detect(replace(NOTHING, gap=0.4))
    lost = (~seen).any(1).float().mean()
    # begin is uniform in [-0.2, 1), the length in [0, 0.6): 0.9 of them show.
    assert 0.08 < float(lost) < 0.1
    edges = (seen[:, 1:] != seen[:, :-1]).sum(1)
    assert edges.max() <= 2  # one stretch


def longest(missing: torch.Tensor) -> int:
    """The longest run of a keypoint's missing frames."""
    most = run = torch.zeros_like(missing[:, 0], dtype=torch.long)
    for frame in missing.unbind(1):
        run = (run + 1) * frame
        most = torch.maximum(most, run)
    return int(most.max())


def test_stretches_have_the_given_length():
    detector = Detector(NOTHING, torch.Generator().manual_seed(1))
    stretch = detector.stretches(4000, 61, 3, 0.5)
    assert longest(stretch) in (29, 30, 31)
    assert stretch[:, 0].any() and stretch[:, -1].any()
    assert float(stretch.float().mean()) == pytest.approx(0.25 / 1.2, rel=0.1)
    assert Detector(NOTHING, torch.Generator()).stretches(5, 1, 2, 0.5).shape == (5, 1, 2)


def test_a_blackout_hides_the_whole_person():
    _, seen = detect(replace(NOTHING, blackout=0.5))
    assert torch.equal(seen.any(-1), seen.all(-1))
    clips = (~seen.any(-1)).any(1).float().mean()
    assert 0.5 * 0.75 < float(clips) < 0.5
    assert longest(~seen) <= 7  # 0.4 of 15 steps


def test_a_bar_is_straight_and_has_the_right_width():
    """On a fine grid of points, the bar hides a strip of 0.2 to 0.7 diagonals."""
    side = torch.linspace(-1, 1, 41)
    grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1).reshape(1, 1, -1, 2)
    hidden = Detector(NOTHING, torch.Generator().manual_seed(3)).behind_bar(
        grid.expand(200, 1, -1, 2)
    )[:, 0]
    across = []
    for mask in hidden.numpy():
        points, rest = grid[0, 0, mask].numpy(), grid[0, 0, ~mask].numpy()
        assert len(points)
        if len(points) < 60:
            continue
        # A strip: some direction has all hidden points between two lines and no other point there.
        angle = np.linspace(0, np.pi, 361)[:-1]
        axis = np.stack((np.cos(angle), np.sin(angle)))
        low, high = (points @ axis).min(0), (points @ axis).max(0)
        inside = ((rest @ axis > low + 1e-6) & (rest @ axis < high - 1e-6)).sum(0)
        best = inside.argmin()
        assert inside[best] <= 12
        sides = rest @ axis[:, best]
        if sides.min() < low[best] and sides.max() > high[best]:  # the whole width is in the grid
            across.append((high - low)[best] / 8**0.5)
    assert len(across) > 50
    assert 0.15 < min(across) < max(across) < 0.72


def test_bars_hide_keypoints_for_a_stretch():
    _, seen = detect(replace(NOTHING, occluder=1.0))
    share = (~seen).float().mean()
    assert 0.05 < float(share) < 0.3
    _, again = detect(replace(NOTHING, occluder=0.5))
    touched = (~again).flatten(1).any(1).float().mean() / (~seen).flatten(1).any(1).float().mean()
    assert float(touched) == pytest.approx(0.5, abs=0.06)
    # With motionless people and bars, all hidden frames of a clip hide the same keypoints.
    hidden = ~seen
    union = hidden.any(1)
    assert torch.equal(
        hidden & hidden.any(-1, keepdim=True), union[:, None] & hidden.any(-1, keepdim=True)
    )


def test_errors_scale_with_the_persons_size():
    cfg = EndlessConfig(burst=0.1)
    points = person()
    small, seen = Detector(cfg, torch.Generator().manual_seed(4))(points)
    large, same = Detector(cfg, torch.Generator().manual_seed(4))(points * 256)
    assert torch.equal(seen, same)
    assert torch.allclose(large, small * 256, rtol=1e-4, atol=1e-2)


def test_all_levels_of_missing_come_from_the_same_numbers_of_one_frame():
    points = person()[:, :1]
    _, seen = Detector(EndlessConfig(), torch.Generator().manual_seed(5))(points)
    assert seen.shape == (CLIPS, 1, 12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"distance": (9.0, 2.0)}, {"distance": (0.0, 2.0)}, {"pitch": (10.0, -10.0)},
        {"speed": 0.5}, {"noise": -0.1}, {"drop": 1.5}, {"turn": float("nan")},
        {"blackout": float("nan")}, {"betas": float("inf")}, {"distance": (1.0, float("nan"))},
    ],
)  # fmt: skip
def test_impossible_options_are_refused(wrong):
    with pytest.raises(BadInput, match=f"--endless.{next(iter(wrong))} must be"):
        EndlessConfig(**wrong)
