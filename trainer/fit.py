"""Train Motion HMR.

    python -m trainer.fit --shards shards/
    python -m trainer.fit --shards shards/ --steps 30 --device cpu       a look, on a laptop
    torchrun --nproc-per-node 8 -m trainer.fit --shards shards/          several GPUs

What is left unset is chosen for the machine, and said.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

from trainer.assemble import make_loaders, make_trainer, model_spec
from trainer.checkpoint import save_checkpoint
from trainer.config import FitConfig
from trainer.data import Loader
from trainer.errors import BadInput, Stopped, run_door
from trainer.interrupt import Interrupt
from trainer.loop import Trainer
from trainer.machine import (
    Ranks,
    Settings,
    choose,
    find_device,
    keep_memory,
    set_precision,
    start_ranks,
)
from trainer.model.body import read_body
from trainer.pace import Pace
from trainer.resume import resumed_settings, saved_run
from trainer.run import RunWriter, plain
from trainer.shards import DataSet, open_dataset
from trainer.validation import held_out_error, open_held_out
from trainer.words import count


def fit(cfg: FitConfig) -> Path:
    """Train as configured; return the run's folder."""
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    ranks = start_ranks(cfg.device)
    device = find_device(cfg.device, ranks.local)
    dataset = open_dataset(cfg.shards)
    settings = choose(cfg, dataset, device)
    folder = cfg.out or (cfg.resume.parent if cfg.resume else Path("runs") / now())
    saved = saved_run(cfg, dataset, folder)
    if saved:
        settings = resumed_settings(settings, saved)
    held = open_held_out(cfg, settings, dataset, ranks)
    set_precision(settings.precision, device)
    keep_memory(device)
    body = read_body(dataset.body)
    trainer = make_trainer(cfg, settings, dataset, body, device, ranks)
    loaders = make_loaders(cfg, settings, dataset, device, ranks, saved)
    run = RunWriter(folder, write=ranks.first, tensorboard=cfg.tensorboard)
    best = math.inf
    if saved:
        trainer.restore(saved)
        best = saved["best"]
    run.forget_after(trainer.step)
    run.describe(cfg, settings, dataset, device)
    if ranks.first:
        say_plan(cfg, settings, dataset, trainer, device, folder)

    # What a checkpoint says of its run, the same after every step.
    fixed = {
        "model": model_spec(cfg, settings, dataset).plain(),
        "body": {key: torch.as_tensor(value) for key, value in body.items()},
        "config": plain(cfg),
        "settings": asdict(settings),
        "data": dataset.identity(),
    }

    def checkpoint(name: str, *, judged: bool = True) -> None:
        positions = all_positions(loaders, ranks)
        if ranks.first:
            state = {**trainer.state(), "loaders": positions, "best": best, "judged": judged}
            save_checkpoint(folder / name, {**state, **fixed})

    def judge(held: DataSet) -> None:
        nonlocal best
        error = held_out_error(trainer, cfg, settings, held, device, ranks)
        run.log({"step": trainer.step, "val_pa_mpjpe": error})
        if error < best:
            best = error
            checkpoint("best.pt")

    if held and saved and not saved.get("judged", True):  # it was stopped while it validated
        judge(held)
        checkpoint("last.pt")

    sources = [iter(loader) for loader in loaders]
    pace = Pace(settings.batch_size * cfg.accumulate * ranks.world)
    bar = tqdm(
        total=settings.steps, initial=trainer.step, disable=not ranks.first, unit="step",
        mininterval=1.0, file=sys.stderr,
    )  # fmt: skip
    with Interrupt(on=ranks.world == 1) as interrupt:
        while trainer.step < settings.steps:
            number = trainer.step + 1
            last = number == settings.steps
            report = number <= 10 or number % cfg.log_every == 0 or last
            try:
                figures = trainer.advance(*sources, report=report)
            # The alignment's, of joints that are no numbers any more.
            except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
                raise diverged("not a number", number, settings) from None
            bar.update()
            pace.add(figures.pop("seconds"), figures.pop("waited"))
            if report:
                figures.update(pace.take())
                run.log({"step": number, **figures})
                loss, error = figures["loss"], figures["pa_mpjpe"]
                bar.set_postfix_str(f"loss {loss:.3g}, PA-MPJPE {error:.0f} mm", refresh=False)
                if not math.isfinite(loss):
                    raise diverged(str(loss), number, settings)
            judging = held is not None and (number % cfg.val_every == 0 or last)
            saving = number % cfg.save_every == 0 or last
            if saving:
                checkpoint("last.pt", judged=not judging)
            if held and judging:
                judge(held)
                if saving:
                    checkpoint("last.pt")  # which knows the best
            if interrupt.number is not None and not last:
                if not saving:
                    checkpoint("last.pt")
                bar.close()
                raise Stopped(
                    f"stopped at step {number}; go on with `--resume {folder / 'last.pt'}` "
                    "and the same options",
                    interrupt.number,
                )
    bar.close()
    if ranks.first:
        print(f"pace     {pace.line(settings.workers)}")
        finish(folder, best, cfg)
    if ranks.world > 1:
        dist.destroy_process_group()
    return folder


def all_positions(loaders: list[Loader], ranks: Ranks) -> list[Any]:
    """Return where each rank's loaders stand in their shards."""
    own = [loader.position() for loader in loaders]
    if ranks.world == 1:
        return [own]
    positions: list[Any] = [None] * ranks.world
    dist.all_gather_object(positions, own)
    return positions


def diverged(loss: str, number: int, settings: Settings) -> BadInput:
    """Return the error of a loss that is not finite."""
    other = "" if settings.precision == "fp32" else " or pass --precision fp32"
    return BadInput(
        f"The loss is {loss} at step {number}; lower --lr (now {settings.lr:g}){other}."
    )


def now() -> str:
    """Return the time as a folder's name."""
    return time.strftime("%Y%m%d-%H%M%S")


def say_plan(
    cfg: FitConfig,
    settings: Settings,
    dataset: DataSet,
    trainer: Trainer,
    device: torch.device,
    folder: Path,
) -> None:
    """Print what the run will do."""
    weights = sum(p.numel() for p in trainer.model.parameters())
    clips, shards = count(dataset.clips, "clip"), count(len(dataset.shards), "shard")
    print(f"data     {dataset.folder}: {clips} in {shards}")
    print(f"model    {cfg.model}, {cfg.inputs}, {weights:,} weights")
    print(f"machine  {settings.line(device)}")
    if cfg.flip and not trainer.flips:
        print(
            f"flip     off: crops of {dataset.image_size} px do not hold whole flow cells of "
            f"{dataset.flow_stride} px, and cut ones cannot be mirrored"
        )
    print(f"run      {folder}" + (f", from step {trainer.step}" if trainer.step else ""))


def finish(folder: Path, best: float, cfg: FitConfig) -> None:
    """Draw the loss curve and print where the results lie and what comes next."""
    # A run resumed into another folder may know of a best.pt that stayed in the old one.
    name = "best.pt" if math.isfinite(best) and (folder / "best.pt").exists() else "last.pt"
    written = f"metrics.jsonl, {name}"
    try:
        from trainer.report import draw_curve
    except ImportError:
        written += " (no loss.png: matplotlib is not installed)"
    else:
        draw_curve(folder / "metrics.jsonl", folder / "loss.png")
        written += ", loss.png"
    print(f"done     {folder}: {written}")
    shards = cfg.val_shards or cfg.shards
    print(f"next     python -m trainer.evaluate --checkpoint {folder / name} --shards {shards}")


if __name__ == "__main__":
    run_door(FitConfig, fit, __doc__ or "")
