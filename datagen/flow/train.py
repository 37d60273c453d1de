"""Train FlowNetS on pairs with exact flow.

    python -m datagen.flow.train --out runs/flow --width 0.25 --steps 40000
    smoke: python -m datagen.flow.train --out /tmp/flow --width 0.125 --steps 4 --size 64

Stopped at any moment, the same command goes on from the last checkpoint; `--steps` may change in
between. Writes flownets.pth (for --flow flownets --flow-weights), metrics.jsonl and curve.png.
"""

# B pairs, S side of an image

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import DataLoader, Dataset

from datagen.config import require
from datagen.errors import BadInput
from datagen.flow import flownets
from datagen.flow.flownets import DIV_FLOW, FlowNetS
from datagen.flow.network import best_dtype
from datagen.flow.pairs import load_textures, make_pair
from datagen.seeds import generator

LEVEL_WEIGHTS = (0.005, 0.01, 0.02, 0.08, 0.32)
"""Weight of each level's endpoint error, strides 4 to 64 (spec 9.3)."""
VALIDATION_PAIRS = 32


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
    """Adam's step size for --width 0.25; take 1e-4 for width 1 (FlowNet's). It rises over the
    first 500 steps and falls to zero over the last quarter of --steps."""
    weight_decay: float = 4e-4
    """L2 penalty on weights, none on biases (FlowNet's)."""
    textures: Path | None = None
    """Folder of photos. Default: the embedded scenes and scikit-image's photos."""
    seed: int = 0
    """Seed of the pairs and of the first weights."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network is trained."""
    repeats: int = 4
    """Times that a drawn scene is met, mirrored and recoloured afresh; 1 where workers abound."""
    workers: int = 0
    """Processes that make pairs; 0 makes them between the steps."""
    checkpoint_every: int = 250
    """Steps between checkpoints and validations."""

    def __post_init__(self) -> None:
        require(
            self.width > 0 and self.width * 8 % 1 == 0,
            f"--width must be a multiple of 0.125, got {self.width}",
        )
        for name in ("steps", "batch_size", "repeats", "checkpoint_every"):
            value = getattr(self, name)
            require(value >= 1, f"--{name.replace('_', '-')} must be at least 1, got {value}")
        require(self.size >= 32, f"--size must be at least 32, got {self.size}")


