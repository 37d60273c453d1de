"""Fitting a body to a track of joints, compared with Adam on the same unknowns.

    python -m benchmarks.body_fit  [--frames 300 --motions 4]

Work: SMPL's pose, one shape and the scale of tracks of embedded motions, from 14 noisy joints per
frame (2 cm) and initial rotations that are 15° off. Ours: a closed-form start and a few
Gauss-Newton steps (`trainer.model.body_fit`). The baseline is the usual way: Adam on rotations,
shape, scale and translation through the differentiable body, with the same standard deviations and
all frames at once. It starts from the same rotations with the trunk aligned to the joints (Kabsch)
and stops when its joint error equals ours (within 2 %), or after 1,000 steps. One thread, CPU
seconds, both alternating in one process.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from torch import Tensor

from datagen.bodies.motion import embedded
from datagen.bodies.smpl.model import load_bodies
from trainer.evaluation.metrics import pa_mpjpe
from trainer.geometry import matrix_from_axis_angle
from trainer.model.articulation import Linkage
from trainer.model.body import BONES, BodyJoints
from trainer.model.body_fit import fit_body
from trainer.model.pose_system import BodyFitConfig, Energy
from trainer.model.swing import kabsch

NOISE, GUESS = 0.02, 15.0
"""Metres; degrees."""
STEPS, EVERY, RATE = 1000, 10, 0.02
"""Adam's most steps, steps between error measurements, and learning rate."""
NAMES = ("walk_on_1", "dance_a", "box_1", "cartwheel", "squats_1", "sprint_1", "tai_chi_1", "kick")


def track(body: BodyJoints, rest: np.ndarray, name: str, frames: int, seed: int):
    """Return true joints, noisy joints and initial rotations of a motion repeated to `frames`."""
    generator = torch.Generator().manual_seed(seed)
    quaternions = torch.from_numpy(embedded.read(name, rest)[0]).float()
    quaternions = quaternions.repeat(-(-frames // len(quaternions)), 1, 1)[:frames]
    x, y, z, w = quaternions.unbind(-1)
    half = torch.atan2(torch.stack((x, y, z), -1).norm(dim=-1, keepdim=True), w[..., None])
    axis = torch.nn.functional.normalize(torch.stack((x, y, z), -1), dim=-1)
    rotations = matrix_from_axis_angle(2 * half * axis)
    betas = torch.randn(10, generator=generator).clamp(-2, 2)
    true = body(rotations, betas.expand(frames, -1))[:, BONES:]
    given = true + NOISE * torch.randn(true.shape, generator=generator)
    error = 0.9 * torch.randn(1, BONES, 3, generator=generator)
    error = error + 0.44 * torch.randn(frames, BONES, 3, generator=generator)
    guess = rotations @ matrix_from_axis_angle(error * np.radians(GUESS) / 3**0.5)
    return true, given - given[:, 2:4].mean(1, keepdim=True), guess


def by_adam(body: BodyJoints, given: Tensor, guess: Tensor, true: Tensor, goal: float):
    """Return (CPU seconds, error in mm) of Adam at the goal, or at its best measurement."""
    start = time.process_time()
    config, frames = BodyFitConfig(), len(given)
    linkage = Linkage(body, torch.zeros(10))
    trust = Energy(linkage, config, 30).trust
    first = kabsch(linkage.posed(guess).joints, given, torch.ones(frames, 14, dtype=torch.bool))
    base = guess.clone()
    base[:, 0] = first @ base[:, 0]
    turn = torch.zeros(frames, BONES, 3, requires_grad=True)
    betas = torch.zeros(10, requires_grad=True)
    scale = torch.zeros((), requires_grad=True)
    shift = torch.zeros(frames, 1, 3, requires_grad=True)
    adam = torch.optim.Adam([turn, betas, scale, shift], lr=RATE)
    smooth = np.radians(config.acceleration)
    best, looking = (0.0, np.inf), 0.0
    for step in range(1, STEPS + 1):
        rotations = base @ matrix_from_axis_angle(turn)
        joints = body(rotations, betas.expand(frames, -1))[:, BONES:]
        off = (joints + shift) * torch.exp(-scale) - given
        energy = (off / NOISE).square().sum() + betas.square().sum()
        flat = turn.flatten(1)
        energy = energy + ((flat @ trust) * flat).sum()
        # For small rotations, half the matrices' squared difference is the squared angle.
        change = rotations[2:] - 2 * rotations[1:-1] + rotations[:-2]
        energy = energy + (change / smooth).square().sum() / 2
        adam.zero_grad()
        energy.backward()
        adam.step()
        if step % EVERY == 0:
            look = time.process_time()
            error = float(pa_mpjpe(joints.detach(), true).mean())
            looking += time.process_time() - look
            if error < best[1]:
                best = (time.process_time() - start - looking, error)
            if error <= goal:
                break
    return best


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    neutral = load_bodies(None)["neutral"]
    arrays = neutral.reduced()
    body = BodyJoints(arrays)
    rest = arrays["J_regressor"].astype(float) @ arrays["v_template"]
    ours, adams = [], []
    for seed, name in enumerate(NAMES[: options.motions]):
        with torch.no_grad():
            true, given, guess = track(body, rest, name, options.frames, seed)
        sigma = torch.full(given.shape[:2], NOISE)
        fit_body(body, given[:40], sigma[:40], guess[:40], torch.zeros(10))  # warms up
        start = time.process_time()
        fit = fit_body(body, given, sigma, guess, torch.zeros(10))
        seconds, error = time.process_time() - start, float(pa_mpjpe(fit.joints, true).mean())
        ours.append((seconds, error))
        adams.append(by_adam(body, given, guess, true, 1.02 * error))
        print(
            f"{name:12s} joints given {float(pa_mpjpe(given, true).mean()):5.1f} mm off, "
            f"ours {error:5.1f} mm in {seconds:5.2f} s, "
            f"Adam {adams[-1][1]:5.1f} mm in {adams[-1][0]:6.2f} s",
            flush=True,
        )
    frames = options.frames * len(ours)
    rate, baseline = (frames / sum(seconds for seconds, _ in runs) for runs in (ours, adams))
    result = {
        "name": "Fitting a body to joints (against Adam)",
        "ours": round(rate, 1),
        "baseline": round(baseline, 2),
        "ratio": round(rate / baseline, 2),
        "unit": "frames per core-second",
        "ours_mm": round(float(np.mean([error for _, error in ours])), 2),
        "baseline_mm": round(float(np.mean([error for _, error in adams])), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fit a body to joints, compared with Adam.")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--motions", type=int, default=4, choices=range(1, len(NAMES) + 1))
    main(parser.parse_args())
