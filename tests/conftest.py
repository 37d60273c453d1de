"""Shared fixtures: data outside the project, a small data set, single-threaded torch."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]
CHECKED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for program in ("datagen", "trainer")
    for path in (ROOT / program).rglob("*.py")
    if "from jaxtyping import" in path.read_text()
    if path.name != "tracks.py"  # beartype would consume the first clip of its argument, a tqdm bar
]
"""Modules with shapes in signatures, whose arguments and results are checked in tests."""

install_import_hook(CHECKED, "type_checks.check")


@pytest.fixture(scope="session", autouse=True)
def heard_interrupts() -> None:
    """Receive Ctrl-C also in a background job, for which the shell ignores it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_digests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache digests of inputs in a folder of the tests instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTION_HMR_DIGESTS", str(tmp_path_factory.mktemp("digests")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real videos and motion capture; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MOTION_HMR_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set MOTION_HMR_SHARED_DATA to use your copy")
    return folder


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two shards of two clips of six 64-pixel frames, with its library; read only."""
    from datagen.launch import main as launch

    out = tmp_path_factory.mktemp("small") / "shards"
    options = (
        "--num-shards 2 --clips-per-shard 2 --clip-length 6 --image-size 64 --motion-limit 2 "
        "--stride 100 --video-limit 2 --windows-per-video 1 --backend serial"
    )
    assert launch([*options.split(), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, so that rounding is the same everywhere."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
