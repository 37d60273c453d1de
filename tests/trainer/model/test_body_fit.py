"""A body fitted to joints of smplx bodies recovers joints, limbs and surface."""

from pathlib import Path

import numpy as np
import pytest
import torch
from posed_people import (
    EVAL_MIRROR,
    MIRROR,
    folded_body,
    motion,
    procrustes,
    smplx_joints,
    smplx_vertices,
    turned,
)
from scipy.spatial.transform import Rotation
from trainer_fixtures import toy_body

from trainer.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from trainer.model import body_fit
from trainer.model.articulation import Linkage
from trainer.model.body import BodyJoints
from trainer.model.body_fit import fit_body
from trainer.model.swing import between, hinges

CMU = Path(__file__).parents[3] / ".." / "shared" / "data" / "mocap" / "cmu_smpl"
LIMBS = {
    1: (3, 4),
    2: (2, 1),
    4: (4, 5),
    5: (1, 0),
    16: (9, 10),
    17: (8, 7),
    18: (10, 11),
    19: (7, 6),
}
UNIT = 0.4  # metres per unit: results must not depend on the joints' unit


def shape(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 1, 10).clip(-2, 2)).float()


def sigma_of(joints: torch.Tensor, metres: float) -> torch.Tensor:
    return torch.full(joints.shape[:2], metres * UNIT)


def seen_joints(rotations, betas, noise: float = 0.0, seed: int = 0):
    """Return smplx's joints, and the same with noise, about the hips and scaled."""
    true = smplx_joints(rotations, betas)
    rng = np.random.default_rng(seed)
    noisy = true + torch.from_numpy(rng.normal(0, 1, true.shape) * noise).float()
    return true, (noisy - noisy[:, 2:4].mean(1, keepdim=True)) * UNIT


def directions(joints: torch.Tensor) -> torch.Tensor:
    pairs = list(LIMBS.values())
    limb = joints[:, [b for _, b in pairs]] - joints[:, [a for a, _ in pairs]]
    return torch.nn.functional.normalize(limb, dim=-1)


def acceleration(joints: torch.Tensor) -> float:
    rooted = joints - joints[:, 2:4].mean(1, keepdim=True)
    return 1000 * float((rooted[2:] - 2 * rooted[1:-1] + rooted[:-2]).norm(dim=-1).mean())


@pytest.mark.parametrize(
    "name", ["walk_on_1", "dance_a", "cartwheel", "sprint_1", "squats_1", "kick"]
)
def test_joints_of_posed_bodies_are_recovered(name):
    rotations, betas = motion(name, 80), shape(3)
    true, joints = seen_joints(rotations, betas)
    guess = turned(rotations, 15, seed=1)
    fit = fit_body(folded_body(), joints, sigma_of(joints, 0.003), guess, torch.zeros(10))
    error = procrustes(fit.joints, true)
    assert error.mean() < 2 and error.max() < 3
    # Without similarity alignment: the fit itself gives scale and translation.
    assert (fit.scale * joints - fit.joints).norm(dim=-1).mean() < 0.003
    turn = (directions(fit.joints) * directions(true)).sum(-1).clamp(-1, 1).arccos()
    assert turn.rad2deg().mean() < 0.7 and turn.rad2deg().max() < 3
    again = smplx_joints(fit.rotations, fit.betas) + fit.translation[:, None]
    assert (again - fit.joints).abs().max() < 1e-4, "its joints are not the body's"


def test_joints_of_motion_capture_are_recovered():
    if not CMU.is_dir():
        pytest.skip("no motion capture beside the checkout")
    from posed_people import body_arrays

    from datagen.bodies.motion.sources import find_motions, load_motion

    body = body_arrays()
    rest = body["J_regressor"].astype(float) @ body["v_template"]
    for source in find_motions(CMU)[::40]:
        pose = torch.from_numpy(load_motion(source, rest).pose[:90]).float()
        rotations = matrix_from_axis_angle(pose.unflatten(1, (24, 3)))
        true, joints = seen_joints(rotations, shape(5))
        guess = turned(rotations, 15, seed=2)
        fit = fit_body(folded_body(), joints, sigma_of(joints, 0.003), guess, torch.zeros(10))
        error = procrustes(fit.joints, true)
        assert error.mean() < 2 and error.max() < 3.5, source.name


