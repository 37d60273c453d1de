"""Train FlowNetS on pairs with exact flow.

    python -m datagen.flow.train --out runs/flow --width 0.25 --steps 40000
    python -m datagen.flow.train --out /tmp/flow --width 0.125 --steps 4 --size 64    try it

Stopped at any moment, the same command goes on from the last checkpoint; `--steps` may change in
between. Writes flownets.pth (for --flow flownets --flow-weights), metrics.jsonl and curve.png.
"""

# B pairs, S side of an image

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import DataLoader, Dataset

from datagen import command
from datagen.errors import BadInput
from datagen.flow import flownets
from datagen.flow.dis import Dis
from datagen.flow.flownets import DIV_FLOW, FlowNetS
from datagen.flow.network import best_dtype
from datagen.flow.pairs import load_textures, make_pair
from datagen.flow.people import People, person_pair, render_people
from datagen.options import require
from datagen.seeds import generator

LEVEL_WEIGHTS = (1.0, 0.35, 0.2, 0.15, 0.1)
"""Weight of each level's mean endpoint error, strides 4 to 64. FlowNet's own (spec 9.3) come to
1, 0.5, 0.25, 0.25, 0.33 for 224 px; what is wanted is the finest level."""
PREPARATION = "contrast"
VALIDATION_PAIRS = 32
"""Held-out pairs of each kind, people and shapes."""


@dataclass(frozen=True, kw_only=True)
class TrainFlowConfig:
    """Train FlowNetS on pairs with exact flow."""

    out: Path = Path("runs/flow")
    """Folder of the run."""
    width: float = 0.25
    """Channels relative to the paper's network, a multiple of 1/8."""
    steps: int = 40_000
    """Optimiser steps in all, earlier runs into the same folder counted in."""
    batch_size: int = 8
    """Pairs a step (FlowNet's)."""
    size: int = 224
    """Side of the training images, pixels."""
    lr: float = 1e-3
    """AdamW's step size for --width 0.25, about the largest that holds; take 1e-4 for width 1
    (FlowNet's). It rises over the first 300 steps and falls to zero over the last quarter of
    --steps."""
    weight_decay: float = 0.01
    """AdamW's decay of weights, none of biases."""
    people: float = 0.5
    """Share of pairs that show a rendered person; the others show moving shapes."""
    crop: int = 0
    """Side of the part of each image that is learned from, drawn afresh at every repeat; 0 takes
    all of it."""
    textures: Path | None = None
    """Folder of photos. Default: the embedded scenes and scikit-image's photos."""
    seed: int = 0
    """Seed of the pairs and of the first weights."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network is trained."""
    repeats: int = 16
    """Times that a drawn scene is met, mirrored and recoloured afresh; 1 where workers abound."""
    workers: int = 0
    """Processes that make pairs; 0 makes them between the steps."""
    checkpoint_every: int = 250
    """Steps between checkpoints and validations."""

    def __post_init__(self) -> None:
        require(
            self.width in flownets.WIDTHS,
            f"--width must be a multiple of 0.125 up to 2, got {self.width}",
        )
        for name in ("steps", "batch_size", "repeats", "checkpoint_every"):
            value = getattr(self, name)
            require(value >= 1, f"--{name.replace('_', '-')} must be at least 1, got {value}")
        require(self.size >= 32, f"--size must be at least 32, got {self.size}")
        require(
            self.crop == 0 or 32 <= self.crop <= self.size,
            f"--crop must be 0 or lie in [32, --size], got {self.crop}",
        )
        require(0 <= self.people <= 1, f"--people must lie in [0, 1], got {self.people}")


