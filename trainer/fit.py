"""Train a network on shards: Motion HMR, the joint head or the frame-by-frame lifter.

    python -m trainer.fit --shards shards/
    python -m trainer.fit --shards shards/ --steps 30 --device cpu       a trial on a laptop
    torchrun --nproc-per-node 8 -m trainer.fit --shards shards/          several GPUs

Options left unset are chosen for the machine and printed.
"""

from __future__ import annotations

import gc
import math
import re
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from trainer.common import cli
from trainer.common.cli import count, quoted
from trainer.common.device import find_device, keep_memory, set_precision, start_ranks
from trainer.common.files import read_json_lines
from trainer.data.dataset import UNCHECKED, DataSet, open_dataset, open_datasets
from trainer.data.options import store_of
from trainer.model.body import read_body
from trainer.training.factory import make_loaders, make_train_step, model_spec
from trainer.training.loop import TrainingLoop
from trainer.training.options import FitConfig
from trainer.training.resume import resumed_settings, saved_run
from trainer.training.run_folder import RunWriter, plain
from trainer.training.settings import choose
from trainer.training.validation import open_held_out


def fit(cfg: FitConfig) -> Path:
    """Train as configured; return the run's folder."""
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    ranks = start_ranks(cfg.device)
    device = find_device(cfg.device, ranks.local)
    store = store_of(cfg.cache, cfg.cache_size)
    dataset = open_datasets(cfg.shards, store=store)
    real = None
    if cfg.dann_shards:
        real = open_dataset(cfg.dann_shards, "--dann-shards", truth=False, store=store)
    settings = choose(cfg, dataset, device)
    folder = cfg.out or (cfg.resume.parent if cfg.resume else Path("runs") / now())
    saved = saved_run(cfg, dataset, real, ranks, folder)
    if saved:
        settings = resumed_settings(settings, saved)
    model = model_spec(cfg, settings, dataset)
    held = open_held_out(cfg, model, dataset, ranks, store)
    set_precision(settings.precision, device)
    keep_memory(device)
    body = read_body(dataset.body)
    loop = TrainingLoop(
        cfg=cfg,
        settings=settings,
        ranks=ranks,
        train_step=make_train_step(cfg, settings, model, dataset, body, device, ranks),
        loaders=make_loaders(cfg, settings, model, dataset, real, device, ranks, saved),
        model=model,
        held=held,
        writer=RunWriter(folder, write=ranks.first),
        described={
            "model": model.plain(),
            "body": {key: torch.as_tensor(value) for key, value in body.items()},
            "config": plain(cfg),
            "settings": asdict(settings),
            "data": dataset.identity(),
            "real": real and real.identity(),
            "held": [validated_on(data, cfg) for data in held] or None,
        },
    )
    if saved:
        loop.restore(saved)
    loop.writer.forget_after(loop.train_step.step)
    loop.writer.describe(cfg, settings, dataset, device)
    loop.writer.track(cfg.tracking, plain(cfg), loop.train_step.step)
    if ranks.first:
        print_plan(loop, dataset, device)
    try:
        throughput = loop.run()
    finally:
        loop.writer.tracker.close()
    if ranks.first:
        print(f"speed    {throughput.line(settings.workers)}", *skipped(loop.damage), sep="\n")
        finish(folder, loop.best, cfg)
    if ranks.world > 1:
        # DDP's references to the group are dropped first: freed at exit, they may abort this rank.
        del loop
        gc.collect()
        dist.destroy_process_group()
    return folder


def validated_on(data: DataSet, cfg: FitConfig) -> dict[str, object]:
    """Return a held-out set's entry in a checkpoint; errors on other sets are not comparable."""
    return {**data.identity(), "clips": cfg.val_clips, "frames": "counted"}


def now() -> str:
    """Return the time as a folder's name."""
    return time.strftime("%Y%m%d-%H%M%S")


def print_plan(loop: TrainingLoop, dataset: DataSet, device: torch.device) -> None:
    """Print what the run will do."""
    cfg, train_step = loop.cfg, loop.train_step
    weights = sum(p.numel() for p in train_step.model.parameters())
    clips, shards = count(dataset.clips, "clip"), count(len(dataset.shards), "shard")
    print(f"data     {', '.join(cfg.shards)}: {clips} in {shards}")
    if not dataset.checked:
        print(UNCHECKED.format(dataset.folder))
    print(f"model    {cfg.model}, {cfg.inputs}, {weights:,} weights")
    print(f"machine  {loop.settings.line(device)}")
    if cfg.flip and not train_step.flips:
        print(
            f"flip     off: crops of {dataset.image_size} px are no multiple of the flow's stride "
            f"of {dataset.flow_stride} px, and partial cells cannot be mirrored"
        )
    print(f"run      {loop.folder}" + (f", from step {train_step.step}" if train_step.step else ""))


def finish(folder: Path, best: float, cfg: FitConfig) -> None:
    """Draw the loss curve; print the results, where they are and the next command."""
    # The best.pt of a run that was resumed into another folder may be in the old one.
    name = "best.pt" if math.isfinite(best) and (folder / "best.pt").exists() else "last.pt"
    metrics = folder / "metrics.jsonl"
    # A finished run's new folder has no metrics.
    written = f"metrics.jsonl, {name}" if metrics.exists() else name
    try:
        from trainer.analysis.charts import draw_curve
    except ImportError:
        written += " (no loss.png: matplotlib is not installed)"
    else:
        if metrics.exists():
            draw_curve(metrics, folder / "loss.png")
            written += ", loss.png"
    print(f"done     {folder}: {written}")
    print(f"best     {best_of(read_json_lines(metrics), best)}")
    checkpoint, shards = (
        quoted(folder / name),
        quoted((cfg.val_shards or cfg.shards)[0].partition("::")[0]),
    )
    print(f"Next: python -m trainer.evaluate --checkpoint {checkpoint} --shards {shards}")


def skipped(damage: Iterable[str]) -> list[str]:
    """Return a line for each shard of which clips were skipped, with the command that repairs it.

    damage: the messages of the loaders, which name the shard.
    """
    found: dict[str, list[str]] = {}
    for message in damage:
        if "fewer than" not in message and (shard := re.match(r".*?shard-\d+\.tar", message)):
            found.setdefault(shard[0], []).append(message)
    lines = []
    for shard, messages in sorted(found.items()):
        folder, _, name = shard.rpartition("/")
        clips = sum(": clip " in message for message in messages)
        what = count(clips, "clip") if clips == len(messages) else "clips"
        web = folder.startswith(("http://", "https://"))  # cannot be written
        repair = "" if web else f": python -m datagen.verify {quoted(folder or '.')} --repair"
        lines.append(f"skipped  {what} of {name.removesuffix('.tar')} (damaged){repair}")
    return lines


def best_of(lines: list[dict[str, Any]], best: float) -> str:
    """Return the lowest validation error, mm, and its step, in words.

    lines: of metrics.jsonl. best: the run's lowest error; a run that was resumed into another
    folder may have reached it in the old one, whose steps these lines lack.
    """
    if not math.isfinite(best):
        return "not known, as the run was not validated (--val-shards)"
    steps = [line["step"] for line in lines if line.get("val_pa_mpjpe") == best]
    where = f"at step {steps[0]}" if steps else "in the folder of the run that was resumed"
    return f"PA-MPJPE {best:.1f} mm on the validation clips, {where}"


def main() -> None:
    """Run the command line."""
    cli.run(FitConfig, fit, __doc__ or "")


if __name__ == "__main__":
    main()