def test_the_surface_is_recovered_if_the_guess_has_the_twists():
    rotations, betas = motion("dance_b", 24), shape(4)
    _, joints = seen_joints(rotations, betas)
    # Upper limbs 20 degrees off, perpendicular to their axes; knees and elbows bent 20 degrees too
    # much or too little; the whole body rotated.
    linkage = Linkage(folded_body(), betas)
    guess, rng = rotations.clone(), np.random.default_rng(0)
    for hinge in hinges(linkage):
        square = torch.linalg.cross(hinge.along, torch.from_numpy(rng.normal(size=3)).float())
        axis = torch.linalg.cross(hinge.along, hinge.forward)
        for bone, about in ((hinge.above, square / square.norm()), (hinge.bone, axis)):
            sign = float(rng.choice([-1, 1]))
            guess[:, bone] = guess[:, bone] @ matrix_from_axis_angle(np.radians(20) * sign * about)
    guess[:, 0] = matrix_from_axis_angle(torch.tensor([0.2, 0.3, -0.2])) @ guess[:, 0]
    fit = fit_body(folded_body(), joints, sigma_of(joints, 0.003), guess, betas)
    vertices = smplx_vertices(rotations, betas)
    before = procrustes(smplx_vertices(guess, betas), vertices)
    after = procrustes(smplx_vertices(fit.rotations, fit.betas), vertices)
    assert before.mean() > 40
    assert after.mean() < 5 and after.max() < 10


def test_a_body_smooths_noise_and_keeps_its_size():
    rotations, betas = motion("walk_on_1", 90), shape(6)
    true, joints = seen_joints(rotations, betas, noise=0.02)
    guess = turned(rotations, 15, seed=3)
    fit = fit_body(folded_body(), joints, sigma_of(joints, 0.02), guess, betas)
    assert procrustes(fit.joints, true).mean() < 0.6 * procrustes(joints, true).mean()
    assert acceleration(fit.joints) < 0.5 * acceleration(joints / UNIT)
    # Least squares on noisy joints shrinks a body unless the noise is theirs.
    assert abs(float(fit.scale) * UNIT - 1) < 0.05


def test_mirrored_turned_and_scaled_joints_give_the_mirrored_turned_same_body():
    body, flip = folded_body(), torch.tensor([-1.0, 1.0, 1.0])
    rotations = motion("dance_a", 40)
    _, joints = seen_joints(rotations, shape(7), noise=0.02)
    guess, sigma = turned(rotations, 15, seed=4), sigma_of(joints, 0.02)
    fit = fit_body(body, joints, sigma, guess, torch.zeros(10))

    mirror = torch.diag(flip)
    other = fit_body(
        body,
        (joints * flip)[:, EVAL_MIRROR],
        sigma,
        (mirror @ guess @ mirror)[:, MIRROR],
        fit.betas * 0,
    )
    assert ((other.joints * flip)[:, EVAL_MIRROR] - fit.joints).abs().max() < 2e-3
    assert (other.betas - fit.betas).abs().max() < 0.05

    turn = matrix_from_axis_angle(torch.tensor([0.4, -1.9, 0.8]))
    leaning = guess.clone()
    leaning[:, 0] = turn @ guess[:, 0]
    other = fit_body(body, joints @ turn.T, sigma, leaning, torch.zeros(10))
    assert (other.joints - fit.joints @ turn.T).abs().max() < 1e-3
    assert (other.rotations[:, 1:] - fit.rotations[:, 1:]).abs().max() < 1e-3

    other = fit_body(body, 30 * joints + 5, 30 * sigma, guess, torch.zeros(10))
    assert (other.rotations - fit.rotations).abs().max() < 1e-3
    assert float(other.scale * 30 / fit.scale) == pytest.approx(1, abs=1e-4)


