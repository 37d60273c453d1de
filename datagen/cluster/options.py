"""Options of the workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from datagen.common.options import option, require

BackendName = Literal["ray", "processes", "serial"]
RAYS_OWN = ("address", "flow_gpus", "flow_actors")  # what the other backends have no use for


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Who does the work; none of this changes a byte of the result, but for --flow networks, whose
    last digits are those of the processor or GPU that they run on."""

    backend: BackendName = "ray"
    """`ray` runs on a local Ray or the cluster; the others need no Ray."""
    address: str | None = None
    """Ray cluster to join (`auto`, ray://…). Default: that of RAY_ADDRESS or of `ray start` on this
    machine, else a local Ray."""
    workers: int | None = None
    """Tasks at a time. Default: every core that Ray (or the machine) has."""
    plan: bool = False
    """Make nothing: measure a few samples of every stage and print what the run would cost, in
    core-hours, GPU-hours, GB and time on these workers."""
    flow_gpus: float | None = None
    """GPUs of a flow actor, whole or a part (0.5: two share one), which all tasks send their clips
    to; on Ray only, the other backends estimate flow on the processor. Default: 1 where the cluster
    has GPUs and --flow is a network, else there are no actors."""
    flow_actors: int | None = None
    """Flow actors. Default: as many as the GPUs allow. On --flow-gpus 0 they use the processor."""
    cache: Path | None = None
    """Folder on every node for copies of the library, if that is behind a URL; it grows to the
    library's size. Default: one in the system's folder for temporary files."""
    max_bad: float = 0.5
    """Stop when more than this share of videos, motions or shards is bad."""

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
            f"--backend {self.backend} takes no {' or '.join(given)}: that is for --backend ray",
        )
        require(0 <= self.max_bad <= 1, f"--max-bad must lie in [0, 1], got {self.max_bad}")

    def on(self, backend: BackendName) -> ClusterConfig:
        """Return the same for another backend: without what only Ray has, or this Ray's address."""
        return replace(self, backend=backend, **dict.fromkeys(RAYS_OWN))