class Pairs(Dataset):
    """Drawn pairs: the n-th is a function of (seed, purpose, n) alone.

    Drawing costs as much as learning on a CPU, so each scene is met about `repeats` times, turned
    and mirrored afresh, among `pool` scenes that change slowly.
    """

    def __init__(
        self, cfg: TrainFlowConfig, purpose: str, repeats: int = 1, pool: int = 2048
    ) -> None:
        self._textures = load_textures(cfg.textures)
        self._cfg = cfg
        self._purpose = purpose
        self._repeats = repeats
        self._pool = pool if repeats > 1 else 1
        self._scene = lru_cache(maxsize=self._pool if repeats > 1 else 0)(self._draw)

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = generator(self._cfg.seed, "flow", self._purpose, index)
        first, second, flow = make_pair(self._textures, self._cfg.size, rng)
        return np.concatenate((first, second), -1), flow

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the pair uint8 [6,S,S] and its flow float32 [2,S,S] px."""
        rng = generator(self._cfg.seed, "flow", self._purpose, "draw", index)
        pair, flow = self._scene(index // self._repeats + int(rng.integers(self._pool)))
        if self._repeats > 1:
            pair, flow = turn(pair, flow, rng)
        return (torch.from_numpy(pair.transpose(2, 0, 1).copy()),
                torch.from_numpy(flow.transpose(2, 0, 1).copy()))  # fmt: skip


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


def prepare(pairs: Tensor) -> Tensor:
    """Return uint8 [B,6,S,S] as FlowNetS wants it."""
    mean = torch.tensor(flownets.MEAN * 2, device=pairs.device).view(1, 6, 1, 1)
    return (pairs.float() / 255 - mean).contiguous(memory_format=torch.channels_last)


def endpoint_error(flow: Tensor, target: Tensor) -> Tensor:
    """Return the length of the difference, [B,h,w]."""
    return torch.linalg.vector_norm(flow - target, dim=1)


def shrink(flow: Tensor, level: Tensor) -> Tensor:
    """Return flow [B,2,S,S] averaged over the cells of `level` [B,2,h,w]."""
    return adaptive_avg_pool2d(flow, (level.shape[2], level.shape[3]))


def multiscale_loss(pyramid: list[Tensor], flow: Tensor) -> Tensor:
    """Return FlowNet's loss: endpoint errors summed over cells, weighted over levels, per pair.

    Args:
        pyramid: the network's flow at five strides, in units of 20 px.
        flow: [B,2,S,S] px.
    """
    total = flow.new_zeros(())
    for level, weight in zip(pyramid, LEVEL_WEIGHTS, strict=True):
        target = shrink(flow / DIV_FLOW, level)
        total = total + weight * endpoint_error(level.float(), target).sum() / len(flow)
    return total


def rate(step: int, cfg: TrainFlowConfig) -> float:
    """Return the step size of step `step` (from 0)."""
    rise = min(1.0, (step + 1) / 500)
    fall = min(1.0, (cfg.steps - step) / max(1.0, 0.25 * cfg.steps))
    return cfg.lr * min(rise, max(0.0, fall))


def _running_average(average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """Average over about 500 steps, over fewer at the beginning."""
    return average + (new - average) * max(0.002, 1 / (1 + float(count)))


class Trainer:
    """The network, its optimiser and the running average of its weights that is kept."""

    def __init__(self, cfg: TrainFlowConfig) -> None:
        torch.manual_seed(cfg.seed)
        self.cfg = cfg
        self.step = 0
        self.network = FlowNetS(cfg.width).to(cfg.device)
        with torch.no_grad():
            for name, weight in self.network.named_parameters():
                if name.startswith(("predict_flow", "upsampled_flow")):
                    weight.mul_(0.1)  # begin near zero flow: it halves the first error
        self.average = torch.optim.swa_utils.AveragedModel(self.network, avg_fn=_running_average)
        weights = [p for n, p in self.network.named_parameters() if n.endswith("weight")]
        biases = [p for n, p in self.network.named_parameters() if n.endswith("bias")]
        self.optimizer = torch.optim.Adam(
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
            pyramid = self.network.pyramid(prepare(pairs))
        loss = multiscale_loss(pyramid, flow)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 50.0)
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
                out = DIV_FLOW * network(prepare(some.to(self.cfg.device)))
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
    held_out = Pairs(cfg, "validation")
    validation = [torch.stack(part) for part in
                  zip(*(held_out[i] for i in range(VALIDATION_PAIRS)), strict=True)]  # fmt: skip
    first, last = trainer.step * cfg.batch_size, cfg.steps * cfg.batch_size
    loader = DataLoader(
        Pairs(cfg, "training", cfg.repeats),
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
            error = trainer.validate(*validation)
            count = (trainer.step - 1) % cfg.checkpoint_every + 1
            line = {"step": trainer.step, "loss": sums[0] / count, "epe": sums[1] / count,
                    "validation_epe": error, "seconds": time.monotonic() - since}  # fmt: skip
            with (cfg.out / "metrics.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            trainer.save(error)
            bar.set_postfix(epe=f"{line['epe']:.2f}", validation=f"{error:.2f}")
            sums, since = np.zeros(2), time.monotonic()
    plot(cfg.out)
    return cfg.out / "flownets.pth"


def plot(out: Path) -> None:
    """Draw metrics.jsonl as curve.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    log = out / "metrics.jsonl"
    if not log.exists():
        return
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    steps = [line["step"] for line in lines]
    axes.plot(steps, [line["epe"] for line in lines], label="training")
    axes.plot(
        steps, [line["validation_epe"] for line in lines], label="validation, averaged weights"
    )
    axes.set(xlabel="step", ylabel="endpoint error, px", ylim=(0, None))
    axes.legend()
    figure.savefig(out / "curve.png", dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Parse, train, say what came of it."""
    import tyro

    cfg = tyro.cli(TrainFlowConfig, description=__doc__)
    cv2.setNumThreads(0)
    try:
        weights = train(cfg)
    except BadInput as error:
        raise SystemExit(f"error: {error}") from error
    print(
        f"Weights: {weights}\n"
        f"Next: python benchmarks/flow.py --weights {weights}\n"
        f"      python -m datagen.launch --flow flownets --flow-weights {weights}"
    )


if __name__ == "__main__":
    main()