def test_missing_joints_and_frames_come_from_the_guess_and_their_neighbours():
    body, betas = folded_body(), shape(8)
    rotations = motion("walk_on_1", 100)
    true, joints = seen_joints(rotations, betas, noise=0.01)
    sigma, guess = sigma_of(joints, 0.01), turned(rotations, 15, seed=5)
    whole = fit_body(body, joints, sigma, guess, betas)
    gap = sigma.clone()
    gap[20:30] = torch.inf  # nothing
    gap[50:60, [0, 1, 6, 7]] = torch.inf  # the right limbs
    gap[80:90, 2:4] = torch.inf  # the hips
    holes = joints.clone()
    holes[gap.isinf()] = torch.nan
    fit = fit_body(body, holes, gap, guess, betas)
    for part in fit:
        assert part.isfinite().all()
    error = procrustes(fit.joints, true)
    untouched = torch.cat((torch.arange(15), torch.arange(62, 75)))
    assert abs(error[untouched] - procrustes(whole.joints, true)[untouched]).max() < 3
    assert error[80:90].mean() < 20
    # Without joints a frame keeps the limbs of the guess, about 60 mm off; never worse.
    own = procrustes(smplx_joints(guess, betas), true)
    assert error[20:30].mean() < own[20:30].mean()
    assert error[50:60].mean() < 0.8 * own[50:60].mean()
    seen = [8, 9, 10, 11, 3, 4, 5, 12, 13]
    assert procrustes(fit.joints[50:60, seen], true[50:60, seen]).mean() < 10


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_tracks_of_a_few_frames_are_fitted(frames):
    rotations, betas = motion("jog_1", frames), shape(9)
    true, joints = seen_joints(rotations, betas)
    guess = turned(rotations, 10, seed=6)
    fit = fit_body(folded_body(), joints, sigma_of(joints, 0.003), guess, torch.zeros(frames, 10))
    assert procrustes(fit.joints, true).max() < 3
    assert fit.rotations.shape == (frames, 24, 3, 3) and fit.betas.shape == (10,)


def test_frames_without_joints_keep_the_guess():
    guess = motion("jog_1", 5)
    nothing = torch.full((5, 14), torch.inf)
    fit = fit_body(folded_body(), torch.zeros(5, 14, 3), nothing, guess, shape(1))
    off = axis_angle_from_matrix(guess.transpose(-1, -2) @ fit.rotations).norm(dim=-1)
    assert off.rad2deg().mean() < 4 and off.rad2deg().max() < 20
    assert fit.betas.allclose(shape(1), atol=1e-3)


def test_pieces_of_a_long_track_are_continuous(monkeypatch):
    rotations = motion("walk_on_1", 100)
    _, joints = seen_joints(rotations, shape(2), noise=0.02)
    arguments = (folded_body(), joints, sigma_of(joints, 0.02), turned(rotations, 15, 7), shape(2))
    whole = fit_body(*arguments)
    monkeypatch.setattr(body_fit, "PIECE", 32)
    assert (fit_body(*arguments).joints - whole.joints).abs().max() < 1e-3


