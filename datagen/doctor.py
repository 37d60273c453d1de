"""Say what this machine can do, and the command that mends each lack.

python -m datagen.doctor
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datagen import command
from datagen.errors import BadInput, BadMachine


@dataclass(frozen=True)
class DoctorConfig:
    """What to look at besides the machine."""

    body: Path | None = None
    """SMPL body model to try to load. Default: the embedded one."""
    out: Path = Path("shards")
    """Where shards would go."""


def doctor(cfg: DoctorConfig) -> int:
    """Print one line a check; return 0 if the pipeline can run here, else 1."""
    checks: list[tuple[str, Callable[[DoctorConfig], str]]] = [
        ("OpenGL", _opengl),
        ("body model", _body),
        ("video", _video),
        ("Ray", _ray),
        ("GPU", _gpu),
        ("disk", _disk),
    ]
    failed = 0
    for name, check in checks:
        try:
            good, text = True, check(cfg)
        except (BadInput, BadMachine) as error:
            good, text = False, str(error)
        failed += not good
        print(f"{'ok ' if good else 'BAD'}  {name:<11} {text}")
    print("This machine is ready." if not failed else f"{failed} things to mend.")
    return 1 if failed else 0


def _opengl(cfg: DoctorConfig) -> str:
    from datagen.bodies.camera import intrinsics
    from datagen.bodies.render import Renderer
    from datagen.config import BodiesConfig

    bodies = BodiesConfig()
    renderer = Renderer(intrinsics(bodies), bodies.width, bodies.height)
    return f"{renderer.backend}: {renderer.driver}"


def _body(cfg: DoctorConfig) -> str:
    from datagen.bodies.model import load_bodies

    bodies = load_bodies(cfg.body)
    sizes = ", ".join(f"{name} ({body.num_vertices} vertices)" for name, body in bodies.items())
    return f"{cfg.body or 'embedded open bodies'}: {sizes}"


def _video(cfg: DoctorConfig) -> str:
    import cv2

    backends = [cv2.videoio_registry.getBackendName(b) for b in cv2.videoio_registry.getBackends()]
    if "FFMPEG" not in backends:
        raise BadInput(
            f"OpenCV {cv2.__version__} reads video through {backends} only, not FFmpeg; "
            "run: pip install --force-reinstall opencv-python-headless"
        )
    return f"OpenCV {cv2.__version__} with FFmpeg"


def _ray(cfg: DoctorConfig) -> str:
    import ray

    return f"{ray.__version__}; --backend processes works without"


def _gpu(cfg: DoctorConfig) -> str:
    import torch

    if not torch.cuda.is_available():
        return f"none (torch {torch.__version__}); flow and training run on the CPU"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (torch {torch.__version__})"


def _disk(cfg: DoctorConfig) -> str:
    folder = cfg.out.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    if free < 1:
        raise BadInput(f"{free:.1f} GB free under {folder}; choose another --out")
    return f"{free:.0f} GB free under {folder}"


def main(args: list[str] | None = None) -> int:
    """Run the checks with command line `args` and return the exit status."""
    return command.run(DoctorConfig, doctor, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
