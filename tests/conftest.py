"""Where tests find the data that lies beside the project, if it does."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real videos and motion capture; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MOTION_HMR_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set MOTION_HMR_SHARED_DATA to use your copy")
    return folder
