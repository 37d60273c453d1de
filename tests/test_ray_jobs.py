"""The literal cluster commands of README, on a Ray of this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = "--num-shards 1 --clips-per-shard 1 --clip-length 4 --image-size 64".split()
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}

pytestmark = pytest.mark.slow


def call(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    options = "--head --node-ip-address=127.0.0.1 --dashboard-host=127.0.0.1 --num-cpus=2".split()
    call("ray", "start", *options, cwd=ROOT)
    yield
    call("ray", "stop", cwd=ROOT)


def test_ray_job_submit(cluster: None, tmp_path: Path) -> None:
    submit = "ray job submit --address http://127.0.0.1:8265 --working-dir . --".split()
    launch = ["python", "-m", "datagen.launch", *SMALL, "--out", str(tmp_path / "x")]
    assert "succeeded" in call(*submit, *launch, cwd=ROOT)
    assert (tmp_path / "x" / "shard-000000.tar").exists()


def test_launch_runs_alone_in_another_folder_as_ray_submit_has_it(
    cluster: None, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "datagen" / "launch.py", tmp_path)
    call(sys.executable, "launch.py", *SMALL, "--address", "auto", cwd=tmp_path)
    assert (tmp_path / "shards" / "shard-000000.tar").exists()
