"""Resume a run from a checkpoint, with the data, options and settings that it began with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.common.cli import count, quoted
from trainer.common.device import Ranks
from trainer.common.options import flag
from trainer.data.dataset import DataSet
from trainer.errors import BadInput
from trainer.model.checkpoint import DAMAGED, load_checkpoint
from trainer.training.options import FitConfig
from trainer.training.run_folder import plain
from trainer.training.settings import Settings

FORMER_OPTIONS = {"optimizer": "adamw", "tensorboard": True}
"""Options of former versions, with the values that can still be resumed."""


def saved_run(
    cfg: FitConfig, dataset: DataSet, real: DataSet | None, ranks: Ranks, folder: Path
) -> dict[str, Any] | None:
    """Return the checkpoint that --resume names, None for a new run.

    Raises BadInput if it belongs to other data or other options, or if the folder already holds
    another run.
    """
    if not cfg.resume or cfg.resume.resolve().parent != folder.resolve():
        refuse_taken(folder)
    if not cfg.resume:
        return None
    saved = load_checkpoint(cfg.resume)
    try:
        refuse_other_run(saved, cfg, dataset, real, ranks)
    except DAMAGED as error:
        raise BadInput(f"{cfg.resume} is a damaged checkpoint ({error!s:.100}).") from error
    return saved


def refuse_taken(folder: Path) -> None:
    """Raise BadInput if a folder already holds a run, finished or not: two would be mixed."""
    for name in ("last.pt", "best.pt"):
        if (folder / name).exists():
            raise BadInput(
                f"{folder} holds a run already; pass --resume {quoted(folder / name)} to continue "
                "it, or another --out."
            )
    if (folder / "metrics.jsonl").exists() or any(folder.glob("*.pt")):
        raise BadInput(
            f"{folder} holds a run already, without a last.pt to resume from; "
            "remove the folder to start again, or pass another --out."
        )


def refuse_other_run(
    saved: dict[str, Any], cfg: FitConfig, dataset: DataSet, real: DataSet | None, ranks: Ranks
) -> None:
    """Raise BadInput if a checkpoint was made with other data or options than those given."""
    if saved["data"] != dataset.identity():
        raise BadInput(
            f"{cfg.resume} was trained on other shards than those of {', '.join(cfg.shards)}; "
            "resume with the data it was trained on."
        )
    if real and saved.get("real", real.identity()) != real.identity():
        raise BadInput(
            f"{cfg.resume} was trained on other real shards than those of {cfg.dann_shards}; "
            "resume with those it was trained on."
        )
    if len(saved["loaders"]) != ranks.world:
        raise BadInput(
            f"{cfg.resume} was trained on {count(len(saved['loaders']), 'rank')}, not "
            f"{ranks.world}; start torchrun with as many."
        )
    free = {"resume", "out", "val_shards", "val_every", "val_clips", "log_every", "save_every",
            "device", "tracking", "threads", "shards", "on_damage",
            "cache", "cache_size"}  # fmt: skip
    now = plain(cfg)
    then = {**plain(FitConfig(shards=cfg.shards)), **saved["config"]}  # defaults of newer options
    if now["dann_shards"] and then["dann_shards"]:  # the same, or refused above
        free.add("dann_shards")
    for name, value in then.items():
        if name not in now:  # an option of former versions: off, or today's behaviour
            if value and FORMER_OPTIONS.get(name) != value:
                raise BadInput(
                    f"{cfg.resume} was trained with {option(name, value)}, which this version no "
                    "longer has; continue with the version named in its run.json."
                )
        elif name not in free and now[name] != value:
            why = ""
            if name == "steps":
                why = " (a run cannot be lengthened: its learning rate depends on its length)"
            raise BadInput(
                f"{cfg.resume} was trained with {option(name, value)}, not "
                f"{option(name, now[name])}; resume a run with its own options{why}."
            )


def option(name: str, value: object) -> str:
    """Return an option of trainer.fit as typed on the command line."""
    word = flag(name)
    if isinstance(value, bool):
        return flag(name, value)
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return f"no {word}" if value is None else f"{word} {value}"


def resumed_settings(settings: Settings, saved: dict[str, Any]) -> Settings:
    """Return the settings of the run to resume instead of those that suit this machine.

    Only `compile` follows this machine: compiling does not change what a resumed run restores.
    """
    return replace(settings, **{**saved.get("settings", {}), "compile": settings.compile})
