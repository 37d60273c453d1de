"""Train Motion HMR.   python -m trainer.fit --shards shards/

On a laptop:   python -m trainer.fit --shards shards/ --steps 30 --device cpu
Several GPUs:  torchrun --nproc-per-node 8 -m trainer.fit --shards shards/
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from tqdm import tqdm

from trainer.checkpoint import load_checkpoint, save_checkpoint
from trainer.config import FitConfig
from trainer.data import Loader, Stream, read_clips, wanted_arrays
from trainer.errors import BadInput, run_door
from trainer.inputs import InputSpec
from trainer.loop import Trainer
from trainer.machine import Ranks, Settings, choose, find_device, start_ranks
from trainer.metrics import clip_pa_mpjpe, mean_over
from trainer.model.body import read_body
from trainer.model.build import ModelSpec, build_model
from trainer.objective import MotionObjective, Weights
from trainer.run import Run, plain
from trainer.shards import Damaged, DataSet, open_dataset
from trainer.windows import predict_clips

MEAN_CLIPS = 256
"""Clips whose mean pose and shape are the regressor's starting point."""


def fit(cfg: FitConfig) -> Path:
    """Train as configured; return the run's folder."""
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    ranks = start_ranks(cfg.device)
    device = find_device(cfg.device, ranks.local)
    dataset = open_dataset(cfg.shards)
    settings = choose(cfg, dataset, device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if settings.precision == "fp32" else "high")
    spec = dataset.spec(cfg.inputs, settings.image_size)
    arrays = wanted_arrays(cfg.inputs, parameters=cfg.weight_pose > 0)
    saved = load_checkpoint(cfg.resume) if cfg.resume else None
    if saved:
        refuse_other_run(saved, cfg, dataset)

    body = read_body(dataset.body)
    torch.manual_seed(cfg.seed)
    trainer = make_trainer(cfg, settings, dataset, spec, body, device, ranks)
    loader = Loader(
        Stream(
            dataset=dataset,
            arrays=arrays,
            frames=settings.frames,
            batch_size=settings.batch_size,
            seed=cfg.seed,
            shuffle=cfg.shuffle,
            on_damage=cfg.on_damage,
        ),
        workers=settings.workers,
        rank=ranks.rank,
        world=ranks.world,
        position=saved["loader"][ranks.rank] if saved else None,
        pin=device.type == "cuda",
    )
    folder = cfg.out or (
        cfg.resume.parent if cfg.resume else Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    )
    run = Run(folder, write=ranks.first, tensorboard=cfg.tensorboard)
    best = math.inf
    if saved:
        trainer.restore(saved)
        best = saved["best"]
        run.resume(trainer.step)
    run.describe(cfg, settings, dataset, device)
    if ranks.first:
        say_plan(cfg, settings, dataset, trainer, device, folder)

    model_spec = trainer_spec(cfg, settings, dataset, spec)

    def checkpoint(name: str) -> None:
        positions: list[Any] = [None] * ranks.world
        if ranks.world > 1:
            dist.all_gather_object(positions, loader.position())
        else:
            positions = [loader.position()]
        if ranks.first:
            save_checkpoint(
                folder / name,
                {
                    **trainer.state(),
                    "loader": positions,
                    "best": best,
                    "model": model_spec.plain(),
                    "body": {key: torch.as_tensor(value) for key, value in body.items()},
                    "config": plain(cfg),
                    "data": dataset.identity(),
                },
            )

    source = iter(loader)
    bar = tqdm(
        total=settings.steps, initial=trainer.step, disable=not ranks.first, unit="step",
        mininterval=1.0, file=sys.stderr,
    )  # fmt: skip
    spent = {"seconds": 0.0, "waited": 0.0, "steps": 0}
    while trainer.step < settings.steps:
        number = trainer.step + 1
        report = number <= 10 or number % cfg.log_every == 0 or number == settings.steps
        figures = trainer.advance(source, report=report)
        bar.update()
        spent = {
            "seconds": spent["seconds"] + figures["seconds"],
            "waited": spent["waited"] + figures["waited"],
            "steps": spent["steps"] + 1,
        }
        if report:
            clips = spent["steps"] * settings.batch_size * cfg.accumulate * ranks.world
            figures.update(
                seconds=spent["seconds"] / spent["steps"],
                data_wait=spent["waited"] / spent["seconds"],
                clips_per_second=clips / spent["seconds"],
            )
            del figures["waited"]
            spent = {"seconds": 0.0, "waited": 0.0, "steps": 0}
            run.log({"step": number, **figures})
            bar.set_postfix_str(
                f"loss {figures['loss']:.3g}, PA-MPJPE {figures['pa_mpjpe']:.0f} mm"
            )
            if not math.isfinite(figures["loss"]):
                raise BadInput(
                    f"The loss is {figures['loss']} at step {number}; lower --lr "
                    f"(now {settings.lr:g}) or pass --precision fp32."
                )
        last = number == settings.steps
        if cfg.val_shards and (number % cfg.val_every == 0 or last):
            error = validate(trainer, cfg, settings, device) if ranks.first else math.inf
            if ranks.world > 1:
                shared = [error]
                dist.broadcast_object_list(shared)
                error = shared[0]
            run.log({"step": number, "val_pa_mpjpe": error})
            if error < best:
                best = error
                checkpoint("best.pt")
        if number % cfg.save_every == 0 or last:
            checkpoint("last.pt")
    bar.close()
    if ranks.first:
        finish(folder, best, cfg)
    if ranks.world > 1:
        dist.destroy_process_group()
    return folder


