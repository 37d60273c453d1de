"""A run in progress: the loop over steps, and what it writes down on its way."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

from trainer.cli import quoted
from trainer.config import FitConfig
from trainer.data.dataset import DataSet
from trainer.data.endless.loader import EndlessLoader
from trainer.data.loader import Loader
from trainer.device import Ranks
from trainer.errors import BadInput, Stopped
from trainer.model.build import ModelSpec
from trainer.model.checkpoint import save_checkpoint
from trainer.training.run_folder import RunWriter
from trainer.training.settings import Settings
from trainer.training.signals import Interrupt
from trainer.training.step import Trainer
from trainer.training.validation import held_out_error

MUCH_WAIT = 0.05
"""Share of a step's time spent waiting for data above which a run says so."""


@dataclass
class Training:
    """A trainer with its clips and its folder; `go` trains to the end, or is stopped and says so.

    `best` is the least validation error so far, mm.
    """

    cfg: FitConfig
    settings: Settings
    ranks: Ranks
    trainer: Trainer
    loaders: Sequence[Loader | EndlessLoader]
    model: ModelSpec
    held: list[DataSet]
    """What it is validated on."""
    writer: RunWriter
    described: dict[str, Any]
    """What a checkpoint says of its run, the same after every step."""
    best: float = math.inf
    judged: bool = True
    """False after a resume if the validation of the checkpoint's step is still to do."""

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up the run that a checkpoint was saved of."""
        self.trainer.restore(saved)
        if not self.held:
            self.described["held"] = saved.get("held")
        if self.described["held"] == saved.get("held"):  # errors on other clips do not compare
            self.best = saved["best"]
        self.judged = saved.get("judged", True)

    def go(self) -> Pace:
        """Train to the last step; return how fast it went.

        Raises BadInput when the loss is no number any more, Stopped after Ctrl-C or SIGTERM (in
        single-process runs), its state saved.
        """
        if not self.judged:  # it was stopped while it validated
            self.judge()
            self.save()
        elif self.trainer.step == self.settings.steps:
            self.save()  # a finished run, taken up in another folder perhaps
        steps, world = self.settings.steps, self.ranks.world
        sources = [iter(loader) for loader in self.loaders]
        pace = Pace(self.settings.batch_size * self.cfg.accumulate * world)
        bar = tqdm(
            total=steps, initial=self.trainer.step, disable=not self.ranks.first, unit="step",
            mininterval=1.0, file=sys.stderr,
        )  # fmt: skip
        with bar, Interrupt(on=world == 1) as interrupt:
            while self.trainer.step < steps:
                self.advance(sources, pace, bar)
                if interrupt.number is not None and self.trainer.step < steps:
                    self.save()
                    raise Stopped(
                        f"stopped at step {self.trainer.step}; go on with "
                        f"`--resume {quoted(self.folder / 'last.pt')}` and the same options",
                        interrupt.number,
                    )
        return pace

    def advance(self, sources: list[Any], pace: Pace, bar: tqdm[Any]) -> None:
        """Make one step, and write down what is due after it."""
        cfg = self.cfg
        number = self.trainer.step + 1
        last = number == self.settings.steps
        report = number <= 10 or number % cfg.log_every == 0 or last
        try:
            figures = self.trainer.advance(*sources, report=report)
        # The alignment's, of joints that are no numbers any more.
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
            raise self.diverged("not a number", number) from None
        bar.update()
        pace.add(figures.pop("seconds"), figures.pop("waited"))
        if report:
            self.writer.log({"step": number, **figures, **pace.take()})
            loss, error = figures["loss"], figures["pa_mpjpe"]
            bar.set_postfix_str(f"loss {loss:.3g}, PA-MPJPE {error:.0f} mm", refresh=False)
            if not math.isfinite(loss):
                raise self.diverged(str(loss), number)
        saving = number % cfg.save_every == 0 or last
        self.judged = not self.held or not (number % cfg.val_every == 0 or last)
        if saving:
            self.save()
        if not self.judged:
            self.judge()
            if saving:
                self.save()  # which knows the best

    def judge(self) -> None:
        """Validate, and keep the weights if none were better."""
        if not self.held:
            return
        error = held_out_error(
            self.trainer, self.cfg, self.settings, self.model, self.held, self.ranks
        )
        self.writer.log({"step": self.trainer.step, "val_pa_mpjpe": error})
        self.judged = True
        if error < self.best:
            self.best = error
            self.save("best.pt")

    def save(self, name: str = "last.pt") -> None:
        """Write a checkpoint of the present step."""
        positions = self.positions()
        if self.ranks.first:
            state = {"loaders": positions, "best": self.best, "judged": self.judged}
            content = {**self.trainer.state(), **state, **self.described}
            save_checkpoint(self.folder / name, content)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.writer.folder

    def positions(self) -> list[Any]:
        """Return where each rank's loaders stand in their shards."""
        own = [loader.position() for loader in self.loaders]
        if self.ranks.world == 1:
            return [own]
        positions: list[Any] = [None] * self.ranks.world
        dist.all_gather_object(positions, own)
        return positions

    def diverged(self, loss: str, number: int) -> BadInput:
        """Return the error of a loss that is not finite."""
        settings = self.settings
        other = "" if settings.precision == "fp32" else " or pass --precision fp32"
        return BadInput(
            f"The loss is {loss} at step {number}; lower --lr (now {settings.lr:g}){other}."
        )


@dataclass
class Pace:
    """How fast the steps since the last report went."""

    clips: int
    """Clips of a step, over all ranks."""
    seconds: float = 0.0
    waited: float = 0.0
    steps: int = 0
    all_seconds: float = 0.0
    all_waited: float = 0.0

    def add(self, seconds: float, waited: float) -> None:
        """Count a step and the part of it spent waiting for data."""
        self.seconds += seconds
        self.waited += waited
        self.steps += 1
        self.all_seconds += seconds
        self.all_waited += waited

    def line(self, workers: int) -> str:
        """Return what is to say of the run's waiting for data."""
        share = self.all_waited / max(self.all_seconds, 1e-9)
        advice = f"; raise --workers (now {workers})" if share > MUCH_WAIT else ""
        return f"{share:.1%} of the time was waiting for data{advice}"

    def take(self) -> dict[str, float]:
        """Return seconds a step, the share of waiting for data and clips/s; begin anew."""
        figures = {
            "seconds": self.seconds / self.steps,
            "data_wait": self.waited / self.seconds,
            "clips_per_second": self.steps * self.clips / self.seconds,
        }
        self.seconds, self.waited, self.steps = 0.0, 0.0, 0
        return figures
