#!/usr/bin/env bash
# Make .venv with what was tested (constraints.txt) and get the system's OpenGL library.
# `make setup` calls it; PYTHON chooses the interpreter. pip's own settings are honoured: on a
# machine without an NVIDIA GPU, PIP_EXTRA_INDEX_URL naming PyTorch's CPU index saves gigabytes.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}

install() { # install PACKAGE… from the system's archive, or say what to run
    local admin=()
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then admin=(sudo); fi
    fi
    if command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || [ ${#admin[@]} -gt 0 ]; }; then
        "${admin[@]}" apt-get update -qq
        "${admin[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        echo "error: this machine lacks $*; run: sudo apt-get install -y $*" >&2
        exit 1
    fi
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: $python is older than Python 3.11; run: make setup PYTHON=python3.11" >&2
    exit 1
}
if [ ! -x .venv/bin/pip ]; then
    "$python" -m venv .venv 2>/dev/null || { # Debian's python3 comes without venv
        rm -rf .venv
        install python3-venv
        "$python" -m venv .venv
    }
fi
echo "Installing the Python packages of constraints.txt into .venv (minutes)"
.venv/bin/pip install -q --disable-pip-version-check --use-pep517 \
    -c constraints.txt -e '.[dev]'
# pyrender pins PyOpenGL 3.1.0, whose OSMesa backend cannot start; pip has no override for that.
.venv/bin/pip install -q --disable-pip-version-check --no-deps --use-pep517 \
    'PyOpenGL==3.1.10'

opengl='import ctypes.util, sys; sys.exit(not all(map(ctypes.util.find_library, ("EGL", "GL"))))'
mesa() { compgen -G '/usr/share/glvnd/egl_vendor.d/*.json' >/dev/null; }
if ! /usr/bin/env "$python" -c "$opengl" || ! mesa; then
    install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri
fi
