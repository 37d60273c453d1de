"""What a door says outside the environment of `make setup`, instead of a traceback."""

from __future__ import annotations

import sys
from types import TracebackType

PACKAGES = frozenset(
    ("ai_edge_litert", "av", "cv2", "docstring_parser", "fsspec", "h5py", "matplotlib", "numpy",
     "OpenGL", "PIL", "pyrender", "ray", "scipy", "skimage", "smplx", "torch", "tqdm", "tyro",
     "upath")
)  # fmt: skip
"""What pyproject.toml asks for, as it is imported."""


def watch() -> None:
    """From now on a missing package ends the program with status 2 and a sentence.

    Costs nothing until then, and leaves every other error, a bug's failed import too, as it is.
    """
    sys.excepthook = _say


def sentence(error: BaseException) -> str:
    """Return what to say of an error; empty if it is not one of our packages that is missing."""
    if not isinstance(error, ModuleNotFoundError) or error.name not in PACKAGES:
        return ""
    return (
        f"{sys.executable} does not have the package {error.name}; run `make setup` once, then "
        "`source .venv/bin/activate` in every new terminal"
    )


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if said := sentence(error):
        print(f"error: {said}", file=sys.stderr)
        sys.exit(2)
    sys.__excepthook__(kind, error, trace)
