"""Training of the network: initialisation, steps, validation and checkpoints."""

# B pairs, S side of an image

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from datagen.common.errors import BadInput
from datagen.flow import flownets, pwc
from datagen.flow.checkpoint import fill, load_tensors, read_checkpoint
from datagen.flow.flownets import DIV_FLOW, FlowNetS
from datagen.flow.network import best_dtype
from datagen.flow.pwc import PwcNet
from datagen.flow.training.loss import endpoint_error, level_errors, weighted_sum
from datagen.flow.training.options import TrainFlowConfig

PREPARATION = "contrast"
CLIP = {"flownets": 0.5, "pwc": 1.0}
"""Gradient norm limit, for the loss in the network's unit."""


def rate(step: int, cfg: TrainFlowConfig) -> float:
    """Return the learning rate at step `step` (from 0)."""
    rise = min(1.0, (step + 1) / 300)
    length = 0.25 * cfg.steps if cfg.fall is None else cfg.fall
    fall = min(1.0, (cfg.steps - step) / max(1.0, length))
    return cfg.lr * min(rise, max(0.0, fall))


def start_as_pyramid(network: FlowNetS) -> None:
    """Initialise each level to output the upsampled coarser flow plus almost nothing.

    This turns FlowNetS into a coarse-to-fine method that learns corrections, and halves the initial
    error.
    """
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("upsampled_flow"):
                weight.copy_(torch.eye(2)[:, :, None, None] * torch.outer(tent, tent))
            elif name.startswith("predict_flow"):
                weight.mul_(0.1)
                if not name.startswith(
                    "predict_flow6"
                ):  # their last two input channels are the flow
                    weight[:, -2:] = 0
                    weight[:, -2:, 1, 1] = torch.eye(2)


def _running_average(average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """Average over the last tenth of all steps, so weights are usable before the learning rate
    falls."""
    return average + (new - average) * (10 / (10 + float(count)))


def build(cfg: TrainFlowConfig) -> FlowNetS | PwcNet:
    """Return the network to train with its initial weights.

    Raises:
        BadInput: --first-weights is another network's.
    """
    torch.manual_seed(cfg.seed)
    if cfg.network == "pwc":
        network = PwcNet(cfg.channels)
    else:
        network = FlowNetS(cfg.channels)
        start_as_pyramid(network)
    if cfg.first_weights is not None:
        state, _ = read_checkpoint(cfg.first_weights)
        fill(network, state, cfg.first_weights, f"--network {cfg.network} --width {cfg.channels:g}")
    # channels_last is the fastest layout for oneDNN and cuDNN
    return network.to(cfg.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


class FlowTrainer:
    """The network, its optimiser and the running average of its weights."""

    def __init__(self, cfg: TrainFlowConfig) -> None:
        self.cfg = cfg
        self.step = 0
        self.network = build(cfg)
        self.unit = DIV_FLOW if cfg.network == "flownets" else 1.0
        self.average = torch.optim.swa_utils.AveragedModel(self.network, avg_fn=_running_average)
        weights = [p for n, p in self.network.named_parameters() if n.endswith("weight")]
        biases = [p for n, p in self.network.named_parameters() if n.endswith("bias")]
        self.optimizer = torch.optim.AdamW(
            [{"params": weights, "weight_decay": cfg.weight_decay},
             {"params": biases, "weight_decay": 0.0}]
        )  # fmt: skip
        self.dtype = best_dtype(cfg.device)

    def update(
        self,
        pairs: UInt8[Tensor, "b 6 s s"],
        flow: Float[Tensor, "b 2 s s"],
        person: Bool[Tensor, "b s s"],
    ) -> tuple[float, float]:
        """Take one step; return the loss, in the network's unit, and the finest level's error, px.

        Pixels of `person` have weight `--person-weight` in both.
        """
        pairs, flow = pairs.to(self.cfg.device), flow.to(self.cfg.device)
        weight = 1 + (self.cfg.person_weight - 1) * person.to(self.cfg.device)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.cfg)
        device = torch.device(self.cfg.device).type
        with torch.autocast(device, self.dtype, enabled=self.dtype != torch.float32):
            pyramid = self.network.pyramid(self._prepare(pairs))
        errors = level_errors(pyramid, flow / self.unit, weight.float())
        loss = weighted_sum(errors)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP[self.cfg.network])
        self.optimizer.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return float(loss.detach()), float(errors[0].detach()) * self.unit

    def validate(
        self, pairs: UInt8[Tensor, "b 6 s s"], flow: Float[Tensor, "b 2 s s"]
    ) -> Float[Tensor, "b s s"]:
        """Return the averaged network's endpoint error at full resolution, px."""
        network = self.average.module.eval()
        errors = []
        with torch.inference_mode():
            for some, target in zip(pairs.split(16), flow.split(16), strict=True):
                out = self.unit * network(self._prepare(some.to(self.cfg.device)))
                full = flownets.upsample(out, (target.shape[2], target.shape[3]))
                errors.append(endpoint_error(full, target.to(self.cfg.device)).cpu())
        return torch.cat(errors)

    def state(self) -> dict[str, Any]:
        """Return everything that is needed to resume the run."""
        return {
            "step": self.step,
            "arch": self.cfg.network,
            "width": self.cfg.channels,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def resume(self, path: Path) -> None:
        """Resume from a state; BadInput if it has another network or width."""
        state = load_tensors(path)
        try:
            arch = state.get("arch", "flownets")  # states of earlier versions do not have it
            if (arch, state["width"]) != (self.cfg.network, self.cfg.channels):
                raise BadInput(
                    f"{path} was trained with --network {arch} --width {state['width']}, not "
                    f"--network {self.cfg.network} --width {self.cfg.channels}: name those or "
                    "another --out."
                )
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["step"])
        except (AttributeError, KeyError, TypeError, RuntimeError, ValueError) as error:
            if isinstance(error, BadInput):
                raise
            why = " ".join(str(error).split())
            raise BadInput(f"{path} is not a state of this training ({why:.100}).") from error

    def save(self, error: float) -> None:
        """Write the state and, as float16, the averaged weights, each atomically."""
        _save(self.state(), self.cfg.out / "last.pth")
        weights = {
            key: value.half().cpu() for key, value in self.average.module.state_dict().items()
        }
        public = {"arch": self.cfg.network, "width": self.cfg.channels, "div_flow": self.unit,
                  "preparation": PREPARATION,
                  "epoch": self.step, "best_EPE": error, "state_dict": weights}  # fmt: skip
        _save(public, self.cfg.weights)

    def _prepare(self, pairs: Tensor) -> Tensor:
        """Return uint8 [B,6,S,S] converted to the network's input."""
        first, second = pairs[:, :3], pairs[:, 3:]
        if self.cfg.network == "pwc":
            return torch.cat((pwc.prepare(first), pwc.prepare(second)), 1)
        return flownets.prepare(first, second, PREPARATION)


def _save(content: dict[str, Any], path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)
