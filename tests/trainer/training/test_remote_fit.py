"""Losses are bit-identical for any location of shards, server faults and resumed runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faulty_server import serving
from trainer_fixtures import write_shards

import trainer.fit
from trainer.training.options import FitConfig

ROOT = Path(__file__).resolve().parents[3]
STEPS = 200


def command(shards: str | Path, out: Path, *more: str, steps: int = STEPS) -> list[str]:
    options = (
        f"--steps {steps} --batch-size 2 --inputs keypoints --keypoints coordinates --head joints "
        "--lstm-width 8 --device cpu --precision fp32 --threads 1 --shuffle 6 --log-every 1 "
        "--save-every 20 --workers 1"
    )
    return [sys.executable, "-m", "trainer.fit", "--shards", str(shards), "--out", str(out),
            *options.split(), *more]  # fmt: skip


def losses(out: Path) -> list[tuple]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["pa_mpjpe"]) for line in lines if "loss" in line]


def fit(shards: str | Path, out: Path, *more: str, **changes: int) -> list[tuple]:
    done = subprocess.run(
        command(shards, out, *more, **changes), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return losses(out)


def killed_and_resumed(shards: str | Path, out: Path) -> list[tuple]:
    """Kill -9 a run after its first checkpoints, resume it, and return all losses."""
    process = subprocess.Popen(command(shards, out), cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (out / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return fit(shards, out, "--resume", str(out / "last.pt"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "shards"
    return write_shards(folder, shards=5, clips=6, frames=4, size=32)


@pytest.mark.usefixtures("one_thread")
def test_a_faulty_server_gives_the_losses_of_a_folder(toy, tmp_path):
    def run(shards: str, out: Path) -> list[tuple]:
        options = FitConfig(
            shards=(shards,), out=out, steps=6, batch_size=2, inputs="keypoints",
            keypoints="coordinates", head="joints", lstm_width=8, device="cpu", precision="fp32",
            shuffle=6, log_every=1, workers=1,
        )  # fmt: skip
        return losses(trainer.fit.fit(options))

    exact = run(str(toy), tmp_path / "local")
    assert len(exact) == 6
    with serving(toy, "drop") as (http, _):
        assert run(http, tmp_path / "http") == exact


@pytest.fixture(scope="module")
def local(toy, tmp_path_factory) -> list[tuple]:
    exact = fit(toy, tmp_path_factory.mktemp("local") / "run")
    assert len(exact) == STEPS
    return exact


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "drop", "truncate", "503", "slow", "no ranges"])
def test_200_steps_over_http_equal_those_of_the_folder(toy, local, tmp_path, kind):
    with serving(toy, kind) as (http, _):
        assert fit(http, tmp_path / "run") == local
        if kind in ("none", "drop"):
            assert killed_and_resumed(http, tmp_path / "killed") == local
            cache = ("--cache", str(tmp_path / "cache"), "--cache-size", "1GB")
            assert fit(http, tmp_path / "cached", *cache) == local


@pytest.mark.slow
def test_200_steps_of_a_folder_killed_and_resumed(toy, local, tmp_path):
    assert killed_and_resumed(toy, tmp_path / "run") == local


@contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """Yield the URL of a bucket with a folder's files, on a separate server."""
    s3fs = pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    port = "5797"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", port], stderr=subprocess.DEVNULL
    )
    before = dict(os.environ)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    try:
        files = s3fs.S3FileSystem(skip_instance_cache=True)
        for _ in range(240):
            try:
                files.mkdir("motion")
                break
            except Exception:
                time.sleep(0.5)
        for path in folder.iterdir():
            files.pipe(f"motion/shards/{path.name}", path.read_bytes())
        yield "s3://motion/shards"
    finally:
        server.terminate()
        server.wait()
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.slow
def test_200_steps_from_a_bucket_equal_those_of_the_folder(toy, local, tmp_path):
    with bucket(toy) as url:
        assert fit(url, tmp_path / "run") == local
        assert killed_and_resumed(url, tmp_path / "killed") == local
        done = subprocess.run(
            command("s3://nobody-made-this/shards", tmp_path / "none"),
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 2 and done.stderr.startswith("error: s3://nobody-made-this")
        assert done.stderr.count("\n") == 1
        os.environ |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        done = subprocess.run(
            command(url, tmp_path / "refused"), cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 2 and "check the credentials" in done.stderr


@pytest.mark.slow
def test_a_permanently_unreachable_server_ends_a_run_in_one_sentence(toy, tmp_path):
    with serving(toy) as (http, _):
        out = tmp_path / "run"
        process = subprocess.Popen(
            command(http, out), cwd=ROOT, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
        while not (out / "last.pt").exists():
            assert process.poll() is None
            time.sleep(0.02)
    _, text = process.communicate(timeout=300)
    assert process.returncode == 2
    (sentence,) = (line for line in text.splitlines() if line.startswith("error: "))
    assert "cannot be read (Connection refused)" in sentence and "Traceback" not in text
    assert "--resume" in sentence
