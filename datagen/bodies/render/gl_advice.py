"""Why OpenGL does not start here: found by trying it without each setting that may do harm."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PREFIXES = ("EGL_", "GALLIUM_", "LIBGL_", "MESA_", "PYOPENGL_", "__EGL_", "__GLX_", "__GL_")
OTHERS = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONOPTIMIZE")
PROBING = "MOTION_HMR_OPENGL_PROBE"
"""Set in a process that only tries."""
SECONDS = 60.0
"""For one try; a first one reads pyrender and OpenGL from the disk."""
_PROBE = (
    "import numpy as np; from datagen.bodies.render.renderer import Renderer; "
    "Renderer(np.diag([16, 16, 1]).astype(np.float32), 16, 16)"
)
_RULES = {
    "PYOPENGL_PLATFORM": "only egl and osmesa draw without a display",
    "EGL_DEVICE_ID": "it must be the number of one of this machine's EGL devices, from 0",
    "PYTHONOPTIMIZE": "python -O drops the asserts in which pyrender opens EGL",
}


def advice(failures: str) -> str:
    """Return one sentence on what is wrong with OpenGL on this machine and what to do.

    failures: what was tried and how it ended.
    """
    start = f"no OpenGL without a display ({failures}): "
    if PROBING in os.environ:
        return start
    settings = dict(_settings())
    for name, value in settings.items():
        if _works_without(name):
            rule = f", {_RULES[name]}" if name in _RULES else ""
            if name == "PYOPENGL_PLATFORM" and value in ("egl", "osmesa"):
                rule = f", as {value} does not start here"
            return f"{start}{name}={value!r} is in the way{rule}; unset it"
    if len(settings) > 1 and _works_without(*settings):
        return f"{start}{', '.join(settings)} are in the way together; unset them"
    return start + _missing()


def _settings() -> Iterator[tuple[str, str]]:
    """Yield the variables of the environment that may keep OpenGL from starting."""
    for name, value in sorted(os.environ.items()):
        if name.startswith(PREFIXES) or name in OTHERS:
            yield name, value
    if sys.flags.optimize and "PYTHONOPTIMIZE" not in os.environ:
        yield "PYTHONOPTIMIZE", "-O"


def _works_without(*names: str) -> bool:
    """Return whether another process, without these variables, can draw."""
    environment = {name: value for name, value in os.environ.items() if name not in names}
    root = str(Path(__file__).parents[3])
    paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {PROBING: "1", "PYTHONPATH": os.pathsep.join(paths)}
    optimize = [f"-{'O' * sys.flags.optimize}"] if sys.flags.optimize else []
    if "PYTHONOPTIMIZE" in names:
        optimize = []
    command = [sys.executable, *optimize, "-c", _PROBE]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _missing() -> str:
    """Return what to do where no setting is at fault."""
    if not ctypes.util.find_library("EGL"):
        if ctypes.util.find_library("OSMesa"):
            return "install EGL (apt install libegl1 libgl1-mesa-dri); OSMesa is there but fails"
        return "install Mesa's EGL (apt install libegl1 libgl1-mesa-dri) or OSMesa (libosmesa6)"
    if not _software_driver():
        return "EGL is there but has no driver; apt install libgl1-mesa-dri, or a GPU's own driver"
    other = "OSMesa is there as well and fails" if ctypes.util.find_library("OSMesa") else ""
    return "EGL and a driver are there, so a driver must be at fault; " + (
        other or "another way is OSMesa: apt install libosmesa6"
    )


def _software_driver() -> bool:
    """Return whether Mesa's driver that needs no GPU is in one of the places where packages put
    it."""
    places = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
    patterns = ("dri/swrast_dri.so", "*/dri/swrast_dri.so", "libgallium*.so", "*/libgallium*.so")
    return any(next(Path(place).glob(pattern), None) for place in places for pattern in patterns)
