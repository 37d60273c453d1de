"""Options of the workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from datagen.common.options import option, require

BackendName = Literal["ray", "processes", "serial"]
RAYS_OWN = ("address", "flow_gpus", "flow_actors")  # options that only Ray uses


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Where the work runs. None of this changes a byte of the result, except that the last digits
    of --flow networks depend on the processor or GPU."""

    backend: BackendName = "ray"
    """`ray` runs on a local Ray or a cluster; the others do not need Ray."""
    address: str | None = None
    """Ray cluster to join (`auto`, ray://…). Default: the one of RAY_ADDRESS or of `ray start` on
    this machine, otherwise a local Ray."""
    workers: int | None = None
    """Number of tasks at a time. Default: all cores of Ray (or of the machine)."""
    plan: bool = False
    """Make nothing; measure a few samples of every stage and print the estimated cost of the run in
    core-hours, GPU-hours, GB and time on these workers."""
    flow_gpus: float | None = None
    """GPUs per flow actor, an integer or a fraction (0.5: two actors share one). All tasks send
    their clips to the actors. Only on Ray; the other backends estimate flow on the CPU. Default: 1
    if the cluster has GPUs and --flow is a network, otherwise there are no actors."""
    flow_actors: int | None = None
    """Number of flow actors. Default: as many as the GPUs allow. With --flow-gpus 0 they use the
    CPU."""
    cache: Path | None = None
    """Folder on every node for copies of the library, if the library is at a URL; it grows to the
    library's size. Default: one in the system's temporary folder."""
    max_bad: float = 0.5
    """Stop if more than this share of videos, motions or shards is bad."""

    def __post_init__(self) -> None:
        require(
            self.workers is None or self.workers >= 1,
            f"--workers must be at least 1, got {self.workers}",
        )
        gpus, actors = self.flow_gpus, self.flow_actors
        require(
            gpus is None or 0 <= gpus < 1 or gpus == int(gpus) >= 1,
            f"--flow-gpus must be a whole number or lie in [0, 1), got {gpus}",
        )
        require(actors is None or actors >= 0, f"--flow-actors must be at least 0, got {actors}")
        given = [option(name) for name in RAYS_OWN if getattr(self, name) is not None]
        require(
            self.backend == "ray" or not given,
            f"--backend {self.backend} does not take {' or '.join(given)}: only --backend ray does",
        )
        require(0 <= self.max_bad <= 1, f"--max-bad must lie in [0, 1], got {self.max_bad}")

    def on(self, backend: BackendName) -> ClusterConfig:
        """Return the options for another backend, without those that only Ray has."""
        return replace(self, backend=backend, **dict.fromkeys(RAYS_OWN))
