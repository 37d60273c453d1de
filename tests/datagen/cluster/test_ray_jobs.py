"""The literal cluster commands of README, on a Ray of this machine."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_nodes import ENVIRONMENT, free_port, node

ROOT = Path(__file__).resolve().parents[3]
SMALL = "--num-shards 1 --clips-per-shard 1 --clip-length 4 --image-size 64".split()
pytestmark = pytest.mark.slow


def call(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, str]]:
    """The addresses of a Ray of its own: of its dashboard, and of its head."""
    dashboard, port = free_port(), free_port()
    options = f"--head --node-ip-address=127.0.0.1 --port={port} --num-cpus=2".split()
    options += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    with node(*options):
        until = time.monotonic() + 120
        jobs = ["ray", "job", "list", "--address", f"http://127.0.0.1:{dashboard}"]
        while subprocess.run(jobs, env=ENVIRONMENT, capture_output=True).returncode:
            assert time.monotonic() < until
        yield f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{port}"


def test_ray_job_submit(cluster: tuple[str, str], tmp_path: Path) -> None:
    submit = f"ray job submit --address {cluster[0]} --working-dir . --".split()
    launch = ["python", "-m", "datagen.launch", *SMALL, "--out", str(tmp_path / "x")]
    assert "succeeded" in call(*submit, *launch, cwd=ROOT)
    assert (tmp_path / "x" / "shard-000000.tar").exists()


def test_launch_runs_alone_in_another_folder_as_ray_submit_has_it(
    cluster: tuple[str, str], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "datagen" / "launch.py", tmp_path)
    call(sys.executable, "launch.py", *SMALL, "--address", cluster[1], cwd=tmp_path)
    assert (tmp_path / "shards" / "shard-000000.tar").exists()
