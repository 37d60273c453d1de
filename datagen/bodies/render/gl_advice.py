"""Finds out why OpenGL does not start, by trying it without each suspicious setting."""

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
"""Environment variable that marks a probe process."""
SECONDS = 60.0
"""Time limit of one probe; the first one reads pyrender and OpenGL from disk."""
_PROBE = (
    "import numpy as np; from datagen.bodies.render.renderer import Renderer; "
    "Renderer(np.diag([16, 16, 1]).astype(np.float32), 16, 16)"
)
_RULES = {
    "PYOPENGL_PLATFORM": "only egl and osmesa work without a display",
    "EGL_DEVICE_ID": "it must be the number of one of this machine's EGL devices, from 0",
    "PYTHONOPTIMIZE": "python -O removes the asserts with which pyrender opens EGL",
}


def advice(failures: str) -> str:
    """Return one sentence on the problem with OpenGL on this machine and its remedy.

    failures: the attempts and their errors.
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
            return f"{start}{name}={value!r} prevents it{rule}; unset it"
    if len(settings) > 1 and _works_without(*settings):
        return f"{start}{', '.join(settings)} together prevent it; unset them"
    return start + _missing()


def _settings() -> Iterator[tuple[str, str]]:
    """Yield the environment variables that may prevent OpenGL from starting."""
    for name, value in sorted(os.environ.items()):
        if name.startswith(PREFIXES) or name in OTHERS:
            yield name, value
    if sys.flags.optimize and "PYTHONOPTIMIZE" not in os.environ:
        yield "PYTHONOPTIMIZE", "-O"


def _works_without(*names: str) -> bool:
    """Return whether another process can render without these variables."""
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
    """Return the remedy if no setting is at fault."""
    if not ctypes.util.find_library("EGL"):
        if ctypes.util.find_library("OSMesa"):
            return (
                "install EGL (apt install libegl1 libgl1-mesa-dri); OSMesa is installed but fails"
            )
        return "install Mesa's EGL (apt install libegl1 libgl1-mesa-dri) or OSMesa (libosmesa6)"
    if not _software_driver():
        return "EGL has no driver; apt install libgl1-mesa-dri, or install the GPU's own driver"
    other = "OSMesa is installed as well and fails" if ctypes.util.find_library("OSMesa") else ""
    return "EGL and a driver are installed, so the driver must be at fault; " + (
        other or "OSMesa is an alternative: apt install libosmesa6"
    )


def _software_driver() -> bool:
    """Return whether Mesa's software driver is in one of the folders that packages use."""
    places = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
    patterns = ("dri/swrast_dri.so", "*/dri/swrast_dri.so", "libgallium*.so", "*/libgallium*.so")
    return any(next(Path(place).glob(pattern), None) for place in places for pattern in patterns)
