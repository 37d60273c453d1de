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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

from trainer.assemble import input_spec, make_loaders, make_trainer, model_spec
from trainer.checkpoint import load_checkpoint, save_checkpoint
from trainer.config import FitConfig
from trainer.data import Loader, wanted_arrays
from trainer.errors import BadInput, run_door
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
from trainer.metrics import clip_pa_mpjpe, mean_over
from trainer.model.body import read_body
from trainer.model.motion_hmr import pick
from trainer.run import RunWriter, plain
from trainer.shards import DataSet, open_dataset
from trainer.windows import predict_clips
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
    saved = load_checkpoint(cfg.resume) if cfg.resume else None
    if saved:
        refuse_other_run(saved, cfg, dataset)
        settings = resumed_settings(settings, saved)
    elif (folder / "last.pt").exists():
        raise BadInput(
            f"{folder} holds a run already; pass --resume {folder / 'last.pt'} to go on with it, "
            "or another --out."
        )
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

    def checkpoint(name: str) -> None:
        positions = all_positions(loaders, ranks)
        if ranks.first:
            content = {
                **trainer.state(),
                "loaders": positions,
                "best": best,
                "model": model_spec(cfg, settings, dataset).plain(),
                "body": {key: torch.as_tensor(value) for key, value in body.items()},
                "config": plain(cfg),
                "settings": asdict(settings),
                "data": dataset.identity(),
            }
            save_checkpoint(folder / name, content)

    sources = [iter(loader) for loader in loaders]
    pace = Pace(settings.batch_size * cfg.accumulate * ranks.world)
    bar = tqdm(
        total=settings.steps, initial=trainer.step, disable=not ranks.first, unit="step",
        mininterval=1.0, file=sys.stderr,
    )  # fmt: skip
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
        if cfg.val_shards and (number % cfg.val_every == 0 or last):
            error = held_out_error(trainer, cfg, settings, device, ranks)
            run.log({"step": number, "val_pa_mpjpe": error})
            if error < best:
                best = error
                checkpoint("best.pt")
        if number % cfg.save_every == 0 or last:
            checkpoint("last.pt")
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


def held_out_error(
    trainer: Trainer, cfg: FitConfig, settings: Settings, device: torch.device, ranks: Ranks
) -> float:
    """Return the validation error, which the first rank measures and tells the others."""
    error = [validate(trainer, cfg, settings, device) if ranks.first else math.inf]
    if ranks.world > 1:
        dist.broadcast_object_list(error)
    return error[0]


def diverged(loss: str, number: int, settings: Settings) -> BadInput:
    """Return the error of a loss that is not finite."""
    other = "" if settings.precision == "fp32" else " or pass --precision fp32"
    return BadInput(
        f"The loss is {loss} at step {number}; lower --lr (now {settings.lr:g}){other}."
    )


def now() -> str:
    """Return the time as a folder's name."""
    return time.strftime("%Y%m%d-%H%M%S")


MUCH_WAIT = 0.05
"""Share of a step's time spent waiting for data above which a run says so."""


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


def refuse_other_run(saved: dict[str, Any], cfg: FitConfig, dataset: DataSet) -> None:
    """Raise BadInput if a checkpoint belongs to other data or other options than are given."""
    if saved["data"] != dataset.identity():
        raise BadInput(
            f"{cfg.resume} was trained on other shards than {cfg.shards} holds; "
            "resume with the data it was made on."
        )
    free = {"resume", "out", "val_shards", "val_every", "val_clips", "log_every", "save_every",
            "device", "tensorboard", "threads", "shards", "on_damage"}  # fmt: skip
    now = plain(cfg)
    for name, value in saved["config"].items():
        if name not in free and now.get(name) != value:
            option = f"--{name.replace('_', '-')}"
            raise BadInput(
                f"{cfg.resume} was trained with {option} {value}, not {now.get(name)}; "
                "give a resumed run its own options."
            )


def resumed_settings(settings: Settings, saved: dict[str, Any]) -> Settings:
    """Return the settings of the run to resume, whatever this machine would choose.

    Only whether to compile is the machine's: it changes no result that a resume could keep.
    """
    return replace(settings, **{**saved.get("settings", {}), "compile": settings.compile})


def validate(trainer: Trainer, cfg: FitConfig, settings: Settings, device: torch.device) -> float:
    """Return the mean PA-MPJPE of the validation clips, mm."""
    assert cfg.val_shards is not None
    dataset = open_dataset(cfg.val_shards)
    model = trainer.judged.eval()
    joints = dataset.evaluation_joints
    errors = []
    for clip in predict_clips(
        model,
        dataset,
        input_spec(cfg, settings, dataset),
        wanted_arrays(cfg.inputs),
        frames=settings.frames,
        stride=max(1, settings.frames // 2),
        batch_size=settings.batch_size,
        device=device,
        precision=settings.precision,
        max_clips=cfg.val_clips,
    ):
        truth = pick(torch.from_numpy(clip.arrays["joints3d"].copy()), joints)
        valid = torch.from_numpy(clip.arrays["valid"].astype(bool))
        errors.append(clip_pa_mpjpe(pick(clip.prediction["joints"], joints), truth, valid))
    values = torch.tensor(errors)
    return mean_over(values, ~values.isnan())


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
