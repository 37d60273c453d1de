#!/usr/bin/env bash
# Make .venv with the tested package versions (constraints.txt) and install the OpenGL library.
# `make setup` calls it; PYTHON chooses the interpreter. pip's own settings are honoured: on a
# machine without an NVIDIA GPU, PIP_EXTRA_INDEX_URL naming PyTorch's CPU index saves gigabytes.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}

install() { # install PACKAGE… by the system's package manager, or print the command to run
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
cat <<'EOF'
This makes an environment in .venv, in four stages:
  1 the environment itself   2 some 100 Python packages   3 PyOpenGL   4 the system's OpenGL library
It fetches about 0.7 GB and fills 2.1 GB of disk where pip finds PyTorch for the CPU (see README),
about 4 and 8 GB with CUDA, and takes some minutes. Stopped, the same command goes on.
EOF
stage() { printf '[%d s] %s\n' "$SECONDS" "$*"; }
large() { awk '/Downloading .*[0-9][0-9][0-9.]* MB|Downloading .* GB|^Installing/ {
    if (length($0) > 96) $0 = substr($0, 1, 95) "…"; print "  " $0; fflush()}'; }

stage "1/4 environment"
if [ ! -x .venv/bin/pip ]; then
    "$python" -m venv .venv 2>/dev/null || { # Debian's Python comes without venv
        rm -rf .venv
        venv=python3-venv # of the release's own python3
        [ "$python" = python3 ] || venv=$("$python" -c \
            'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        install "$venv"
        "$python" -m venv .venv
    }
fi
stage "2/4 packages of constraints.txt; only those of 10 MB or more are named"
# Unbuffered, so that the pipe shows what pip is doing; unpacking takes minutes without a word.
PYTHONUNBUFFERED=1 .venv/bin/pip install --disable-pip-version-check --use-pep517 --progress-bar off \
    -c constraints.txt -e '.[dev]' | large
stage "3/4 PyOpenGL"
# pyrender pins PyOpenGL 3.1.0, whose OSMesa backend cannot start; pip has no override for that.
.venv/bin/pip install -q --disable-pip-version-check --no-deps --use-pep517 \
    'PyOpenGL==3.1.10'

stage "4/4 the system's OpenGL library"
opengl='import ctypes.util, sys; sys.exit(not all(map(ctypes.util.find_library, ("EGL", "GL"))))'
mesa() { compgen -G '/usr/share/glvnd/egl_vendor.d/*.json' >/dev/null; }
if ! /usr/bin/env "$python" -c "$opengl" || ! mesa; then
    install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri
fi
stage "done; to use it in a terminal: source .venv/bin/activate"
