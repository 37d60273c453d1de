"""Options of stage 4, optical flow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from datagen.common.options import require

FlowName = Literal["dis", "flownets", "pwc", "pwc+dis", "raft_small", "raft_large"]


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Stage 4: optical flow, frozen."""

    flow: FlowName | str = "pwc+dis"
    """Flow estimator. `flownets` is the paper's FlowNet; `pwc` is a narrow version of its successor
    PWC-Net; `dis` is OpenCV's, the fastest, and needs no weights; `pwc+dis` is PWC-Net's flow
    refined by DIS; `raft_small` and `raft_large` are slower and more accurate; `my_module:factory`
    is your own (CONTRIBUTING.md)."""
    flow_weights: Path | None = None
    """Checkpoint. flownets: flownets_EPE1.951.pth from ClementPinard/FlowNetPytorch or the output
    of `python -m datagen.flow.train` (the width is read from the file); pwc, pwc+dis: the output of
    the same command with --network pwc; default for both: the embedded narrow network. raft:
    raft-small.pth, raft-sintel.pth or raft-things.pth from princeton-vl/RAFT."""
    flow_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the networks. `auto` is bfloat16 if the processor or GPU supports it natively,
    otherwise float32; bfloat16 was as accurate in all our tests and up to twice as fast."""
    raft_iterations: int = 12
    """Refinement steps of RAFT."""

    @property
    def refined(self) -> bool:
        """Whether DIS refines the flow of a network."""
        return self.flow.endswith("+dis")

    @property
    def network(self) -> FlowConfig:
        """The configuration of the network alone, without DIS."""
        return replace(self, flow=self.flow.removesuffix("+dis"))

    def __post_init__(self) -> None:
        own = ":" in self.flow
        require(
            own or self.flow in get_args(FlowName),
            f"--flow must be one of {', '.join(get_args(FlowName))}, or module:factory, "
            f"got {self.flow}",
        )
        sources = {
            "raft_small": "raft-small.pth from princeton-vl/RAFT",
            "raft_large": "raft-sintel.pth or raft-things.pth from princeton-vl/RAFT",
        }
        require(
            self.flow not in sources or self.flow_weights is not None,
            f"--flow {self.flow} needs --flow-weights FILE ({sources.get(self.flow)})",
        )
        require(
            self.flow != "dis" or self.flow_weights is None,
            "--flow dis has no weights; name the network with --flow or omit --flow-weights",
        )
        require(
            self.raft_iterations >= 1,
            f"--raft-iterations must be at least 1, got {self.raft_iterations}",
        )
        require(
            self.flow in sources or self.raft_iterations == FlowConfig.raft_iterations,
            f"--flow {self.flow} has no refinement steps; name a RAFT with --flow or omit "
            "--raft-iterations",
        )
        require(
            (self.flow != "dis" and not own) or self.flow_dtype == "auto",
            f"--flow {self.flow} chooses its precision; name a network with --flow or omit "
            "--flow-dtype",
        )
