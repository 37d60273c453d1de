"""Drawn postures against SciPy: held for a clip, on the named joints, of the named size."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datagen.bodies.motion.pose_noise import TURNED, vary
from datagen.bodies.options import BodiesConfig
from datagen.common.errors import BadOption

POSE = np.random.default_rng(0).normal(0, 0.7, (9, 72)).astype(np.float32)


def turns(varied: np.ndarray) -> np.ndarray:
    """Return the rotation vectors [T, 24, 3] that lead from POSE's joints to the varied ones."""
    before, after = (Rotation.from_rotvec(pose.reshape(-1, 3)) for pose in (POSE, varied))
    return (before.inv() * after).as_rotvec().reshape(len(POSE), 24, 3)


def test_no_noise_leaves_every_byte():
    assert vary(POSE, 0.0, np.random.default_rng(1)) is POSE


def test_a_turn_holds_for_the_clip_and_spares_the_other_joints():
    varied = vary(POSE, 12.0, np.random.default_rng(1))
    assert varied.dtype == POSE.dtype and varied.shape == POSE.shape
    turn = turns(varied)
    np.testing.assert_allclose(turn, np.broadcast_to(turn[:1], turn.shape), atol=1e-5)
    others = np.setdiff1d(np.arange(24), TURNED)
    assert 0 in others, "the body as a whole is the camera's to turn"
    np.testing.assert_allclose(turn[:, others], 0, atol=1e-5)
    assert (np.abs(turn[0, TURNED]).max(-1) > 1e-3).all()


def test_root_mean_square_is_as_asked():
    draws = [turns(vary(POSE, 12.0, np.random.default_rng(seed)))[0, TURNED] for seed in range(600)]
    rms = np.degrees(np.sqrt(np.mean(np.square(draws))))
    assert rms == pytest.approx(12.0, rel=0.1)
    sizes = np.sqrt(np.mean(np.square(draws), axis=(1, 2)))
    assert np.quantile(sizes, 0.1) < 0.25 * np.quantile(sizes, 0.9), "some clips hardly, some much"


@pytest.mark.parametrize("noise", [-1.0, 61.0, float("nan")])
def test_senseless_noise_is_refused(noise):
    with pytest.raises(BadOption, match="--pose-noise"):
        BodiesConfig(pose_noise=noise)


def test_surreals_people_stay_as_they_moved(tmp_path):
    with pytest.raises(BadOption, match="--pose-noise"):
        BodiesConfig(surreal=tmp_path, pose_noise=5.0)
