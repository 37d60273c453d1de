"""Opens an OpenGL context without a display: pyrender's, with EGL or else OSMesa."""

from __future__ import annotations

import os
import sys
from typing import Any, cast

import numpy as np

from datagen.bodies.render.gl_advice import advice
from datagen.common.errors import BadMachine

PLATFORMS = ("egl", "osmesa")


def open_platform(width: int, height: int) -> tuple[str, Any]:
    """Return (name, pyrender platform) with a current context: EGL, or else OSMesa.

    PYOPENGL_PLATFORM selects one of them; otherwise EGL is tried first. Raises BadMachine with the
    cause if neither starts.
    """
    os.environ.setdefault(
        "LP_NUM_THREADS", "1"
    )  # one core per worker; more threads would only wait
    chosen = os.environ.get("PYOPENGL_PLATFORM")
    failures = []
    if chosen and chosen not in PLATFORMS:
        raise BadMachine(advice(f"PYOPENGL_PLATFORM is {chosen}"))
    for name in (chosen,) if chosen else PLATFORMS:
        os.environ["PYOPENGL_PLATFORM"] = name  # read when OpenGL is imported
        try:
            return name, _start(name, width, height)
        except (ImportError, AttributeError, AssertionError, RuntimeError, ValueError) as error:
            failures.append(f"{name}: {type(error).__name__} {error}")
        for module in [m for m in sys.modules if m.split(".")[0] in ("OpenGL", "pyrender")]:
            del sys.modules[module]  # imported for the platform that failed
        del os.environ["PYOPENGL_PLATFORM"]
    if chosen:
        os.environ["PYOPENGL_PLATFORM"] = chosen
    raise BadMachine(advice("; ".join(failures)))


def _start(name: str, width: int, height: int) -> Any:
    """Return pyrender's platform with that name and a current context."""
    np.infty = np.inf  # type: ignore[attr-defined]  # pyrender 0.1.45 is older than numpy 2
    import pyglet
    from OpenGL.error import Error

    # pyrender imports its window viewer, which would need X11's libraries.
    pyglet.options["headless"] = True
    if name == "egl":
        from pyrender.platforms import egl

        class EGLPlatform(egl.EGLPlatform):
            """pyrender's platform, which on deletion would also close the display that renderers
            share."""

            def delete_context(self) -> None:
                display, context = self._egl_display, self._egl_context
                self._egl_display = self._egl_context = None
                if context is None:
                    return
                gl = cast(Any, egl.egl)  # its names are created at run time
                if gl.eglGetCurrentContext().address == context.address:
                    none = gl.EGL_NO_SURFACE, gl.EGL_NO_SURFACE, gl.EGL_NO_CONTEXT
                    gl.eglMakeCurrent(display, *none)
                gl.eglDestroyContext(display, context)

        device = egl.get_device_by_index(int(os.environ.get("EGL_DEVICE_ID", "0")))
        platform = EGLPlatform(width, height, device=device)
    else:
        from pyrender.platforms.osmesa import OSMesaPlatform

        platform = OSMesaPlatform(width, height)
    try:
        platform.init_context()
        platform.make_current()
    except Error as error:
        raise RuntimeError(" ".join(f"{error}".split()).split(", cArguments")[0]) from error
    return platform
