"""The two networks: person detection and pose landmarks, run by LiteRT on the CPU."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "assets" / "detector"


class Model:
    """A network from datagen/assets/detector, called with one picture."""

    def __init__(self, name: str, threads: int = 1) -> None:
        """Load <name>.tflite, to run on `threads` threads."""
        from ai_edge_litert.interpreter import Interpreter

        with _quiet():
            self._network = Interpreter(str(FOLDER / f"{name}.tflite"), num_threads=threads)
            self._network.allocate_tensors()
        (given,) = self._network.get_input_details()
        self._input = given["index"]
        self._outputs = [one["index"] for one in self._network.get_output_details()]
        self.side = int(given["shape"][1])
        """Side of the square input, pixels."""

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        """Return its outputs (without the batch axis) for float32 [side,side,3]."""
        self._network.set_tensor(self._input, picture[None])
        self._network.invoke()
        return [self._network.get_tensor(index)[0] for index in self._outputs]


@contextmanager
def _quiet() -> Generator[None]:
    """Suppress the messages on its delegate that LiteRT's C++ code writes to stderr."""
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
