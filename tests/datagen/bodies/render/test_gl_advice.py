"""Where OpenGL does not start, the sentence names the setting that is in the way."""

import os
import subprocess
import sys

import pytest

from datagen.bodies.render import gl_advice

OPEN = """
from datagen.bodies.render.renderer import Renderer
import numpy as np
Renderer(np.diag([16, 16, 1]).astype(np.float32), 16, 16)
"""
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "setting",
    [
        "PYOPENGL_PLATFORM=glx",
        pytest.param("PYOPENGL_PLATFORM=EGL", marks=slow),
        pytest.param("PYOPENGL_PLATFORM=pyglet", marks=slow),
        pytest.param("EGL_DEVICE_ID=", marks=slow),
        pytest.param("EGL_DEVICE_ID=99", marks=slow),
        pytest.param("MESA_GL_VERSION_OVERRIDE=2.1", marks=slow),
        pytest.param("MESA_GLSL_VERSION_OVERRIDE=110", marks=slow),
        pytest.param("LIBGL_DRIVERS_PATH=/nowhere", marks=slow),
        pytest.param("__EGL_VENDOR_LIBRARY_FILENAMES=/nowhere.json", marks=slow),
        pytest.param("PYTHONOPTIMIZE=1", marks=slow),
    ],
)
def test_the_setting_that_is_in_the_way_is_named(setting: str) -> None:
    """Other settings, which do no harm, are not; nor is what is installed to be installed."""
    name, _, value = setting.partition("=")
    harmless = {"LIBGL_ALWAYS_SOFTWARE": "1", "MESA_NO_ERROR": "0"}
    environment = {**os.environ, **harmless, name: value}
    done = subprocess.run([sys.executable, "-c", OPEN], env=environment, capture_output=True)
    sentence = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode and "BadMachine: no OpenGL without a display" in sentence
    assert f"{name}={value!r} prevents it" in sentence and sentence.endswith("; unset it")
    assert "install" not in sentence and not any(word in sentence for word in harmless)


def test_mesa_is_to_be_installed_only_where_it_is_missing(monkeypatch) -> None:
    for variable in gl_advice.OTHERS:
        monkeypatch.delenv(variable, raising=False)
    there = {"EGL": "libEGL.so.1"}
    monkeypatch.setattr("ctypes.util.find_library", there.get)
    monkeypatch.setattr(gl_advice, "_settings", dict)
    monkeypatch.setattr(gl_advice, "_software_driver", lambda: True)
    assert gl_advice.advice("egl: fails").endswith(
        "the driver must be at fault; OSMesa is an alternative: apt install libosmesa6"
    )
    monkeypatch.setattr(gl_advice, "_software_driver", lambda: False)
    assert "apt install libgl1-mesa-dri" in gl_advice.advice("egl: fails")
    there.clear()
    assert "apt install libegl1 libgl1-mesa-dri" in gl_advice.advice("egl: fails")
