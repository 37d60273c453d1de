"""New HDF5 files: built in memory, written in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from datagen.common.files import whole

FORMAT = ("v110", "v110")
"""Fixed, so that equal contents give equal bytes whatever the version of HDF5."""


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """Yield an empty HDF5 file; it appears under `path` if the block succeeds, else never.

    It is made in memory: HDF5 1.14 crashes the process when the disk is full as it closes a file.
    """
    with whole(path) as temporary:
        with h5py.File(
            str(temporary), "w", driver="core", backing_store=False, libver=FORMAT
        ) as file:
            yield file
            file.flush()
            image = file.id.get_file_image()
        temporary.write_bytes(image)
