"""The run folder: a run's options, data, code revision, metrics and checkpoints.

runs/<time>/  config.json  run.json  metrics.jsonl  last.pt  best.pt  loss.png
              evaluation/<data set>/  results of trainer.evaluate
"""

from __future__ import annotations

import fcntl
import json
import math
import platform
import subprocess
import time
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch

from trainer.common.files import read_json_lines, write_atomic, write_json, writing
from trainer.data.dataset import DataSet
from trainer.errors import BadInput
from trainer.training.options import FitConfig
from trainer.training.settings import Settings
from trainer.training.tracking import NoTracker, Service, Tracker, open_tracker


def plain(config: Any) -> dict[str, Any]:
    """Return a config's fields as JSON values; nested fields are named as on the command line."""
    out: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            out |= {f"{field.name}.{name}": inner for name, inner in plain(value).items()}
        elif isinstance(value, tuple):
            out[field.name] = [str(v) if isinstance(v, Path) else v for v in value]
        else:
            out[field.name] = str(value) if isinstance(value, Path) else value
    return out


def revision() -> str:
    """Return the code's git revision, `-dirty` if it was changed, or `unknown`."""
    here = Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


class RunWriter:
    """Writes a run's folder; with write=False (ranks after the first) it writes nothing."""

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self.folder = folder
        self.write = write
        self.metrics = folder / "metrics.jsonl"
        self.tracker: Tracker = NoTracker()
        if write:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self.lock = open(folder / ".lock", "w")  # noqa: SIM115  # as long as the process
            self.claim()

    def claim(self) -> None:
        """Keep other processes from writing into the folder; BadInput if one does already."""
        try:
            fcntl.lockf(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(
                f"another trainer.fit is writing into {self.folder}; choose another --out."
            ) from None
        except OSError:  # a file system without locks
            return

    def describe(
        self, cfg: FitConfig, settings: Settings, dataset: DataSet, device: torch.device
    ) -> None:
        """Write config.json and run.json."""
        if not self.write:
            return
        about = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "revision": revision(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "device": str(device),
            "settings": asdict(settings),
            "data": {"folder": str(dataset.folder), "clips": dataset.clips, **dataset.identity()},
        }
        write_json(self.folder / "config.json", plain(cfg))
        write_json(self.folder / "run.json", about)

    def track(self, service: Service, options: dict[str, Any], step: int) -> None:
        """Send the figures after `step` to a service too."""
        if self.write:
            self.tracker = open_tracker(service, self.folder, options, step)

    def forget_after(self, step: int) -> None:
        """Drop the lines of metrics.jsonl after a step: the run is about to make them again."""
        if not self.write or not self.metrics.exists():
            return
        kept = [
            line
            for line in read_json_lines(self.metrics)
            if isinstance(line.get("step"), int) and line["step"] <= step
        ]
        with write_atomic(self.metrics) as file:
            file.writelines(json.dumps(line).encode() + b"\n" for line in kept)

    def log(self, line: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl, and send it to the tracker."""
        if not self.write:
            return
        # JSON has no NaN (no frame counted) and no infinity (a skipped fp16 step).
        line = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in line.items()
        }
        with writing(self.folder), open(self.metrics, "a") as file:
            file.write(json.dumps(line) + "\n")
        numbers = {k: v for k, v in line.items() if isinstance(v, int | float) and k != "step"}
        self.tracker.log(line["step"], numbers)