class Pairs(Dataset):
    """Drawn pairs: the n-th is a function of (seed, split, n) alone.

    The splits share no photo and no subject. Drawing costs as much as learning on a CPU, so each
    scene is met about `repeats` times, cut out, turned and mirrored afresh, among `pool` scenes
    that change slowly.
    """

    def __init__(
        self, cfg: TrainFlowConfig, split: Literal["train", "val"], repeats: int = 1,
        pool: int = 1024,
    ) -> None:  # fmt: skip
        self._textures = load_textures(cfg.textures, split)
        self._people = None
        if cfg.people:
            self._people = People(render_people(cfg.out / "people", split, cfg.seed))
        self._cfg = cfg
        self._split = split
        self._repeats = repeats
        self._pool = pool if repeats > 1 else 1
        self._scene = lru_cache(maxsize=self._pool if repeats > 1 else 0)(self._draw)

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        size = self._cfg.size
        rng = generator(self._cfg.seed, "flow", self._split, index)
        if self._people and rng.random() < self._cfg.people:
            person = self._people.draw(rng)
            first, second, flow, _ = person_pair(*person, self._textures, size, rng)
        else:
            first, second, flow = make_pair(self._textures, size, rng)
        return np.concatenate((first, second), -1), flow.astype(np.float16)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the pair uint8 [6,S,S] and its flow float32 [2,S,S] px."""
        rng = generator(self._cfg.seed, "flow", self._split, "draw", index)
        pair, flow = self._scene(index // self._repeats + int(rng.integers(self._pool)))
        if self._repeats > 1:
            if side := self._cfg.crop:
                x, y = rng.integers(0, self._cfg.size - side + 1, 2)
                pair, flow = pair[y : y + side, x : x + side], flow[y : y + side, x : x + side]
            pair, flow = turn(pair, flow, rng)
        pair = np.ascontiguousarray(pair.transpose(2, 0, 1))
        flow = np.ascontiguousarray(flow.transpose(2, 0, 1), np.float32)
        return torch.from_numpy(pair), torch.from_numpy(flow)


def turn(
    pair: np.ndarray, flow: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return pair [S,S,6] and flow [S,S,2] mirrored or transposed, the colours exchanged."""
    if rng.random() < 0.5:
        pair, flow = pair[:, ::-1], flow[:, ::-1] * np.array([-1, 1], np.float32)
    if rng.random() < 0.5:
        pair, flow = pair[::-1], flow[::-1] * np.array([1, -1], np.float32)
    if rng.random() < 0.5:
        pair, flow = pair.transpose(1, 0, 2), flow.transpose(1, 0, 2)[..., ::-1]
    colours = rng.permutation(3)
    return pair[..., np.concatenate((colours, colours + 3))], flow


def _prepare(pairs: Tensor) -> Tensor:
    """Return uint8 [B,6,S,S] as the network wants it."""
    return flownets.prepare(pairs[:, :3], pairs[:, 3:], PREPARATION)


def endpoint_error(flow: Tensor, target: Tensor) -> Tensor:
    """Return the length of the difference, [B,h,w]."""
    return torch.linalg.vector_norm(flow - target, dim=1)


def shrink(flow: Tensor, level: Tensor) -> Tensor:
    """Return flow [B,2,S,S] averaged over the cells of `level` [B,2,h,w]."""
    return adaptive_avg_pool2d(flow, (level.shape[2], level.shape[3]))


def multiscale_loss(pyramid: list[Tensor], flow: Tensor) -> Tensor:
    """Return FlowNet's loss: mean endpoint errors, weighted over levels.

    Args:
        pyramid: the network's flow at five strides, in units of 20 px.
        flow: [B,2,S,S] px.
    """
    total = flow.new_zeros(())
    for level, weight in zip(pyramid, LEVEL_WEIGHTS, strict=True):
        target = shrink(flow / DIV_FLOW, level)
        total = total + weight * endpoint_error(level.float(), target).mean()
    return total


def rate(step: int, cfg: TrainFlowConfig) -> float:
    """Return the step size of step `step` (from 0)."""
    rise = min(1.0, (step + 1) / 300)
    fall = min(1.0, (cfg.steps - step) / max(1.0, 0.25 * cfg.steps))
    return cfg.lr * min(rise, max(0.0, fall))


