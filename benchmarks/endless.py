"""Speed of drawing endless clips, compared with smplx.

    python -m benchmarks.endless  [--shards DIR]

Work: batches of 64 clips of 16 frames (every second frame of the motions), as `trainer.fit --clips
endless` draws them, from the embedded body and random motions (or from the shards of
`datagen.launch --labels-only`). The baseline makes as many clips from the same frames of the same
motions by smplx's forward pass on the vertices that a joint regressor uses, the regressor and the
camera projection. It has no detector errors, no limbs of other motions and no varied bone lengths.
A second baseline has the trainer's exact body, `BodyJoints`, instead of smplx. All run alternately
on one thread and are timed in CPU time of the process, so that other work on the machine does not
count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from smplx.lbs import lbs
from torch import Tensor

from trainer.data.dataset import open_dataset
from trainer.data.endless.cameras import draw_cameras, place
from trainer.data.endless.clips import FOCAL, EndlessClips, RecordLayout, seeded
from trainer.data.endless.motions import gather, matrix_from_quaternion
from trainer.data.endless.options import EndlessConfig
from trainer.data.endless.source import endless_clips
from trainer.model.body import BONES, BodyJoints, read_body

CLIPS, FRAMES, SPACING = 64, 16, 2
TAKES, LENGTH = 20, 600
ROUNDS, BATCHES = 5, 4
EVALUATION = 14

Clips = Callable[[int], Tensor]
"""Batch number → its keypoints in the picture [n, T, 14, 2]."""


def made_up_motion(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the labels of a random motion in which the person walks and swings all bones."""
    moment = np.arange(LENGTH)[:, None, None] / 30
    pose = rng.normal(0, 0.3, (1, BONES, 3)) * np.sin(
        rng.uniform(1, 6, (1, BONES, 3)) * moment + rng.uniform(0, 6, (1, BONES, 3))
    )
    pose[:, 0] = [np.pi, 0, 0]
    trans = np.cumsum(rng.normal(0, 0.01, (LENGTH, 3)), 0)
    trans[:, 2] += 5
    return {"pose": pose.reshape(LENGTH, 72).astype(np.float16), "trans": trans.astype(np.float32)}


def made_up(folder: Path) -> tuple[EndlessClips, dict[str, np.ndarray]]:
    """Return clips of the embedded body and random motions, and the body's arrays."""
    from datagen.bodies.smpl.model import load_bodies

    np.savez(folder / "body.npz", **load_bodies(None)["neutral"].reduced())  # type: ignore[arg-type]
    body = read_body(folder / "body.npz")
    joints = BodyJoints(body)
    rng = np.random.default_rng(0)
    motions = gather((made_up_motion(rng) for _ in range(TAKES)), joints.rest[0].numpy())
    layout = RecordLayout(
        joints=BONES + EVALUATION,
        keypoints=tuple(range(BONES, BONES + 12)),
        evaluation=tuple(range(BONES, BONES + EVALUATION)),
        evaluation_mirror=(5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13),
        image_size=224,
        diagonal=150,
    )
    clips = EndlessClips(motions, [joints], layout, EndlessConfig(), frames=FRAMES, spacing=SPACING)
    return clips, body


def ours(clips: EndlessClips) -> Clips:
    """Return the trainer's way."""

    def draw(number: int) -> Tensor:
        return clips.draw(CLIPS, seeded(0, 0, number))["joints2d"]

    return draw


def plain(clips: EndlessClips, posed: Callable[[Tensor, Tensor], Tensor]) -> Clips:
    """Return the plain way; posed: rotations [N, 24, 3, 3] and betas [N, 10] → joints [N, E, 3]."""
    config, postures = clips.config, clips.postures

    def draw(number: int) -> Tensor:
        generator = seeded(0, 0, number)
        quaternions, pelvis = postures.motions.at(postures.times(CLIPS, generator))
        rotations = matrix_from_quaternion(quaternions).flatten(0, 1)
        betas = torch.randn(CLIPS, 10, generator=generator) * config.betas
        joints = posed(rotations, betas.repeat_interleave(FRAMES, 0)).unflatten(0, (CLIPS, FRAMES))
        turn, distance = draw_cameras(CLIPS, config, generator)
        seen = place((joints + pelvis[:, :, None]) @ turn[:, None].mT, distance)
        return seen[..., :2] / seen[..., 2:] * FOCAL

    return draw


def by_smplx(body: dict[str, np.ndarray]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return smplx's linear blend skinning and the regressor of the evaluation joints."""
    arrays = {name: torch.from_numpy(np.asarray(value)) for name, value in body.items()}
    basis = arrays["posedirs"].reshape(-1, 207).T.contiguous()
    parents = torch.cat((torch.tensor([-1]), arrays["parents"][1:].long()))

    skinning: Any = lbs

    def posed(rotations: Tensor, betas: Tensor) -> Tensor:
        vertices, _ = skinning(
            betas, rotations, arrays["v_template"][None], arrays["shapedirs"], basis,
            arrays["J_regressor"], parents, arrays["weights"], pose2rot=False,
        )  # fmt: skip
        return torch.einsum("ev,nvc->nec", arrays["eval_regressor"], vertices)

    return posed


def by_body_joints(body: dict[str, np.ndarray]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the trainer's exact body."""
    joints = BodyJoints(body)
    return lambda rotations, betas: joints(rotations, betas)[:, BONES:]


def best(ways: dict[str, Clips]) -> dict[str, float]:
    """Return each way's best clips per CPU second over alternating rounds."""
    speed = dict.fromkeys(ways, 0.0)
    for draw in ways.values():
        draw(0)
    for turn in range(ROUNDS):
        for name, draw in ways.items():
            began = time.process_time()
            for batch in range(BATCHES):
                draw(turn * BATCHES + batch)
            speed[name] = max(speed[name], CLIPS * BATCHES / (time.process_time() - began))
    return speed


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, help="motions to draw from instead of random ones")
    given = parser.parse_args().shards
    torch.set_num_threads(1)
    if given:
        dataset = open_dataset(given)
        clips = endless_clips(dataset, EndlessConfig(), frames=FRAMES, spacing=SPACING)
        body = read_body(dataset.body)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            clips, body = made_up(Path(temporary))
    with torch.inference_mode():
        speed = best(
            {
                "smplx, regressor, projection": plain(clips, by_smplx(body)),
                "BodyJoints, projection": plain(clips, by_body_joints(body)),
                "trainer": ours(clips),
            }
        )
    for name, value in speed.items():
        print(f"{name:30} {value:8.0f} clips/s of one core")
    baseline = speed["smplx, regressor, projection"]
    print(
        json.dumps(
            {
                "name": "Drawing endless clips of 16 frames (against smplx's vertices)",
                "ours": round(speed["trainer"], 1),
                "baseline": round(baseline, 1),
                "ratio": round(speed["trainer"] / baseline, 3),
                "unit": "clips per core-second",
                "frames": FRAMES,
                "exact_body": round(speed["BodyJoints, projection"], 1),
            }
        )
    )


if __name__ == "__main__":
    main()
