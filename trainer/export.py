"""Write a run's network as safetensors, to share or to ship.

    python -m trainer.export --checkpoint runs/x/best.pt --out my-network

model.safetensors has the averaged weights and the body; config.json describes the network. Neither
can contain code. trainer.predict, trainer.evaluate and datagen.overlay take the .safetensors file
as --checkpoint.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from trainer.common import cli
from trainer.model.checkpoint import load_checkpoint, save_release


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Which network to write, and where."""

    checkpoint: Path
    """A run's last.pt or best.pt."""
    out: Path
    """Folder of model.safetensors and config.json."""


def export(cfg: ExportConfig) -> Path:
    """Write the network's two files; return their folder."""
    for path in save_release(cfg.out, load_checkpoint(cfg.checkpoint)):
        print(f"written  {path} ({path.stat().st_size / 1e6:.1f} MB)")
    network = shlex.quote(str(cfg.out / "model.safetensors"))
    print(f"Next: python -m datagen.overlay your.mp4 --checkpoint {network}")
    return cfg.out


def main() -> None:
    """Run the command line."""
    cli.run(ExportConfig, export, __doc__ or "")


if __name__ == "__main__":
    main()
