"""One thread for each worker: tasks run side by side, and floating-point sums are reproducible."""

from __future__ import annotations

import os
import sys

VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LP_NUM_THREADS": "1",  # llvmpipe, Mesa's software OpenGL
}
"""Environment of a worker; read by the libraries when they are first imported."""


def pin() -> None:
    """Pin this process's libraries to one thread, whether imported yet or not."""
    os.environ.update(VARIABLES)
    import cv2

    cv2.setNumThreads(1)
    if torch := sys.modules.get("torch"):  # else it reads the variables; it takes seconds to import
        torch.set_num_threads(1)
