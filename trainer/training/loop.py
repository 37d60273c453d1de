"""The training loop: steps, validations, checkpoints and metrics."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

from trainer.common.cli import quoted
from trainer.common.device import Ranks
from trainer.data.dataset import DataSet
from trainer.data.endless.loader import EndlessLoader
from trainer.data.loader import Loader
from trainer.data.transfer import Unreachable
from trainer.errors import BadInput, Stopped
from trainer.model.build import ModelSpec
from trainer.model.checkpoint import save_checkpoint
from trainer.training.options import FitConfig
from trainer.training.run_folder import RunWriter
from trainer.training.settings import Settings
from trainer.training.signals import Interrupt
from trainer.training.step import TrainStep
from trainer.training.validation import held_out_error

MUCH_WAIT = 0.05
"""Share of the time spent waiting for data above which a run suggests more workers."""


@dataclass
class TrainingLoop:
    """A training step with its batches and its run folder; `run` trains to the last step.

    `best` is the lowest validation error so far, mm.
    """

    cfg: FitConfig
    settings: Settings
    ranks: Ranks
    train_step: TrainStep
    loaders: Sequence[Loader | EndlessLoader]
    model: ModelSpec
    held: list[DataSet]
    """Validation data sets."""
    writer: RunWriter
    described: dict[str, Any]
    """Metadata of the run in its checkpoints, the same after every step."""
    best: float = math.inf
    validated: bool = True
    """False after a resume if the validation of the checkpoint's step is still to do."""

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue the run of a checkpoint."""
        self.train_step.restore(saved)
        if not self.held:
            self.described["held"] = saved.get("held")
        if self.described["held"] == saved.get("held"):  # errors on other clips are not comparable
            self.best = saved["best"]
        self.validated = saved.get("validated", saved.get("judged", True))  # its former name

    def run(self) -> Throughput:
        """Train to the last step; return the throughput.

        Raises BadInput if the loss is NaN or infinite, Stopped after Ctrl-C or SIGTERM: a
        single-process run has saved its state by then.
        """
        if not self.validated:  # it was stopped while it validated
            self.validate()
            self.save()
        elif self.train_step.step == self.settings.steps:
            self.save()  # a finished run, perhaps resumed into another folder
        steps, world = self.settings.steps, self.ranks.world
        sources = [iter(loader) for loader in self.loaders]
        throughput = Throughput(self.settings.batch_size * self.cfg.accumulate * world)
        bar = tqdm(
            total=steps, initial=self.train_step.step, disable=not self.ranks.first, unit="step",
            mininterval=1.0, file=sys.stderr,
        )  # fmt: skip
        with bar, Interrupt(on=world == 1) as interrupt:
            while self.train_step.step < steps:
                try:
                    self.advance(sources, throughput, bar)
                except Unreachable as error:
                    raise self.cut_off(error) from None
                except KeyboardInterrupt:
                    raise self.cut_short() from None
                if interrupt.number is not None and self.train_step.step < steps:
                    self.save()
                    raise Stopped(
                        f"stopped at step {self.train_step.step}; continue with "
                        f"`--resume {quoted(self.folder / 'last.pt')}` and the same options",
                        interrupt.number,
                    )
        return throughput

    def advance(self, sources: list[Any], throughput: Throughput, bar: tqdm[Any]) -> None:
        """Make one step; log, validate and save where due."""
        cfg = self.cfg
        number = self.train_step.step + 1
        last = number == self.settings.steps
        report = number <= 10 or number % cfg.log_every == 0 or last
        try:
            figures = self.train_step.advance(*sources, report=report)
        # Raised by the alignment if joints are NaN.
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
            raise self.diverged("not a number", number) from None
        bar.update()
        throughput.add(figures.pop("seconds"), figures.pop("waited"))
        if report:
            self.writer.log({"step": number, **figures, **throughput.take()})
            loss, error = figures["loss"], figures["pa_mpjpe"]
            bar.set_postfix_str(f"loss {loss:.3g}, PA-MPJPE {error:.0f} mm", refresh=False)
            if not math.isfinite(loss):
                raise self.diverged(str(loss), number)
        saving = number % cfg.save_every == 0 or last
        self.validated = not self.held or not (number % cfg.val_every == 0 or last)
        if saving:
            self.save()
        if not self.validated:
            self.validate()
            if saving:
                self.save()  # last.pt stores the best error

    def validate(self) -> None:
        """Validate, and save best.pt if the error is the lowest so far."""
        if not self.held:
            return
        error = held_out_error(
            self.train_step, self.cfg, self.settings, self.model, self.held, self.ranks
        )
        self.writer.log({"step": self.train_step.step, "val_pa_mpjpe": error})
        self.validated = True
        if error < self.best:
            self.best = error
            self.save("best.pt")

    def save(self, name: str = "last.pt") -> None:
        """Write a checkpoint of the current step."""
        positions = self.positions()
        if self.ranks.first:
            state = {"loaders": positions, "best": self.best, "validated": self.validated}
            content = {**self.train_step.state(), **state, **self.described}
            save_checkpoint(self.folder / name, content)

    @property
    def damage(self) -> list[str]:
        """What the loaders said of the damaged clips that they skipped."""
        return [one for loader in self.loaders for one in getattr(loader, "reported", ())]

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.writer.folder

    def positions(self) -> list[Any]:
        """Return the positions of each rank's loaders in their shards."""
        own = [loader.position() for loader in self.loaders]
        if self.ranks.world == 1:
            return [own]
        positions: list[Any] = [None] * self.ranks.world
        dist.all_gather_object(positions, own)
        return positions

    def cut_off(self, error: Unreachable) -> BadInput:
        """Return the error of an unreachable server, after saving a checkpoint to resume from.

        With several ranks nothing is saved, as the others may be in the middle of a step: the last
        regular checkpoint counts.
        """
        if self.ranks.world == 1 and self.train_step.step:
            self.save()
        last = self.folder / "last.pt"
        if not last.exists():
            return error
        how = f"continue with `--resume {quoted(last)}` and the same options"
        return BadInput(f"{str(error).rstrip('.')}; {how}.")

    def cut_short(self) -> Stopped:
        """Return the Stopped of a rank after Ctrl-C, which may be in the middle of a step.

        Only one of the ranks prints how to continue.
        """
        last = self.folder / "last.pt"
        words = f"\nstopped; continue from the last checkpoint with `--resume {quoted(last)}`"
        first = "\nstopped before the first checkpoint (--save-every)"
        shown = words if last.exists() else first
        return Stopped(shown if self.ranks.first else "", signal.SIGINT)

    def diverged(self, loss: str, number: int) -> BadInput:
        """Return the error of a loss that is not finite."""
        settings = self.settings
        other = "" if settings.precision == "fp32" else " or pass --precision fp32"
        return BadInput(
            f"The loss is {loss} at step {number}; lower --lr (now {settings.lr:g}){other}."
        )


@dataclass
class Throughput:
    """Step time, data waiting time and clips per second, since the last report and over the run."""

    clips: int
    """Clips of a step, over all ranks."""
    seconds: float = 0.0
    waited: float = 0.0
    steps: int = 0
    all_seconds: float = 0.0
    all_waited: float = 0.0

    def add(self, seconds: float, waited: float) -> None:
        """Add a step's seconds and the seconds of it spent waiting for data."""
        self.seconds += seconds
        self.waited += waited
        self.steps += 1
        self.all_seconds += seconds
        self.all_waited += waited

    def line(self, workers: int) -> str:
        """Return one line on the time spent waiting for data."""
        share = self.all_waited / max(self.all_seconds, 1e-9)
        advice = f"; raise --workers (now {workers})" if share > MUCH_WAIT else ""
        return f"{share:.1%} of the time was spent waiting for data{advice}"

    def take(self) -> dict[str, float]:
        """Return seconds per step, the share waiting for data and clips/s; then reset them."""
        figures = {
            "seconds": self.seconds / self.steps,
            "data_wait": self.waited / self.seconds,
            "clips_per_second": self.steps * self.clips / self.seconds,
        }
        self.seconds, self.waited, self.steps = 0.0, 0.0, 0
        return figures
