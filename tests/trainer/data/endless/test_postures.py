"""Poses: drawn frames, hinges about their own axes, rotations of the given size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from toy_motions import toy_motion

from trainer.data.endless.motions import MotionStore, gather, quaternion_from_axis_angle
from trainer.data.endless.options import EndlessConfig
from trainer.data.endless.postures import (
    HINGES,
    LIMBS,
    MOST_BENT,
    MOST_FLEX,
    TURNED,
    UPPER,
    Postures,
    flexed,
    turns,
)
from trainer.errors import BadInput
from trainer.geometry import SMPL_MIRROR
from trainer.model.body import BONES

PLAIN = EndlessConfig(speed=1, upper=0, limbs=0, flex=0, turn=0, tilt=0)


@pytest.fixture(scope="module")
def motions() -> MotionStore:
    rng = np.random.default_rng(0)
    return gather([toy_motion(rng, frames) for frames in (40, 65, 31)], np.zeros(3))


def rotvec(matrix: torch.Tensor) -> np.ndarray:
    """Return the rotation vectors of matrices by scipy, one per row."""
    return Rotation.from_matrix(matrix.reshape(-1, 3, 3).double().numpy()).as_rotvec()


def test_unvaried_clips_are_parts_of_the_takes(motions: MotionStore):
    postures = Postures(motions, PLAIN, 8, 4)
    rotations, pelvis = postures.draw(50, torch.Generator().manual_seed(0))
    time = postures.times(50, torch.Generator().manual_seed(0))
    assert torch.equal(time[:, 1:] - time[:, :-1], torch.full((50, 7), 4.0))
    assert torch.equal(motions.first[time[:, 0].long()], motions.first[time[:, -1].long()])
    labels = motions.quaternions[time.long()].float().roll(-1, -1)
    truth = Rotation.from_quat(labels.reshape(-1, 4).numpy()).as_matrix()
    assert np.allclose(rotations.reshape(-1, 3, 3), truth, atol=1e-5)
    assert (pelvis[:, 4] == 0).all()
    place = motions.pelvis[time.long()]
    assert torch.allclose(pelvis, place - place[:, 4:5])


def test_speed_is_log_uniform_keeps_the_middle_and_stays_in_the_take(motions: MotionStore):
    slow = replace(PLAIN, speed=2.0)
    postures = Postures(motions, slow, 9, 3)
    time = postures.times(4000, torch.Generator().manual_seed(1))
    low, high = motions.first[time.floor().long()], motions.last[time.floor().long()]
    assert (low == low[:, :1]).all() and (time <= high).all() and (time >= low).all()
    assert (time[:, 4] == time[:, 4].round()).all()
    whole = (time > low + 1e-6).all(1) & (time < high - 1e-6).all(1)  # inside the take
    step = ((time[whole, 8] - time[whole, 0]) / 8 / 3).log2()
    assert step.abs().max() <= 1 + 1e-5
    plain = (step.abs() < 1e-6).float().mean()
    assert 0.2 < float(plain) < 0.4
    with pytest.raises(BadInput, match="lower --frames or --spacing"):
        Postures(motions, PLAIN, 17, 5)


@pytest.mark.parametrize("name", ["upper", "limbs"])
def test_exchanged_limbs_come_from_other_motions_as_a_whole(motions: MotionStore, name: str):
    postures = Postures(motions, replace(PLAIN, **{name: 0.4}), 6, 2)
    mixed, pelvis = postures.draw(400, torch.Generator().manual_seed(2))
    plain, same = Postures(motions, PLAIN, 6, 2).draw(400, torch.Generator().manual_seed(2))
    changed = ((mixed - plain).abs().amax((-1, -2)) > 1e-3).any(1)  # [n, 24]
    assert torch.equal(pelvis, same)
    groups = [UPPER] if name == "upper" else list(LIMBS)
    kept = [bone for bone in range(BONES) if all(bone not in group for group in groups)]
    assert not changed[:, kept].any()
    moving = {1, 2, 4, 5, 16, 17, 18, 19}
    for group in groups:
        bones = [bone for bone in group if bone in moving]
        assert float(changed[:, bones].all(1).float().mean()) == pytest.approx(0.4, abs=0.08)
        assert torch.equal(changed[:, bones].any(1), changed[:, bones].all(1))
    # Exchanged limbs are taken as a whole from another motion.
    elbow = motions.quaternions[:, 18].float()
    held = Rotation.from_quat(elbow.roll(-1, -1).numpy()).as_matrix().reshape(-1, 9)
    mine = mixed[:, :, 18].reshape(-1, 9).numpy()
    assert np.abs(mine[:, None] - held).max(-1).min(1).max() < 1e-4


def test_hinges_bend_about_their_own_axes():
    rng = np.random.default_rng(3)
    axis = rng.normal(size=(3000, 1, 4, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = rng.uniform(0, 2.3, (3000, 5, 4, 1))
    q = quaternion_from_axis_angle(torch.from_numpy(axis * angle)).float()
    q = q * torch.from_numpy(rng.choice([-1.0, 1.0], (3000, 5, 4, 1))).float()
    out = flexed(q, 0.3, torch.Generator().manual_seed(4))
    bent = Rotation.from_quat(out.roll(-1, -1).reshape(-1, 4).numpy()).as_rotvec()
    after = (bent.reshape(3000, 5, 4, 3) * axis).sum(-1, keepdims=True)
    assert np.allclose(after * axis, bent.reshape(3000, 5, 4, 3), atol=2e-3)
    assert after.min() > -1e-3 and after.max() < MOST_BENT + 1e-3
    assert np.abs(after - angle).max() < MOST_FLEX + 1e-3
    free = (angle > 0.3) & (np.abs(after - angle) < MOST_FLEX - 0.01) & (after < MOST_BENT - 0.01)
    share = np.where(free & (angle < 1), after / angle - 1, np.nan)
    assert np.nanstd(share) == pytest.approx(0.3, rel=0.05)
    # The relative change is constant over a clip.
    low, high = (np.where(free & (angle < 1), after / angle - 1, fill) for fill in (9, -9))
    assert (high.max(1) - low.min(1)).max() < 5e-3


def test_a_hinge_at_rest_stays_there():
    rest = torch.tensor([1.0, 0, 0, 0]).expand(5, 3, 4, 4)
    assert torch.allclose(flexed(rest, 0.5, torch.Generator().manual_seed(0)), rest)
    assert [SMPL_MIRROR[bone] for bone in HINGES] == [5, 4, 19, 18]


def test_joints_get_the_given_constant_rotation(motions: MotionStore):
    drawn = turns(20_000, 10.0, torch.Generator().manual_seed(5))
    vector = Rotation.from_quat(drawn.roll(-1, -1).reshape(-1, 4).numpy()).as_rotvec()
    about = np.sqrt((vector.reshape(20_000, -1, 3) ** 2).mean((0, 2)))
    assert np.allclose(np.degrees(about), 10 * np.array(list(TURNED.values())), rtol=0.03)
    cfg = replace(PLAIN, turn=10.0)
    turned, _ = Postures(motions, cfg, 6, 2).draw(200, torch.Generator().manual_seed(6))
    plain, _ = Postures(motions, PLAIN, 6, 2).draw(200, torch.Generator().manual_seed(6))
    change = plain.mT @ turned
    assert torch.allclose(change, change[:, :1].expand_as(change), atol=2e-3)
    still = [bone for bone in range(BONES) if bone not in TURNED]
    assert torch.allclose(turned[:, :, still], plain[:, :, still], atol=1e-6)


def test_tilt_leans_the_whole_body_without_yaw(motions: MotionStore):
    cfg = replace(PLAIN, tilt=8.0)
    tilted, _ = Postures(motions, cfg, 4, 1).draw(3000, torch.Generator().manual_seed(7))
    plain, _ = Postures(motions, PLAIN, 4, 1).draw(3000, torch.Generator().manual_seed(7))
    vector = np.degrees(rotvec(tilted[:, 0, 0] @ plain[:, 0, 0].mT))
    assert np.allclose(vector[:, 1], 0, atol=0.05)
    assert vector[:, [0, 2]].std() == pytest.approx(8.0, rel=0.04)
    assert torch.equal(tilted[:, :, 1:], plain[:, :, 1:])


def test_all_variations_give_valid_rotations(motions: MotionStore):
    cfg = EndlessConfig(turn=40.0, tilt=30.0, flex=1.0)
    rotations, pelvis = Postures(motions, cfg, 5, 3).draw(300, torch.Generator().manual_seed(8))
    identity = torch.eye(3).expand_as(rotations)
    assert torch.allclose(rotations @ rotations.mT, identity, atol=1e-5)
    assert (torch.linalg.det(rotations) > 0.999).all() and pelvis.isfinite().all()
