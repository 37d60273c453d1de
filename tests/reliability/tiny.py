"""The smallest launch that makes everything a launch makes, and programs run by fork.

A process that has imported the programs and read the bodies runs them in children by fork, which
saves each of them seconds of a core. It must not open OpenGL or start threads itself.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import util
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (ROOT, HERE.parent / "fixtures", HERE.parent / "datagen/bodies/motion", HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from motion_files import bvh_text  # noqa: E402

OPTIONS = (
    "--clips-per-shard 1 --clip-length 4 --image-size 32 --stride 8 --max-clip-frames 8 "
    "--width 96 --height 72 --video-limit 2 --windows-per-video 1"
).split()
IMPORTED = (
    "datagen.launch datagen.launcher.run datagen.launcher.tasks datagen.backgrounds.library "
    "datagen.bodies.library datagen.bodies.render.renderer datagen.clips.compose datagen.flow.dis "
    "skimage.segmentation smplx pyrender torch webdataset"
).split()
FAILED = 70
"""Exit status of a child that raised."""
NAME = 15  # prctl's PR_SET_NAME


def options(folder: Path, shards: int) -> list[str]:
    """Write two motions into a folder; return the options of a launch of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, degrees in (("a", 20), ("b", -25)):
        text = bvh_text(12, LeftLeg_X=30, RightArm_Z=degrees)
        (folder / f"{name}.bvh").write_text(text)
    return [*OPTIONS, "--motions", str(folder), "--num-shards", str(shards)]


def warm() -> None:
    """Import what a launch imports, and read the bodies."""
    for name in IMPORTED:
        importlib.import_module(name)
    sys.modules["datagen.bodies.smpl.model"].kept_bodies(None, None)


def fork(module: str, arguments: Sequence[str], log: Path) -> int:
    """Run a program of ours in a child of this process; return its number."""
    process = os.fork()
    if process:
        return process
    code = FAILED
    try:
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        util.spawnv_passfds = _forked  # type: ignore[assignment]
        sys.argv = [module, *arguments]
        code = importlib.import_module(module).main() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def run(module: str, arguments: Sequence[str], log: Path) -> None:
    """Run a program of ours to its end. AssertionError if it fails."""
    _, status = os.waitpid(fork(module, arguments, log), 0)
    assert status == 0, log.read_text()[-2000:]


def name(process: int) -> str:
    """Return a process's name: `spawned` or `tracker` of a child of a fork."""
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip()
    return ""


def _forked(path: bytes, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
    """Start a process of multiprocessing's as `spawn` does, but for the imports.

    Like a new interpreter it has no open files, signal handlers and modules of the parent's state
    but those passed on; modules are imported already.
    """
    process = os.fork()
    if process:
        return process
    try:
        command = arguments[arguments.index("-c") + 1]
        title = b"tracker" if "resource_tracker" in command else b"spawned"
        ctypes.CDLL(None).prctl(NAME, title, 0, 0, 0)
        before = -1
        for kept in [*sorted({0, 1, 2, *descriptors}), os.sysconf("SC_OPEN_MAX")]:
            if kept > before + 1:  # closerange(0, 0) closes all
                os.closerange(before + 1, kept)
            before = kept
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with suppress(OSError, ValueError):
                if callable(signal.getsignal(number)):
                    signal.signal(number, signal.SIG_DFL)
        sys.argv = ["-c", *arguments[arguments.index("-c") + 2 :]]
        exec(command, {})
    except SystemExit as leaving:
        os._exit(leaving.code if isinstance(leaving.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(FAILED)
