"""--tracking: a run's figures also go to TensorBoard, Weights & Biases or MLflow.

Each service is configured by its own environment variables (WANDB_PROJECT, WANDB_MODE,
MLFLOW_TRACKING_URI, …). metrics.jsonl is written in any case; a resumed run continues the
same record of the service.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from trainer.errors import BadInput

Service = Literal["none", "tensorboard", "wandb", "mlflow"]
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow-skinny"}


class Tracker(Protocol):
    """Receives the figures of a run."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Record finite figures of a step."""

    def close(self) -> None:
        """End the record and send everything logged."""


class NoTracker:
    """Records nothing."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class TensorBoard:
    """Event files in the run's folder: `tensorboard --logdir runs`."""

    def __init__(self, folder: Path, options: dict[str, Any], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.events = SummaryWriter(str(folder), purge_step=step + 1)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Record figures."""
        for name, value in figures.items():
            self.events.add_scalar(name, value, step)

    def close(self) -> None:
        """Write buffered events."""
        self.events.close()


class WeightsAndBiases:
    """A run of the project WANDB_PROJECT, by default motion-hmr."""

    def __init__(self, folder: Path, options: dict[str, Any], step: int) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "motion-hmr"),
            name=folder.name,
            id=os.environ.get("WANDB_RUN_ID") or _name(folder),
            dir=str(folder),
            config=options,
            resume="allow",
        )

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Record figures."""
        self.run.log(figures, step=step)

    def close(self) -> None:
        """End the run."""
        self.run.finish()


class MLflow:
    """A run of the experiment MLFLOW_EXPERIMENT_NAME, by default motion-hmr."""

    def __init__(self, folder: Path, options: dict[str, Any], step: int) -> None:
        import mlflow  # pyright: ignore[reportMissingImports]

        self.mlflow = mlflow
        if "MLFLOW_EXPERIMENT_NAME" not in os.environ:
            mlflow.set_experiment("motion-hmr")
        tag = _name(folder)
        former = mlflow.search_runs(
            filter_string=f"tags.folder = '{tag}'", output_format="list", max_results=1
        )
        if former:
            mlflow.start_run(run_id=former[0].info.run_id)
        else:
            mlflow.start_run(run_name=folder.name, tags={"folder": tag})
            mlflow.log_params({name: str(value)[:500] for name, value in options.items()})

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Record figures."""
        self.mlflow.log_metrics(figures, step=step)

    def close(self) -> None:
        """End the run."""
        self.mlflow.end_run()


SERVICES: dict[str, Callable[[Path, dict[str, Any], int], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}


def require_package(service: Service) -> None:
    """Raise BadInput if the service's package is not installed."""
    if service != "none" and sys.modules.get(service) is None and find_spec(service) is None:
        raise BadInput(
            f"--tracking {service} needs a package: pip install '.[{service}]', or "
            f"pip install {PACKAGES[service]}"
        )


def open_tracker(service: Service, folder: Path, options: dict[str, Any], step: int) -> Tracker:
    """Return the tracker of a run that has made `step` steps.

    Raises BadInput if the service's package is not installed, or the service refuses.
    """
    if service == "none":
        return NoTracker()
    try:
        return SERVICES[service](folder, options, step)
    except ImportError as error:
        raise BadInput(
            f"--tracking {service} needs a package: pip install '.[{service}]', or "
            f"pip install {PACKAGES[service]} ({error})"
        ) from None
    except Exception as error:  # server, login and settings errors have the service's own classes
        reason = " ".join(str(error).split())
        raise BadInput(f"--tracking {service} cannot start: {reason}") from error


def _name(folder: Path) -> str:
    """Return a name that depends on the folder alone, so that a resumed run finds its record."""
    return sha256(str(folder.resolve()).encode()).hexdigest()[:16]