@pytest.mark.slow
def test_ten_thousand_frames():
    import resource
    import time

    rotations = motion("walk_on_1")
    repeats = -(-10_000 // len(rotations))
    rotations = rotations.repeat(repeats, 1, 1, 1)[:10_000]
    true, joints = seen_joints(rotations, shape(2), noise=0.02)
    guess = turned(rotations, 15, 7)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    fit = fit_body(folded_body(), joints, sigma_of(joints, 0.02), guess, shape(2))
    seconds = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert seconds < 100, f"{10_000 / seconds:.0f} frames per second of one thread"
    assert grown < 600_000, f"{grown / 1e3:.0f} MB"
    assert procrustes(fit.joints, true).mean() < 25


def test_backward_elbows_and_knees_of_the_guess_are_corrected():
    body = folded_body()
    rotations = motion("box_1", 40)
    linkage = Linkage(body, torch.zeros(10))
    true, joints = seen_joints(rotations, torch.zeros(10))
    # The same joints with limbs twisted by half a turn and hinges bent the other way.
    guess = rotations.clone()
    for hinge in hinges(linkage):
        half = torch.from_numpy(
            Rotation.from_rotvec(np.pi * hinge.along.numpy()).as_matrix()
        ).float()
        guess[:, hinge.above] = guess[:, hinge.above] @ half
        guess[:, hinge.bone] = half.T @ guess[:, hinge.bone]
    assert procrustes(smplx_joints(guess, torch.zeros(10)), true).mean() < 40
    fit = fit_body(body, joints, sigma_of(joints, 0.003), guess, torch.zeros(10))
    assert procrustes(fit.joints, true).mean() < 3
    for hinge in hinges(linkage):
        bent = guess[:, hinge.bone] @ hinge.below @ hinge.forward
        ahead = fit.rotations[:, hinge.bone] @ hinge.below @ hinge.forward
        assert bent.min() < -0.2, "the guess is no test"
        assert ahead.min() > -0.1
    # Hands and feet, which joints do not determine, did not rotate with the limbs above them.
    vertices = smplx_vertices(rotations, torch.zeros(10))
    assert procrustes(smplx_vertices(guess, torch.zeros(10)), vertices).mean() > 12
    assert procrustes(smplx_vertices(fit.rotations, fit.betas), vertices).mean() < 10


def test_betas_stay_within_their_limit():
    rotations = motion("walk_on_1", 60)
    _, joints = seen_joints(rotations, torch.tensor([0, 6.0, -6, 5, 0, 0, 0, 0, 0, 0]))
    fit = fit_body(folded_body(), joints, sigma_of(joints, 0.003), rotations, torch.zeros(10))
    assert fit.betas.abs().max() <= 2.5 and fit.betas.abs().max() > 2


def test_fits_are_bit_identical():
    rotations = motion("kick", 50)
    _, joints = seen_joints(rotations, shape(2), noise=0.02)
    arguments = (folded_body(), joints, sigma_of(joints, 0.02), turned(rotations, 15, 7), shape(2))
    for first, second in zip(fit_body(*arguments), fit_body(*arguments), strict=True):
        assert torch.equal(first, second)


def test_derivatives_are_those_of_finite_differences():
    rng = np.random.default_rng(1)
    arrays = toy_body(rng)
    arrays["posedirs"] = 0 * arrays["posedirs"]  # omitted in the derivatives
    arrays["weights"] = rng.dirichlet(np.ones(24), len(arrays["weights"])).astype(np.float32)
    body = BodyJoints(arrays).double()
    betas = torch.from_numpy(rng.normal(size=10))
    rotations = matrix_from_axis_angle(torch.from_numpy(rng.normal(0, 0.5, (3, 24, 3))))
    linkage = Linkage(body, betas)
    posed = linkage.posed(rotations)
    expected = body(rotations, betas.expand(3, -1))[:, 24:]
    assert (posed.joints - expected).abs().max() < 1e-12
    by_rotation, by_shape = linkage.by_rotation(posed), linkage.by_shape(posed)
    for index in rng.permutation(72)[:20]:
        step = torch.zeros(3, 72, dtype=torch.float64)
        step[:, index] = 1e-5
        turn = matrix_from_axis_angle(step.unflatten(1, (24, 3)))
        ahead = linkage.posed(rotations @ turn).joints
        behind = linkage.posed(rotations @ turn.transpose(-1, -2)).joints
        assert ((ahead - behind) / 2e-5 - by_rotation[..., index]).abs().max() < 1e-7
    for index in range(10):
        longer = betas.clone()
        longer[index] += 1
        difference = Linkage(body, longer).posed(rotations).joints - posed.joints
        assert (difference - by_shape[..., index]).abs().max() < 1e-9


def test_the_smallest_rotation_between_directions_is_scipys():
    rng = np.random.default_rng(2)
    start, end = rng.normal(size=(2, 50, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    end /= np.linalg.norm(end, axis=1, keepdims=True)
    end[0], end[1] = start[0], -start[1]
    turn = between(torch.from_numpy(start), torch.from_numpy(end)).numpy()
    assert np.abs(np.einsum("nij,nj->ni", turn, start) - end).max() < 1e-6
    angle = Rotation.from_matrix(turn).magnitude()
    assert np.abs(angle - np.arccos((start * end).sum(1).clip(-1, 1))).max() < 1e-6
