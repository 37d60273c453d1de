"""Fixtures of the trainer's tests."""

from pathlib import Path

import pytest
from trainer_fixtures import write_shards


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two shards of four toy clips of six frames."""
    return write_shards(tmp_path_factory.mktemp("toy"), shards=2, clips=4, frames=6, size=32)