def start_as_pyramid(network: FlowNetS) -> None:
    """Let each level begin with the coarser one's flow, enlarged, plus next to nothing.

    The layers can do this from the start: it makes FlowNetS a coarse-to-fine method that learns
    corrections, and halves the first error.
    """
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("upsampled_flow"):
                weight.copy_(torch.eye(2)[:, :, None, None] * torch.outer(tent, tent))
            elif name.startswith("predict_flow"):
                weight.mul_(0.1)
                if not name.startswith("predict_flow6"):  # their last two inputs are the flow
                    weight[:, -2:] = 0
                    weight[:, -2:, 1, 1] = torch.eye(2)


def _running_average(average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """Average over about 300 steps, over fewer at the beginning."""
    return average + (new - average) * max(1 / 300, 1 / (1 + float(count)))


class Trainer:
    """The network, its optimiser and the running average of its weights that is kept."""

    def __init__(self, cfg: TrainFlowConfig) -> None:
        torch.manual_seed(cfg.seed)
        self.cfg = cfg
        self.step = 0
        self.network = FlowNetS(cfg.width).to(cfg.device)
        start_as_pyramid(self.network)
        self.average = torch.optim.swa_utils.AveragedModel(self.network, avg_fn=_running_average)
        weights = [p for n, p in self.network.named_parameters() if n.endswith("weight")]
        biases = [p for n, p in self.network.named_parameters() if n.endswith("bias")]
        self.optimizer = torch.optim.AdamW(
            [{"params": weights, "weight_decay": cfg.weight_decay},
             {"params": biases, "weight_decay": 0.0}]
        )  # fmt: skip
        self.dtype = best_dtype(cfg.device)

    def update(self, pairs: Tensor, flow: Tensor) -> tuple[float, float]:
        """Take one step; return the loss and the endpoint error at stride 4 in px."""
        pairs, flow = pairs.to(self.cfg.device), flow.to(self.cfg.device)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.cfg)
        device = torch.device(self.cfg.device).type
        with torch.autocast(device, self.dtype, enabled=self.dtype != torch.float32):
            pyramid = self.network.pyramid(_prepare(pairs))
        loss = multiscale_loss(pyramid, flow)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        self.step += 1
        with torch.no_grad():
            target = shrink(flow, pyramid[0])
            error = endpoint_error(pyramid[0].float() * DIV_FLOW, target).mean()
        return float(loss.detach()), float(error)

    def validate(self, pairs: Tensor, flow: Tensor) -> float:
        """Return the averaged network's endpoint error at full resolution, px."""
        network = self.average.module.eval()
        errors = []
        with torch.inference_mode():
            for some, target in zip(pairs.split(16), flow.split(16), strict=True):
                out = DIV_FLOW * network(_prepare(some.to(self.cfg.device)))
                full = flownets.upsample(out, (target.shape[2], target.shape[3]))
                errors.append(endpoint_error(full, target.to(self.cfg.device)).mean((1, 2)))
        return float(torch.cat(errors).mean())

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs."""
        return {
            "step": self.step,
            "width": self.cfg.width,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def resume(self, path: Path) -> None:
        """Go on from a state; BadInput if it is of another width."""
        state = torch.load(path, map_location=self.cfg.device, weights_only=True)
        if state["width"] != self.cfg.width:
            raise BadInput(
                f"{path} was trained with --width {state['width']}, not {self.cfg.width}: "
                "name that width or another --out."
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def save(self, error: float) -> None:
        """Write the state and, as float16, the averaged weights, each whole or not at all."""
        _save(self.state(), self.cfg.out / "last.pth")
        weights = {
            key: value.half().cpu() for key, value in self.average.module.state_dict().items()
        }
        public = {"arch": "flownets", "width": self.cfg.width, "div_flow": DIV_FLOW,
                  "preparation": PREPARATION,
                  "epoch": self.step, "best_EPE": error, "state_dict": weights}  # fmt: skip
        _save(public, self.cfg.out / "flownets.pth")


def _save(content: dict[str, Any], path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)


def train(cfg: TrainFlowConfig) -> Path:
    """Run or resume the training; return the path of the weights."""
    from tqdm import tqdm

    cfg.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(cfg)
    if (cfg.out / "last.pth").exists():
        trainer.resume(cfg.out / "last.pth")
        print(f"Going on from step {trainer.step} of {cfg.out / 'last.pth'}.")
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
    sums, since = np.zeros(2), time.monotonic()
    bar = tqdm(loader, initial=trainer.step, total=cfg.steps, unit="step", mininterval=5)
    for pairs, flow in bar:
        sums += trainer.update(pairs, flow)
        done = trainer.step == cfg.steps
        if trainer.step % cfg.checkpoint_every == 0 or done:
            found = {kind: trainer.validate(*some) for kind, some in held_out.items()}
            count = (trainer.step - 1) % cfg.checkpoint_every + 1
            line = {"step": trainer.step, "loss": sums[0] / count, "epe": sums[1] / count,
                    **found, "seconds": time.monotonic() - since}  # fmt: skip
            with (cfg.out / "metrics.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            trainer.save(float(np.mean(list(found.values()))))
            bar.set_postfix({kind: f"{error:.2f}" for kind, error in found.items()})
            sums, since = np.zeros(2), time.monotonic()
    plot(cfg.out)
    return cfg.out / "flownets.pth"


def _held_out(cfg: TrainFlowConfig) -> dict[str, list[Tensor]]:
    """Return held-out pairs and flow of each kind that the training sees."""
    kinds = {"people": cfg.people, "shapes": 1 - cfg.people}
    held_out = {}
    for kind, share in kinds.items():
        if share:
            pairs = Pairs(replace(cfg, people=float(kind == "people")), "val")
            some = zip(*(pairs[i] for i in range(VALIDATION_PAIRS)), strict=True)
            held_out[kind] = [torch.stack(part) for part in some]
    return held_out


def _save_baselines(held_out: dict[str, list[Tensor]], path: Path) -> None:
    """Write the endpoint errors of zero flow and of DIS on the same pairs."""
    dis, found = Dis(), {}
    for kind, (pairs, flow) in held_out.items():
        frames = pairs.unflatten(1, (2, 3)).permute(0, 1, 3, 4, 2).numpy()
        coarse = torch.from_numpy(np.concatenate([dis(pair) for pair in frames])).float()
        guess = flownets.upsample(coarse, (flow.shape[2], flow.shape[3]))
        found[kind] = {"zero": float(endpoint_error(torch.zeros_like(flow), flow).mean()),
                       "dis": float(endpoint_error(guess, flow).mean())}  # fmt: skip
    path.write_text(json.dumps(found, indent=1) + "\n")


def plot(out: Path) -> None:
    """Draw metrics.jsonl as curve.png, beside DIS and zero flow on the same held-out pairs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if not (out / "metrics.jsonl").exists():
        return
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    baselines = json.loads((out / "baselines.json").read_text())
    steps = [line["step"] for line in lines]
    figure, panels = pyplot.subplots(
        1, len(baselines), figsize=(5 * len(baselines), 3.6), layout="constrained", squeeze=False
    )
    for axes, (kind, known) in zip(panels[0], baselines.items(), strict=True):
        axes.plot(steps, [line["epe"] for line in lines], color="0.7", label="training pairs")
        axes.plot(steps, [line[kind] for line in lines], label="FlowNetS, held-out pairs")
        axes.axhline(known["dis"], color="C1", ls="--", label="DIS")
        axes.axhline(known["zero"], color="C3", ls=":", label="zero flow")
        axes.set(title=kind, xlabel="step", ylabel="endpoint error, px", ylim=(0, None))
    panels[0][0].legend()
    figure.savefig(out / "curve.png", dpi=120)
    pyplot.close(figure)


def main(args: list[str] | None = None) -> int:
    """Train with command line `args` and return the exit status."""
    return command.run(TrainFlowConfig, _train, __doc__, args)


def _train(cfg: TrainFlowConfig) -> int:
    cv2.setNumThreads(0)
    weights = train(cfg)
    print(
        f"Weights: {weights}\n"
        f"Next: python -m benchmarks.flow --weights {weights}\n"
        f"      python -m datagen.launch --flow flownets --flow-weights {weights}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
