"""Train FlowNetS or PWC-Net on pairs with exact flow.

    python -m datagen.flow.train --out runs/flow --network pwc --steps 100000
    python -m datagen.flow.train --out /tmp/flow --width 0.125 --steps 4 --size 64    try it

If stopped, the same command resumes from the last checkpoint; `--steps` and `--fall` may change in
between. Writes flownets.pth or pwc.pth (for --flow-weights), metrics.jsonl and curve.png.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datagen.common import cli
from datagen.flow import flownets
from datagen.flow.dis import Dis
from datagen.flow.training.curve import plot
from datagen.flow.training.dataset import Pairs
from datagen.flow.training.loss import endpoint_error
from datagen.flow.training.options import TrainFlowConfig
from datagen.flow.training.trainer import FlowTrainer

VALIDATION_PAIRS = 32
"""Number of held-out pairs of each kind, people and shapes."""


def train(cfg: TrainFlowConfig) -> Path:
    """Run or resume the training; return the path of the weights."""
    from tqdm import tqdm

    cfg.out.mkdir(parents=True, exist_ok=True)
    trainer = FlowTrainer(cfg)
    if (cfg.out / "last.pth").exists():
        trainer.resume(cfg.out / "last.pth")
        _cut_log(cfg.out / "metrics.jsonl", trainer.step)
        print(f"Resuming from step {trainer.step} in {cfg.out / 'last.pth'}.")
    held_out = _held_out(cfg)
    _save_baselines(held_out, cfg.out / "baselines.json")
    first, last = trainer.step * cfg.batch_size, cfg.steps * cfg.batch_size
    loader = DataLoader(
        Pairs(cfg, "train", cfg.repeats),
        batch_size=cfg.batch_size,
        sampler=range(first, last),
        num_workers=cfg.workers,
        worker_init_fn=lambda _: cv2.setNumThreads(0),
        persistent_workers=cfg.workers > 0,
    )
    sums, logged, since = np.zeros(2), trainer.step, _clocks()
    bar = tqdm(loader, initial=trainer.step, total=cfg.steps, unit="step", mininterval=5)
    for batch in bar:
        sums += trainer.update(*batch)
        done = trainer.step == cfg.steps
        if trainer.step % cfg.checkpoint_every == 0 or done:
            found: dict[str, float] = {}
            for kind, (pairs, flow, person) in held_out.items():
                found |= _errors(kind, trainer.validate(pairs, flow), person)
            count = trainer.step - logged
            seconds, core_seconds = _clocks() - since
            line = {"step": trainer.step, "loss": sums[0] / count, "epe": sums[1] / count,
                    **found, "seconds": seconds, "core_seconds": core_seconds}  # fmt: skip
            with (cfg.out / "metrics.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            trainer.save(float(np.mean(list(found.values()))))
            bar.set_postfix({kind: f"{error:.2f}" for kind, error in found.items()})
            sums, logged, since = np.zeros(2), trainer.step, _clocks()
    plot(cfg.out)
    return cfg.weights


def _clocks() -> np.ndarray:
    """Return the wall time and this process's CPU time, seconds."""
    return np.array([time.monotonic(), time.process_time()])


def _cut_log(path: Path, step: int) -> None:
    """Remove the lines that a killed run wrote after its last checkpoint, and an incomplete one."""
    kept = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            known = json.loads(line)["step"] <= step
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
        kept += [line] if known else []
    part = path.with_suffix(".part")
    part.write_text("".join(f"{line}\n" for line in kept))
    part.replace(path)


def _held_out(cfg: TrainFlowConfig) -> dict[str, list[Tensor]]:
    """Return held-out pairs, flow and person masks of each kind used in training."""
    kinds = {"people": cfg.people, "shapes": 1 - cfg.people}
    held_out = {}
    for kind, share in kinds.items():
        if share:
            pairs = Pairs(replace(cfg, people=float(kind == "people")), "val")
            some = zip(*(pairs[i] for i in range(VALIDATION_PAIRS)), strict=True)
            held_out[kind] = [torch.stack(part) for part in some]
    return held_out


def _errors(kind: str, error: Tensor, person: Tensor) -> dict[str, float]:
    """Return the mean endpoint error of [N,S,S] and, for people, the mean on the person."""
    found = {kind: float(error.mean())}
    if kind == "people":
        found["on person"] = float(error[person].mean())
    return found


def _save_baselines(held_out: dict[str, list[Tensor]], path: Path) -> None:
    """Write the endpoint errors of zero flow and of DIS on the same pairs."""
    dis, found = Dis(), {}
    for kind, (pairs, flow, person) in held_out.items():
        frames = pairs.unflatten(1, (2, 3)).permute(0, 1, 3, 4, 2).numpy()
        coarse = torch.from_numpy(np.concatenate([dis(pair) for pair in frames])).float()
        guess = flownets.upsample(coarse, (flow.shape[2], flow.shape[3]))
        zero = _errors(kind, endpoint_error(torch.zeros_like(flow), flow), person)
        known = _errors(kind, endpoint_error(guess, flow), person)
        found |= {key: {"zero": zero[key], "dis": known[key]} for key in known}
    path.write_text(json.dumps(found, indent=1) + "\n")


def main(args: list[str] | None = None) -> int:
    """Train with command line `args` and return the exit status."""
    return cli.run(TrainFlowConfig, _train, __doc__, args)


def _train(cfg: TrainFlowConfig) -> int:
    cv2.setNumThreads(0)
    weights = train(cfg)
    print(
        f"Weights: {weights}\n"
        f"Next: python -m benchmarks.flow --weights {weights}\n"
        f"      python -m datagen.launch --flow {cfg.network} --flow-weights {weights}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
