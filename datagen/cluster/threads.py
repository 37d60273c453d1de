"""One thread per worker: tasks run in parallel, and floating-point sums are reproducible."""

from __future__ import annotations

import os
import sys

VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LP_NUM_THREADS": "1",  # llvmpipe, Mesa's software OpenGL
}
"""Environment of a worker, read by the libraries on first import."""


def pin() -> None:
    """Limit this process's libraries to one thread, whether already imported or not."""
    os.environ.update(VARIABLES)
    import cv2

    cv2.setNumThreads(1)
    if torch := sys.modules.get(
        "torch"
    ):  # otherwise it reads the variables; importing it takes seconds
        torch.set_num_threads(1)