def trainer_spec(
    cfg: FitConfig, settings: Settings, dataset: DataSet, spec: InputSpec
) -> ModelSpec:
    """Return the spec of the model that a run trains."""
    return ModelSpec(
        name=cfg.model,
        inputs=cfg.inputs,
        channels=spec.channels,
        image_size=settings.image_size,
        frames=settings.frames,
        backbone=settings.backbone,
        lstm_width=settings.lstm_width,
        rotation=cfg.rotation,
        keypoints=dataset.keypoints,
        evaluation_joints=dataset.evaluation_joints,
        evaluation_names=tuple(dataset.joints[i] for i in dataset.evaluation_joints),
    )


def make_trainer(
    cfg: FitConfig,
    settings: Settings,
    dataset: DataSet,
    spec: InputSpec,
    body: dict[str, np.ndarray],
    device: torch.device,
    ranks: Ranks,
) -> Trainer:
    """Return a trainer with fresh weights."""
    pose, betas = mean_person(dataset) if cfg.initial_pose == "data" else (None, None)
    model = build_model(trainer_spec(cfg, settings, dataset, spec), body, pose=pose, betas=betas)
    weights = Weights(cfg.weight_2d, cfg.weight_3d, cfg.weight_betas, cfg.weight_pose)
    objective = MotionObjective(model, weights, dataset.evaluation_joints, dataset.image_size)
    return Trainer(objective, cfg, settings, spec, device, ranks)


def mean_person(dataset: DataSet) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the mean pose (float [72], axis-angle) and betas [10] of the first clips, if any.

    A plain mean of the body joints' axis-angles: they stay well below π, where it is close to the
    rotations' own mean. It is where refinement starts, as HMR's mean parameters are, and no target.
    """
    poses, shapes = [], []
    for item in read_clips(dataset, frozenset({"pose", "betas", "occluded"})):
        if isinstance(item, Damaged):
            continue
        poses.append(item[1]["pose"].mean(0))
        shapes.append(item[1]["betas"])
        if len(poses) == MEAN_CLIPS:
            break
    if not poses:
        return None, None
    return np.mean(poses, 0), np.mean(shapes, 0)


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


def validate(trainer: Trainer, cfg: FitConfig, settings: Settings, device: torch.device) -> float:
    """Return the mean PA-MPJPE of the validation clips, mm."""
    assert cfg.val_shards is not None
    dataset = open_dataset(cfg.val_shards)
    model = trainer.judged.eval()
    joints = list(dataset.evaluation_joints)
    errors = []
    for clip in predict_clips(
        model,
        dataset,
        replace(dataset.spec(cfg.inputs, settings.image_size)),
        wanted_arrays(cfg.inputs),
        frames=settings.frames,
        stride=max(1, settings.frames // 2),
        batch_size=settings.batch_size,
        device=device,
        precision=settings.precision,
        max_clips=cfg.val_clips,
    ):
        truth = torch.from_numpy(clip.arrays["joints3d"][:, joints].copy())
        valid = torch.from_numpy(clip.arrays["valid"].astype(bool))
        errors.append(clip_pa_mpjpe(clip.prediction["joints"][:, joints], truth, valid))
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
    print(f"data     {dataset.folder}: {dataset.clips} clips in {len(dataset.shards)} shards")
    print(f"model    {cfg.model}, {cfg.inputs}, {weights:,} weights")
    print(f"machine  {settings.line(device)}")
    print(f"run      {folder}" + (f", from step {trainer.step}" if trainer.step else ""))


def finish(folder: Path, best: float, cfg: FitConfig) -> None:
    """Draw the loss curve and print where the results lie and what comes next."""
    try:
        from trainer.report import draw_curve
    except ImportError:
        print("no loss.png: matplotlib is not installed")
    else:
        draw_curve(folder / "metrics.jsonl", folder / "loss.png")
    name = "best.pt" if math.isfinite(best) else "last.pt"
    print(f"done     {folder}: metrics.jsonl, loss.png, {name}")
    shards = cfg.val_shards or cfg.shards
    print(f"next     python -m trainer.evaluate --checkpoint {folder / name} --shards {shards}")


def main(cfg: FitConfig) -> None:
    """The door."""
    fit(cfg)


if __name__ == "__main__":
    run_door(FitConfig, main, __doc__ or "")
