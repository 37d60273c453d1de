"""Check this machine; print the command that fixes each problem.

    python -m datagen.doctor

The exit status is 0 if the pipeline can run here, else 1.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datagen.cluster import ray_address
from datagen.common import cli
from datagen.common.cli import count
from datagen.common.errors import BadInput, BadMachine

GB_A_WORKER = 1.5
"""Memory that a worker may need (benchmarks/pipeline.py measures less than 1)."""
CODECS = {"h264": "h264", "hevc": "hevc", "vp9": "vp9", "av1": "libdav1d"}
"""Common video codecs and their decoders."""
INSTALL = "pip install -c constraints.txt"


@dataclass(frozen=True)
class DoctorConfig:
    """What to check besides the machine."""

    body: Path | None = None
    """SMPL body model to test, a file or a folder. Default: the embedded one."""
    joint_regressor: Path | None = None
    """Joint regressor to test with it."""
    out: Path = Path("shards")
    """Intended output folder of the shards."""


def doctor(cfg: DoctorConfig) -> int:
    """Print one line per check; return 0 if the pipeline can run here, else 1."""
    checks: list[tuple[str, Callable[[DoctorConfig], str]]] = [
        ("OpenGL", _opengl),
        ("body model", _body),
        ("video", _video),
        ("Ray", _ray),
        ("GPU", _gpu),
        ("memory", _memory),
        ("disk", _disk),
    ]
    failed = 0
    for name, check in checks:
        try:
            good, text = True, check(cfg)
        except (BadInput, BadMachine) as error:
            good, text = False, str(error)
        except ImportError as error:
            package = PACKAGES.get(error.name or "", error.name)
            good, text = False, f"{error}; run: {INSTALL} {package}"
        failed += not good
        print(f"{'ok ' if good else 'BAD'}  {name:<11} {text}")
    fix = f"{count(failed, 'problem')} to fix; run this again afterwards."
    print(fix if failed else "This machine is ready.")
    return 1 if failed else 0


PACKAGES = {"cv2": "opencv-python-headless", "OpenGL": "PyOpenGL", "skimage": "scikit-image"}
"""Packages whose import name differs."""


def _opengl(cfg: DoctorConfig) -> str:
    from datagen.bodies.options import BodiesConfig
    from datagen.bodies.render.camera import intrinsics
    from datagen.bodies.render.renderer import Renderer

    bodies = BodiesConfig()
    renderer = Renderer(intrinsics(bodies), bodies.width, bodies.height)
    return f"{renderer.backend}: {renderer.driver}"


def _body(cfg: DoctorConfig) -> str:
    from datagen.bodies.smpl.model import load_bodies

    if cfg.joint_regressor is not None and cfg.body is None:
        raise BadInput("--joint-regressor is for SMPL's surface; give --body with it")
    bodies = load_bodies(cfg.body, cfg.joint_regressor)
    sizes = ", ".join(f"{name} ({body.num_vertices} vertices)" for name, body in bodies.items())
    return f"{cfg.body or 'embedded open bodies'}: {sizes}"


def _video(cfg: DoctorConfig) -> str:
    import av
    import cv2

    backends = [cv2.videoio_registry.getBackendName(b) for b in cv2.videoio_registry.getBackends()]
    if "FFMPEG" not in backends:
        raise BadMachine(
            f"OpenCV {cv2.__version__} reads video through {backends} only, not FFmpeg; "
            f"run: {INSTALL} --force-reinstall opencv-python-headless"
        )
    lacking = [name for name, decoder in CODECS.items() if decoder not in av.codecs_available]
    if lacking:
        raise BadMachine(
            f"PyAV {av.__version__} has no decoder for {', '.join(lacking)}; "
            f"run: {INSTALL} --force-reinstall --only-binary av av"
        )
    return f"OpenCV {cv2.__version__} with FFmpeg, PyAV {av.__version__}: {', '.join(CODECS)}"


def _ray(cfg: DoctorConfig) -> str:
    try:
        import ray
    except ImportError as error:
        raise BadMachine(
            f"none ({error}); use --backend processes, or run: {INSTALL} 'ray[default]'"
        ) from None
    joins = ray_address.joined(None)
    return f"{ray.__version__}, {f'joins {joins}' if joins else 'starts a local one'}"


def _gpu(cfg: DoctorConfig) -> str:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"{', '.join(names)} (torch {torch.__version__})"
    if shutil.which("nvidia-smi") is None:
        return f"none (torch {torch.__version__}); flow and training run on the CPU"
    smi = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    if smi.returncode:
        raise BadMachine(
            f"nvidia-smi fails: {(smi.stdout + smi.stderr).strip().splitlines()[-1]}; reinstall "
            "the NVIDIA driver, on Debian: sudo apt-get install --reinstall nvidia-driver"
        )
    if torch.version.cuda is None:
        raise BadMachine(
            f"torch {torch.__version__} has no CUDA, but this machine has {smi.stdout.strip()}; "
            "run: pip uninstall -y torch torchvision, then make -B setup without PyTorch's CPU "
            "index"
        )
    raise BadMachine(
        f"torch {torch.__version__} needs CUDA {torch.version.cuda}, which the driver is too old "
        "for; run: sudo apt-get install --only-upgrade nvidia-driver"
    )


def _memory(cfg: DoctorConfig) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = _memory_left() / 1e9
    fit = int(free / GB_A_WORKER)
    if not fit:
        raise BadMachine(
            f"{free:.1f} GB of memory are free, but a worker may need {GB_A_WORKER}; close programs"
        )
    text = f"{free:.1f} GB free for {count(cores or 1, 'core')}"
    if cores and fit < cores:
        return f"{text}: give --workers {fit} to datagen.launch ({GB_A_WORKER} GB each)"
    return text


def _memory_left() -> int:
    """Return the bytes of available memory, also in a container."""
    left = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, IndexError):
        line = Path("/proc/meminfo").read_text().split("MemAvailable:")[1]
        left = int(line.split()[0]) * 1024
    with contextlib.suppress(OSError, ValueError):  # "max" without a limit
        left = min(left, group_left(Path("/sys/fs/cgroup")))
    return left


def group_left(group: Path) -> int:
    """Return the bytes available to a control group (version 2), including its page cache.

    Raises OSError or ValueError if it has no limit.
    """
    limit = int((group / "memory.max").read_text())
    used = int((group / "memory.current").read_text())
    with contextlib.suppress(OSError, KeyError):
        lines = (group / "memory.stat").read_text().splitlines()
        used -= int(dict(line.split() for line in lines)["inactive_file"])
    return limit - used


def _disk(cfg: DoctorConfig) -> str:
    folder = cfg.out.expanduser().resolve()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise BadInput(f"{folder} is not writable; run: sudo chown $USER {folder}")
    free = shutil.disk_usage(folder).free / 1e9
    if free < 1:
        raise BadInput(
            f"only {free:.1f} GB free in {folder}; choose another --out, and see how much a run "
            "needs with python -m datagen.launch --plan"
        )
    return f"{free:.0f} GB free in {folder}"


def main(args: list[str] | None = None) -> int:
    """Run the checks with command line `args` and return the exit status."""
    return cli.run(DoctorConfig, doctor, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
