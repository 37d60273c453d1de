"""One optimiser step, and all the state that a resumed run restores.

No random generator has state to save: dropout, mirroring and noise are seeded by (seed, step, rank)
at every step, the learning rate is a function of the step, and the order of clips is a function of
the loader's position. So a resumed run equals the uninterrupted one, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer.common.device import DTYPES, Ranks, autocast
from trainer.data.augment import disturb_keypoints, mirror_batch, turn_batch
from trainer.data.inputs import Batch, InputSpec, draw_inputs, resize
from trainer.data.loader import Delivered
from trainer.data.options import keypoint_errors
from trainer.errors import BadInput
from trainer.evaluation.metrics import clip_pa_mpjpe
from trainer.model.checkpoint import renamed
from trainer.model.domain import adversary_strength
from trainer.model.motion_hmr import Prediction, pick
from trainer.training.objective import Losses, Objective, Real, Totals, count
from trainer.training.optimizer import Average, learning_rate, make_optimizer
from trainer.training.options import FitConfig
from trainer.training.settings import Settings


class TrainStep:
    """The model in training, its optimiser and averaged weights, and the step that updates them."""

    def __init__(
        self,
        objective: Objective,
        cfg: FitConfig,
        settings: Settings,
        spec: InputSpec,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.cfg, self.settings, self.spec = cfg, settings, spec
        self.device, self.ranks = device, ranks
        objective.to(device)
        objective.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(objective.model, cfg.ema) if cfg.ema else None
        if cfg.sync_bn and ranks.world > 1:
            nn.SyncBatchNorm.convert_sync_batchnorm(
                objective
            )  # in place, except where the root is a norm
        self.objective = objective
        backbone = getattr(objective.model, "backbone", None)
        if settings.compile and backbone is not None:
            backbone.compile()
        self.wrapped: nn.Module = self.objective
        if ranks.world > 1:
            self.wrapped = DistributedDataParallel(
                self.objective, device_ids=[device.index] if device.type == "cuda" else None
            )
        self.optimizer = make_optimizer(self.objective, cfg.weight_decay)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.autocast = autocast(device, settings.precision)
        self.dtype = DTYPES.get(settings.precision, torch.float32)
        whole = "flow" not in spec.parts or spec.stored_size % spec.flow_stride == 0
        self.flips = cfg.flip and whole
        if cfg.turn and not whole:
            raise BadInput(
                f"--turn needs crops whose side is a multiple of the flow's stride, got "
                f"{spec.stored_size} px and a stride of {spec.flow_stride}; omit it, or make "
                "shards of another --image-size."
            )
        self.turns = math.radians(cfg.turn)
        self.step = 0

    @property
    def model(self) -> nn.Module:
        """The model in training."""
        return self.objective.model

    @property
    def eval_model(self) -> nn.Module:
        """The model to validate: the average if there is one."""
        return self.average.module if self.average else self.model

    def draws(self, micro: int) -> torch.Generator:
        """Return the generator of a micro-batch's augmentation, and seed dropout alike."""
        keys = [self.cfg.seed, self.step, micro, self.ranks.rank]
        seed = int(np.random.SeedSequence(keys).generate_state(1, np.uint64)[0] >> 1)
        torch.manual_seed(seed)
        return torch.Generator().manual_seed(seed)

    def prepare(self, delivered: Delivered, generator: torch.Generator) -> Batch:
        """Return a batch on the device, augmented."""
        batch = {
            name: value.to(self.device, non_blocking=True)
            for name, value in delivered.batch.items()
        }
        if self.cfg.clips == "endless":  # endless clips are drawn with their augmentation
            return batch
        if "rgb" in batch:  # before they are mirrored: most pixels go here
            small = resize(batch["rgb"].flatten(0, 1), self.spec.image_size)
            batch["rgb"] = small.unflatten(0, batch["rgb"].shape[:2])
        if self.flips:
            chosen = torch.rand(len(delivered.keys), generator=generator) < 0.5
            batch = mirror_batch(batch, chosen.to(self.device), self.spec)
        if self.turns:
            angle = torch.randn(len(delivered.keys), generator=generator) * self.turns
            batch = turn_batch(batch, angle.to(self.device), self.spec)
        return disturb_keypoints(batch, keypoint_errors(self.cfg), self.spec, generator)

    def totals(self, batches: list[Batch]) -> Totals:
        """Return the step's counts over micro-batches and ranks, divided by the ranks.

        Data-parallel training averages gradients over ranks; this division turns that into the sum.
        """
        counts = torch.stack([count(batch, self.objective.joints) for batch in batches]).sum(0)
        if self.ranks.world > 1:
            dist.all_reduce(counts)
            counts = counts / self.ranks.world
        return Totals(counts[0], counts[1])

    def advance(
        self,
        source: Iterator[Delivered],
        real: Iterator[Delivered] | None = None,
        *,
        report: bool,
    ) -> dict[str, Any]:
        """Make one step with the next batches; return its figures if a report is wanted.

        real delivers as many batches of unlabelled real clips, for the domain adversary.
        """
        cfg = self.cfg
        began = time.perf_counter()
        delivered = [next(source) for _ in range(cfg.accumulate)]
        unlabelled = [next(real) for _ in range(cfg.accumulate)] if real else []
        waited = time.perf_counter() - began
        self.wrapped.train()
        self.optimizer.zero_grad(set_to_none=True)
        batches, sums, prediction = self.accumulate(delivered, unlabelled)
        rate, norm = self.update()
        if not report:
            return {"seconds": time.perf_counter() - began, "waited": waited}
        figures = self.reduce(sums)
        joints = self.objective.joints
        figures["pa_mpjpe"] = clip_pa_mpjpe(
            pick(prediction.joints.detach(), joints).cpu(),
            pick(batches[-1]["joints3d"], joints).cpu(),
            batches[-1]["valid"].bool().cpu(),
        )
        figures.update(
            lr=rate,
            grad_norm=float(norm),
            epoch=delivered[-1].epoch,
            seconds=time.perf_counter() - began,
            waited=waited,
        )
        return figures

    def accumulate(
        self, delivered: list[Delivered], unlabelled: list[Delivered]
    ) -> tuple[list[Batch], Losses, Prediction]:
        """Sum the gradients of micro-batches.

        Returns the prepared batches, the sum of each loss term and the last batch's prediction.
        """
        generators = [self.draws(micro) for micro in range(len(delivered))]
        batches = [self.prepare(d, g) for d, g in zip(delivered, generators, strict=True)]
        totals = self.totals(batches)
        sums: Losses = {}
        for micro, batch in enumerate(batches):
            seen = draw_inputs(batch, self.spec, self.dtype)
            other = None
            if unlabelled:
                clips = self.prepare(unlabelled[micro], generators[micro])
                strength = adversary_strength(self.step / self.settings.steps)
                other = Real(draw_inputs(clips, self.spec, self.dtype), strength)
            self.draws(micro)
            if isinstance(self.wrapped, DistributedDataParallel):
                self.wrapped.require_backward_grad_sync = micro == len(batches) - 1
            with self.autocast():
                losses, prediction = self.wrapped(seen, batch, totals, other)
            self.scaler.scale(losses["loss"]).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach()
        return batches, sums, prediction

    def update(self) -> tuple[float, Tensor]:
        """Move the weights and their average; return the learning rate and the gradient's norm."""
        cfg, settings = self.cfg, self.settings
        rate = learning_rate(self.step, settings.steps, settings.warmup, settings.lr, cfg.lr_min)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(
            self.objective.parameters(), cfg.clip_grad or float("inf")
        )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            self.average.update(self.model, self.step)
        self.step += 1
        return rate, norm

    def reduce(self, losses: Losses) -> dict[str, Any]:
        """Return the loss terms as numbers, the mean of the ranks."""
        values = torch.stack(list(losses.values())).float()
        if self.ranks.world > 1:
            dist.all_reduce(values)
            values = values / self.ranks.world
        return dict(zip(losses, values.tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        """Return the training state for a checkpoint."""
        return {
            "step": self.step,
            "weights": self.model.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "objective": {
                name: value
                for name, value in self.objective.state_dict().items()
                if not name.startswith("model.")
            },
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.step = state["step"]
        self.model.load_state_dict(renamed(state["weights"]))
        self.objective.load_state_dict(state["objective"], strict=False)
        if self.average and state["average"]:
            self.average.module.load_state_dict(renamed(state["average"]))
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
